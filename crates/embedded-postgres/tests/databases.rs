//! One server per test run, and one database per test.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use embedded_postgres::{Database, Error, TestCluster};
use sqlx::{Connection, PgConnection};

/// The environment variable with the name of the run, for a member process.
const RUN_VARIABLE: &str = "EMBEDDED_POSTGRES_TEST_RUN";

/// Prepares the templates of these tests.
async fn prepare(url: String) -> Result<(), sqlx::Error> {
    let mut session = PgConnection::connect(&url).await?;
    sqlx::raw_sql("create table prepared as select 1 as n").execute(&mut session).await?;
    session.close().await
}

/// The number of preparations of the template: one row for each.
async fn preparations(database: &Database) -> i64 {
    let mut session = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::query_scalar("select count(*) from prepared").fetch_one(&mut session).await.unwrap()
}

#[tokio::test]
async fn each_test_gets_its_own_copy_of_a_template_that_is_prepared_once() {
    let cluster = TestCluster::shared().await.unwrap();
    let calls = AtomicU32::new(0);
    let make = || {
        cluster.database("template_once", |url| {
            calls.fetch_add(1, Ordering::Relaxed);
            prepare(url)
        })
    };
    let (a, b, c) = tokio::try_join!(make(), make(), make()).unwrap();
    assert_eq!(calls.into_inner(), 1);
    let mut session = PgConnection::connect(&a.url()).await.unwrap();
    sqlx::raw_sql("insert into prepared values (2)").execute(&mut session).await.unwrap();
    assert_eq!(preparations(&a).await, 2);
    assert_eq!(preparations(&b).await, 1);
    assert_eq!(preparations(&c).await, 1);
}

#[tokio::test]
async fn dropping_a_database_ends_its_sessions() {
    let cluster = TestCluster::shared().await.unwrap();
    let database = cluster.database("template_drop", prepare).await.unwrap();
    let url = database.url();
    let mut session = PgConnection::connect(&url).await.unwrap();
    drop(database);
    session.ping().await.unwrap_err();
    PgConnection::connect(&url).await.unwrap_err();
}

#[tokio::test]
async fn template_with_an_open_session_can_be_copied() {
    let cluster = TestCluster::shared().await.unwrap();
    let mut left_open = None;
    let leave_open = async |url: String| {
        prepare(url.clone()).await?;
        left_open = Some(PgConnection::connect(&url).await?);
        Ok::<(), sqlx::Error>(())
    };
    let database = cluster.database("template_open", leave_open).await.unwrap();
    assert_eq!(preparations(&database).await, 1);
}

#[tokio::test]
async fn failed_preparation_is_an_error_and_can_be_repeated() {
    let cluster = TestCluster::shared().await.unwrap();
    let fail = async |url: String| {
        prepare(url).await?;
        Err(sqlx::Error::Protocol("half way".into()))
    };
    let failed = cluster.database("template_fail", fail).await.unwrap_err();
    assert!(matches!(failed, Error::Prepare { .. }), "{failed}");
    assert!(failed.to_string().contains("half way"), "{failed}");
    let database = cluster.database("template_fail", prepare).await.unwrap();
    assert_eq!(preparations(&database).await, 1);
}

#[tokio::test]
async fn too_long_name_is_rejected() {
    let cluster = TestCluster::shared().await.unwrap();
    let rejected = cluster.database(&"x".repeat(60), prepare).await.unwrap_err();
    assert!(matches!(rejected, Error::Name(_)), "{rejected}");
}

/// A process that uses the server of a run until its standard input ends.
struct Member {
    process: Child,
    run_dir: PathBuf,
}

impl Member {
    fn spawn(run: &str) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "member_process", "--nocapture"])
            .env(RUN_VARIABLE, run)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn joined(mut process: Child) -> Self {
        let run_dir = BufReader::new(process.stdout.as_mut().unwrap())
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.strip_prefix("run_dir ")?.into()))
            .expect("the member joins");
        Self { process, run_dir }
    }

    fn leave(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

#[tokio::test]
#[ignore = "run by other tests as a member process"]
async fn member_process() {
    let run = env::var(RUN_VARIABLE).expect("only other tests run this");
    let cluster = TestCluster::of_run(&run).await.unwrap();
    let database = cluster.database("template_members", prepare).await.unwrap();
    assert_eq!(preparations(&database).await, 1);
    let mut session = PgConnection::connect(&database.url()).await.unwrap();
    let run_dir: String =
        sqlx::query_scalar("select current_setting('unix_socket_directories')").fetch_one(&mut session).await.unwrap();
    println!("\nrun_dir {run_dir}");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_line(&mut String::new()).unwrap();
    preparations(&database).await;
}

#[test]
fn processes_of_a_run_share_one_server_that_stops_after_the_last() {
    let spawned: Vec<Child> = (0..4).map(|_| Member::spawn("crowd")).collect();
    let mut members: Vec<Member> = spawned.into_iter().map(Member::joined).collect();
    let run_dir = members[0].run_dir.clone();
    assert!(members.iter().all(|member| member.run_dir == run_dir));
    // The server keeps running when the member that started it ends.
    while let Some(mut member) = members.pop() {
        member.process.kill().unwrap();
        member.process.wait().unwrap();
        if let Some(other) = members.pop() {
            other.leave();
        }
    }
    // The server outlives the pause between two test binaries.
    let next = Member::joined(Member::spawn("crowd"));
    assert_eq!(next.run_dir, run_dir);
    next.leave();
    for _ in 0..200 {
        if !run_dir.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{} still exists", run_dir.display());
}
