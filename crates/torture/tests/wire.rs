//! The wire proxy between a real client and a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "tests")]

use embedded_postgres::{Database, TestCluster};
use launcher::{Mode, Target};
use sqlx::postgres::PgListener;
use sqlx::{Connection, Executor, PgConnection};
use torture::wire::{ShapeRecord, Shapes, Side, WireProxy};

/// A database with a proxy in front of it.
struct World {
    database: Database,
    proxy: WireProxy,
}

impl World {
    async fn new(seed: u64) -> Self {
        let cluster = TestCluster::shared().await.unwrap();
        let prepare = async |url: String| {
            let mut conn = PgConnection::connect(&url).await?;
            conn.execute("create table notes (id integer primary key, text text not null)").await?;
            conn.close().await
        };
        let database = cluster.database("torture_notes", prepare).await.unwrap();
        let proxy = WireProxy::open(Shapes::new(seed)).await.unwrap();
        proxy.set_target(Some(Target::of_database(&database.url()).unwrap()));
        Self { database, proxy }
    }

    /// A session through the proxy.
    async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.proxy.url("postgres", self.database.name())).await.unwrap()
    }

    /// Counts the notes, without the proxy.
    async fn notes(&self) -> i64 {
        let mut conn = PgConnection::connect(&self.database.url()).await.unwrap();
        sqlx::query_scalar("select count(*) from notes").fetch_one(&mut conn).await.unwrap()
    }

    /// Whether `count` notes were added; panics if only some were.
    async fn are_written(&self, before: i64, count: i64) -> bool {
        let notes = self.notes().await;
        assert!(notes == before || notes == before + count, "all or nothing");
        notes > before
    }

    fn row(&self) -> ShapeRecord {
        let rows = self.proxy.shapes().rows();
        assert_eq!(rows.len(), 1, "{rows:#?}");
        rows[0].clone()
    }
}

/// Writes in a transaction as the service does: every statement is prepared, including BEGIN and COMMIT.
async fn write(conn: &mut PgConnection, ids: std::ops::Range<i32>) -> Result<(), sqlx::Error> {
    sqlx::query("BEGIN").execute(&mut *conn).await?;
    for id in ids {
        sqlx::query("insert into notes (id, text) values ($1, $2)").bind(id).bind("x").execute(&mut *conn).await?;
    }
    sqlx::query("COMMIT").execute(&mut *conn).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_is_lost_once_on_each_side() {
    for seed in [1, 2] {
        let world = World::new(seed).await;
        world.proxy.shapes().set_enabled(true);
        let mut sides = Vec::new();
        for run in 0..2 {
            let before = world.notes().await;
            // The number of repetitions does not change the shape.
            let ids = run * 10..run * 10 + 1 + run;
            assert!(write(&mut world.session().await, ids.clone()).await.is_err(), "the connection is lost");
            let is_done = world.are_written(before, i64::from(ids.end - ids.start)).await;
            sides.push(if is_done { Side::After } else { Side::Before });
        }
        assert!(sides.contains(&Side::Before) && sides.contains(&Side::After), "{sides:?}");
        let row = world.row();
        assert_eq!((row.cut_before, row.cut_after, row.label.as_str()), (1, 1, "insert notes"));
        write(&mut world.session().await, 50..53).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn implicit_transaction_and_simple_query_are_cut() {
    let world = World::new(1).await;
    world.proxy.shapes().set_enabled(true);
    for id in [1, 2] {
        let insert = sqlx::query("insert into notes (id, text) values ($1, 'alone')").bind(id);
        assert!(insert.execute(&mut world.session().await).await.is_err());
    }
    assert_eq!(world.notes().await, 1, "one was cut before, one after");
    assert_eq!(world.row().label, "insert notes (implicit)");
    let script = "begin; insert into notes (id, text) values (9, 'script'); commit";
    world.session().await.execute(script).await.unwrap();
    assert_eq!(world.notes().await, 2, "a script in one message is not cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_rollbacks_are_never_cut() {
    let world = World::new(1).await;
    world.proxy.shapes().set_enabled(true);
    let mut conn = world.session().await;
    sqlx::query("BEGIN").execute(&mut conn).await.unwrap();
    sqlx::query("select * from notes for update").execute(&mut conn).await.unwrap();
    sqlx::query("COMMIT").execute(&mut conn).await.unwrap();
    sqlx::query("BEGIN").execute(&mut conn).await.unwrap();
    sqlx::query("insert into notes (id, text) values (1, 'x')").execute(&mut conn).await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut conn).await.unwrap();
    assert_eq!(world.proxy.shapes().rows(), []);
    assert_eq!(world.notes().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_can_be_held_cut_and_refused() {
    let world = World::new(1).await;
    let mut conn = world.session().await;
    world.proxy.proxy().set_mode(Mode::HoldResponses);
    let pinged = tokio::spawn(async move {
        conn.ping().await.unwrap();
        conn
    });
    while world.proxy.proxy().counts().0 == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!pinged.is_finished());
    world.proxy.proxy().set_mode(Mode::Pass);
    let mut conn = pinged.await.unwrap();

    assert_eq!(world.proxy.proxy().cut(|| true), 1);
    assert!(conn.ping().await.is_err());
    world.proxy.proxy().set_mode(Mode::Refuse);
    let url = world.proxy.url("postgres", world.database.name());
    assert!(PgConnection::connect(&url).await.is_err());
    assert_eq!(world.proxy.proxy().counts().1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn notification_is_lost_with_its_connection() {
    let world = World::new(1).await;
    let url = world.proxy.url("postgres", world.database.name());
    let mut listener = PgListener::connect(&url).await.unwrap();
    listener.listen("wake").await.unwrap();
    // Not through the proxy: its own connection is not cut.
    let mut sender = PgConnection::connect(&world.database.url()).await.unwrap();
    world.proxy.lose_notifications(true);
    sender.execute("select pg_notify('wake', 'lost')").await.unwrap();
    assert!(listener.try_recv().await.unwrap().is_none(), "the connection broke instead");
    assert_eq!(world.proxy.lost_notifications(), 1);

    world.proxy.lose_notifications(false);
    // Connects again.
    listener.listen("wake").await.unwrap();
    sender.execute("select pg_notify('wake', 'received')").await.unwrap();
    assert_eq!(listener.recv().await.unwrap().payload(), "received");
    assert_eq!(world.proxy.lost_notifications(), 1);
}
