//! A server lives exactly as long as its owner, whatever the owner dies of, and its data longer.

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
#[ignore = "it is the owner that the other tests start and kill"]
async fn an_owner_for_other_tests() {
    support::be_the_owner().await;
}

async fn execute(url: &str, sql: &'static str) {
    let mut session = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut session).await.unwrap();
    session.close().await.unwrap();
}

/// Writes a row that a later start has to find.
async fn leave_a_mark(url: &str) {
    execute(url, "create table mark as select 42 as value").await;
}

/// Starts the cluster again and looks for the mark.
async fn find_the_mark(dir: &Path) {
    let cluster = Cluster::start(Settings::kept(dir)).await.unwrap();
    let mut session = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let value: i32 = sqlx::query_scalar("select value from mark").fetch_one(&mut session).await.unwrap();
    assert_eq!(value, 42);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_outlives_an_orderly_stop() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    let run_dir = cluster.run_dir().to_owned();
    leave_a_mark(&cluster.url("postgres")).await;
    assert!(has_server(dir.path()));
    cluster.stop().await.unwrap();
    assert!(!has_server(dir.path()));
    assert!(!run_dir.exists());
    find_the_mark(dir.path()).await;
}

#[tokio::test]
async fn a_scratch_cluster_leaves_nothing_behind() {
    let cluster = Cluster::start(Settings::scratch()).await.unwrap();
    let run_dir = cluster.run_dir().to_owned();
    assert!(run_dir.join("data").exists());
    cluster.stop().await.unwrap();
    assert!(!run_dir.exists());
}

#[tokio::test]
async fn only_a_socket_and_only_for_its_owner() {
    let cluster = Cluster::start(Settings::scratch()).await.unwrap();
    assert_eq!(cluster.run_dir().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut session = PgConnection::connect(&cluster.url("postgres")).await.unwrap();
    let addresses: String =
        sqlx::query_scalar("select current_setting('listen_addresses')").fetch_one(&mut session).await.unwrap();
    assert_eq!(addresses, "");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_cluster_stops() {
    let dir = temp_dir();
    drop(Cluster::start(Settings::kept(dir.path())).await.unwrap());
    eventually("the server stops", || !has_server(dir.path()));
}

#[tokio::test]
async fn a_killed_owner_takes_the_server_along() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    leave_a_mark(&owner.url).await;
    owner.kill();
    eventually("the server stops", || !has_server(dir.path()));
    assert!(!owner.run_dir.exists());
}

#[tokio::test]
async fn signals_to_the_whole_group_stop_the_server_in_order() {
    for signal in ["INT", "TERM", "HUP", "KILL"] {
        let dir = temp_dir();
        let mut owner = Owner::start(dir.path());
        leave_a_mark(&owner.url).await;
        owner.signal_group(signal);
        owner.process.wait().unwrap();
        eventually(signal, || !has_server(dir.path()));
        assert!(!owner.run_dir.exists(), "{signal}");
        // Had the signal reached the server as well, or had it been killed, this file would still be there.
        assert!(!dir.path().join("data/postmaster.pid").exists(), "{signal}");
    }
}

#[tokio::test]
async fn a_panic_stops_the_server() {
    let dir = temp_dir();
    let owner = Owner::start(dir.path());
    assert!(!owner.order("panic"));
    eventually("the server stops", || !has_server(dir.path()));
}

#[tokio::test]
async fn the_next_owner_waits_for_the_last_ones_server() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    leave_a_mark(&owner.url).await;
    owner.kill();
    find_the_mark(dir.path()).await;
}

#[tokio::test]
async fn a_crash_of_everything_is_recovered_from() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    leave_a_mark(&owner.url).await;
    kill("KILL", &server_pid(dir.path()));
    owner.kill();
    eventually("all is gone", || !has_server(dir.path()));
    // By now the process id in the file may be anybody's: here it is this test's.
    let pid_file = dir.path().join("data/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let rest: String = text.split_inclusive('\n').skip(1).collect();
    fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();
    find_the_mark(dir.path()).await;
}

