//! A server runs exactly as long as its owner, however the owner ends; kept data survives.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use embedded_postgres::{Cluster, Error, Search, Settings};
use sqlx::{Connection, PgConnection};
use support::{Owner, eventually, has_server, is_root, kill, server_pid, temp_dir};

const NOBODY: u32 = 65534;

#[tokio::test]
#[ignore = "run by other tests as an owner process"]
async fn owner_process() {
    support::run_owner().await;
}

async fn execute(url: &str, sql: &'static str) {
    let mut session = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

/// Writes a row for `check_row` after a later start.
async fn write_row(url: &str) {
    execute(url, "create table mark as select 42 as value").await;
}

/// Starts the cluster again, and checks the row of `write_row`.
async fn check_row(dir: &Path) {
    let cluster = Cluster::start(Settings::kept(dir)).await.unwrap();
    let mut session = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let value: i32 = sqlx::query_scalar("select value from mark").fetch_one(&mut session).await.unwrap();
    assert_eq!(value, 42);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn kept_data_survives_a_stop() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    let run_dir = cluster.run_dir().to_owned();
    write_row(&cluster.url("postgres")).await;
    assert!(has_server(dir.path()));
    cluster.stop().await.unwrap();
    assert!(!has_server(dir.path()));
    assert!(!run_dir.exists());
    check_row(dir.path()).await;
}

#[tokio::test]
async fn scratch_cluster_removes_its_data() {
    let cluster = Cluster::start(Settings::scratch()).await.unwrap();
    let run_dir = cluster.run_dir().to_owned();
    assert!(run_dir.join("data").exists());
    cluster.stop().await.unwrap();
    assert!(!run_dir.exists());
}

#[tokio::test]
async fn server_listens_only_on_a_private_socket() {
    let cluster = Cluster::start(Settings::scratch()).await.unwrap();
    assert_eq!(cluster.run_dir().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut session = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let addresses: String =
        sqlx::query_scalar("select current_setting('listen_addresses')").fetch_one(&mut session).await.unwrap();
    assert_eq!(addresses, "");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn dropped_cluster_stops() {
    let dir = temp_dir();
    drop(Cluster::start(Settings::kept(dir.path())).await.unwrap());
    eventually("the server stops", || !has_server(dir.path()));
}

#[tokio::test]
async fn server_of_a_killed_owner_stops() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    write_row(&owner.url).await;
    owner.kill();
    eventually("the server stops", || !has_server(dir.path()));
    assert!(!owner.run_dir.exists());
}

#[tokio::test]
async fn signal_to_the_process_group_stops_the_server_cleanly() {
    for signal in ["INT", "TERM", "HUP", "KILL"] {
        let dir = temp_dir();
        let mut owner = Owner::start(dir.path());
        write_row(&owner.url).await;
        owner.signal_group(signal);
        owner.process.wait().unwrap();
        eventually(signal, || !has_server(dir.path()));
        assert!(!owner.run_dir.exists(), "{signal}");
        // A server that was killed or got the signal itself would leave this file.
        assert!(!dir.path().join("data/postmaster.pid").exists(), "{signal}");
    }
}

#[tokio::test]
async fn server_of_a_panicked_owner_stops() {
    let dir = temp_dir();
    let owner = Owner::start(dir.path());
    assert!(!owner.command("panic"));
    eventually("the server stops", || !has_server(dir.path()));
}

#[tokio::test]
async fn next_owner_waits_for_the_previous_server() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    write_row(&owner.url).await;
    owner.kill();
    check_row(dir.path()).await;
}

#[tokio::test]
async fn kill_of_owner_and_server_is_recovered() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    write_row(&owner.url).await;
    kill("KILL", &server_pid(dir.path()));
    owner.kill();
    eventually("the server ends", || !has_server(dir.path()));
    // Another process may have the process id in the file by now: here the test itself.
    let pid_file = dir.path().join("data/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let rest: String = text.split_inclusive('\n').skip(1).collect();
    fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();
    check_row(dir.path()).await;
}

#[tokio::test]
async fn next_owner_stops_a_server_without_a_supervisor() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    write_row(&owner.url).await;
    let postmaster = server_pid(dir.path());
    for supervisor in support::group_of(&postmaster) {
        kill("KILL", &supervisor);
    }
    owner.kill();
    assert!(has_server(dir.path()));
    check_row(dir.path()).await;
    assert!(!owner.run_dir.exists());
}

#[tokio::test]
async fn second_owner_is_rejected() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    let rejected = Cluster::start(Settings::kept(dir.path())).await.unwrap_err();
    assert!(matches!(rejected, Error::InUse { .. }), "{rejected}");
    let holder = format!("in use by process {}:", std::process::id());
    assert!(rejected.to_string().contains(&holder), "{rejected}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn interrupted_initdb_is_repeated() {
    let dir = temp_dir();
    let unfinished = dir.path().join("data.unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "1").unwrap();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn long_path_with_special_characters_works() {
    let dir = temp_dir();
    let long = dir.path().join("a directory's \"name\"").join("x".repeat(200));
    let cluster = Cluster::start(Settings::kept(&long)).await.unwrap();
    write_row(&cluster.url("postgres")).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_is_rejected() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    cluster.stop().await.unwrap();
    fs::write(dir.path().join("data/PG_VERSION"), "11\n").unwrap();
    let rejected = Cluster::start(Settings::kept(dir.path())).await.unwrap_err();
    assert!(matches!(rejected, Error::DataOfOtherVersion { wanted: 11, .. }), "{rejected}");
}

#[tokio::test]
async fn missing_server_error_lists_what_was_tried_and_the_fix() {
    let dir = temp_dir();
    let old = dir.path().join("old");
    fs::create_dir(&old).unwrap();
    for program in ["initdb", "postgres"] {
        let path = old.join(program);
        fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut settings = Settings::scratch();
    settings.search = Search { dirs: vec![dir.path().join("none"), old], fetch: false };
    let message = Cluster::start(settings).await.unwrap_err().to_string();
    assert!(message.contains("none: no initdb"), "{message}");
    assert!(message.contains("old: PostgreSQL 13, too old"), "{message}");
    assert!(message.contains("RIDEMATCH_POSTGRES_BIN"), "{message}");
}

#[tokio::test]
async fn for_root_another_account_runs_the_server() {
    if !is_root() {
        return;
    }
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    assert_ne!(dir.path().join("data").metadata().unwrap().uid(), 0);
    assert_ne!(cluster.run_dir().metadata().unwrap().uid(), 0);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn for_root_the_owner_of_the_data_runs_the_server() {
    if !is_root() {
        return;
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Owner::start_as(dir.path(), NOBODY).command("stop"));
    let cluster = Cluster::start(Settings::kept(dir.path().join("data"))).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn for_root_an_inaccessible_directory_is_an_error() {
    if !is_root() {
        return;
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let rejected = Cluster::start(Settings::kept(dir.path().join("x"))).await.unwrap_err();
    assert!(matches!(rejected, Error::Inaccessible { .. }), "{rejected}");
}

#[tokio::test]
async fn ordinary_user_runs_the_server() {
    if !is_root() {
        return; // Every other test covers it.
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut owner = Owner::start_as(dir.path(), NOBODY);
    write_row(&owner.url).await;
    let data_dir = dir.path().join("data");
    assert_eq!(data_dir.join("data").metadata().unwrap().uid(), NOBODY);
    owner.kill();
    eventually("the server stops", || !has_server(&data_dir));
    assert!(!owner.run_dir.exists());
}
