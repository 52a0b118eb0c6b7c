//! One server for a whole test run, and in it a database for each test.

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

/// The variable that gives a member of a run the run's name.
const RUN_VARIABLE: &str = "EMBEDDED_POSTGRES_TEST_RUN";

/// What the tests of this file prepare their templates with.
async fn prepare(url: String) -> Result<(), sqlx::Error> {
    let mut session = PgConnection::connect(&url).await?;
    sqlx::raw_sql("create table prepared as select 1 as n").execute(&mut session).await?;
    session.close().await
}

/// How many times the template was prepared: one row for each.
async fn preparations(database: &Database) -> i64 {
    let mut session = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::query_scalar("select count(*) from prepared").fetch_one(&mut session).await.unwrap()
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own_from_a_template_prepared_once() {
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
async fn a_dropped_database_is_gone_with_its_sessions() {
    let cluster = TestCluster::shared().await.unwrap();
    let database = cluster.database("template_drop", prepare).await.unwrap();
    let url = database.url();
    let mut session = PgConnection::connect(&url).await.unwrap();
    drop(database);
    session.ping().await.unwrap_err();
    PgConnection::connect(&url).await.unwrap_err();
}

#[tokio::test]
async fn a_session_that_preparing_left_open_is_no_obstacle() {
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
async fn a_failed_preparation_is_reported_and_can_be_done_again() {
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
async fn a_name_that_is_too_long_is_refused() {
    let cluster = TestCluster::shared().await.unwrap();
    let refused = cluster.database(&"x".repeat(60), prepare).await.unwrap_err();
    assert!(matches!(refused, Error::Name(_)), "{refused}");
}

/// A process that takes part in a run until its input ends.
struct Member {
    process: Child,
    run_dir: PathBuf,
}

impl Member {
    fn spawn(run: &str) -> Child {
        Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "a_member_for_other_tests", "--nocapture"])
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
#[ignore = "it is the member that the other tests start"]
async fn a_member_for_other_tests() {
    let run = env::var(RUN_VARIABLE).expect("this is only for other tests to start");
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
fn processes_share_one_server_which_the_last_one_stops() {
    let spawned: Vec<Child> = (0..4).map(|_| Member::spawn("crowd")).collect();
    let mut members: Vec<Member> = spawned.into_iter().map(Member::joined).collect();
    let run_dir = members[0].run_dir.clone();
    assert!(members.iter().all(|member| member.run_dir == run_dir));
    // Whoever it was that started the server, the rest go on without them.
    while let Some(mut member) = members.pop() {
        member.process.kill().unwrap();
        member.process.wait().unwrap();
        if let Some(other) = members.pop() {
            other.leave();
        }
    }
    // In the pause between two test binaries the server waits for the next one.
    let next = Member::joined(Member::spawn("crowd"));
    assert_eq!(next.run_dir, run_dir);
    next.leave();
    for _ in 0..200 {
        if !run_dir.exists() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{} is still there", run_dir.display());
}