#[tokio::test]
async fn a_server_without_supervisor_is_stopped_by_the_next_owner() {
    let dir = temp_dir();
    let mut owner = Owner::start(dir.path());
    leave_a_mark(&owner.url).await;
    let postmaster = server_pid(dir.path());
    for supervisor in support::group_of(&postmaster) {
        kill("KILL", &supervisor);
    }
    owner.kill();
    assert!(has_server(dir.path()));
    find_the_mark(dir.path()).await;
    assert!(!owner.run_dir.exists());
}

#[tokio::test]
async fn a_second_owner_is_refused() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    let refused = Cluster::start(Settings::kept(dir.path())).await.unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    let holder = format!("in use by process {}:", std::process::id());
    assert!(refused.to_string().contains(&holder), "{refused}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_half_made_data_directory_is_made_again() {
    let dir = temp_dir();
    let unfinished = dir.path().join("data.unfinished");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "1").unwrap();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!unfinished.exists());
}

#[tokio::test]
async fn a_long_and_odd_path_is_no_matter() {
    let dir = temp_dir();
    let long = dir.path().join("a directory's \"name\"").join("x".repeat(200));
    let cluster = Cluster::start(Settings::kept(&long)).await.unwrap();
    leave_a_mark(&cluster.url("postgres")).await;
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn data_of_another_version_is_refused() {
    let dir = temp_dir();
    let cluster = Cluster::start(Settings::kept(dir.path())).await.unwrap();
    cluster.stop().await.unwrap();
    fs::write(dir.path().join("data/PG_VERSION"), "11\n").unwrap();
    let refused = Cluster::start(Settings::kept(dir.path())).await.unwrap_err();
    assert!(matches!(refused, Error::DataOfOtherVersion { wanted: 11, .. }), "{refused}");
}

#[tokio::test]
async fn without_a_server_the_error_says_what_was_tried_and_what_helps() {
    let dir = temp_dir();
    let old = dir.path().join("old");
    fs::create_dir(&old).unwrap();
    for program in ["initdb", "postgres"] {
        let path = old.join(program);
        fs::write(&path, "#!/bin/sh\necho 'postgres (PostgreSQL) 13.4'\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut settings = Settings::scratch();
    settings.search = Search { places: vec![dir.path().join("none"), old], fetch: false };
    let message = Cluster::start(settings).await.unwrap_err().to_string();
    assert!(message.contains("none: no initdb"), "{message}");
    assert!(message.contains("old: PostgreSQL 13, too old"), "{message}");
    assert!(message.contains("RIDEMATCH_POSTGRES_BIN"), "{message}");
}

#[tokio::test]
async fn root_hands_the_server_to_another_account() {
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
async fn root_keeps_to_the_account_that_made_the_data() {
    if !is_root() {
        return;
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Owner::start_as(dir.path(), NOBODY).order("stop"));
    let cluster = Cluster::start(Settings::kept(dir.path().join("data"))).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn root_is_told_when_the_account_cannot_enter() {
    if !is_root() {
        return;
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let refused = Cluster::start(Settings::kept(dir.path().join("x"))).await.unwrap_err();
    assert!(matches!(refused, Error::OutOfReach { .. }), "{refused}");
}

#[tokio::test]
async fn an_ordinary_user_runs_it_alone() {
    if !is_root() {
        return; // Then every other test shows it.
    }
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let mut owner = Owner::start_as(dir.path(), NOBODY);
    leave_a_mark(&owner.url).await;
    let home = dir.path().join("data");
    assert_eq!(home.join("data").metadata().unwrap().uid(), NOBODY);
    owner.kill();
    eventually("the server stops", || !has_server(&home));
    assert!(!owner.run_dir.exists());
}
