//! A kept database with a number of whole trips.

use std::{path::Path, sync::Arc};

use embedded_postgres::{Cluster, Settings};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::workspace::{self, Result};

/// The SQL that makes trips.
const GENERATE: &str = include_str!("generate.sql");

/// The database.
const DATABASE: &str = "ridematch";

/// The time at which the history ends, so that two runs make the same rows.
pub const NOW: &str = "2026-01-01T00:00:00Z";

/// Decides every value that is not a function of a trip's number.
const SEED: u64 = 1;

/// The trips that one transaction makes.
const CHUNK: u64 = 20_000;

/// Settings for a database that is made again if it is lost.
const UNSAFE_AND_FAST: [&str; 6] = [
    "alter system set fsync = off",
    "alter system set synchronous_commit = off",
    "alter system set full_page_writes = off",
    "alter system set autovacuum = off",
    "alter system set max_wal_size = '2GB'",
    "select pg_reload_conf()",
];

/// A running server with a database of trips, and a session in it.
#[derive(Debug)]
pub struct ScaleDatabase {
    cluster: Cluster,
    /// The session that generates and measures.
    pub session: PgConnection,
}

impl ScaleDatabase {
    /// Opens the database in `dir`. Creates it, applies migrations and generates trips as far as they are missing.
    ///
    /// # Errors
    ///
    /// No server starts, or a statement fails.
    pub async fn open(dir: &Path, trips: u64) -> Result<Self> {
        let mut settings = Settings::kept(dir);
        settings.progress = Arc::new(|step| eprintln!("{step}"));
        let cluster = Cluster::start(settings).await?;
        worktree::migrated_database(cluster.server(), DATABASE, &workspace::root().join("migrations")).await?;
        let session = PgConnection::connect(&cluster.url(DATABASE)).await?;
        let mut database = Self { cluster, session };
        for setting in UNSAFE_AND_FAST {
            sqlx::query(setting).execute(&mut database.session).await?;
        }
        database.generate(trips).await?;
        Ok(database)
    }

    /// Returns the version of the server, such as `17.2`.
    ///
    /// # Errors
    ///
    /// The server does not answer.
    pub async fn version(&mut self) -> Result<String> {
        let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut self.session).await?;
        Ok(version.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Stops the server.
    ///
    /// # Errors
    ///
    /// The server does not stop.
    pub async fn close(self) -> Result<()> {
        self.session.close().await?;
        Ok(self.cluster.stop().await?)
    }

    /// Generates the missing trips, chunk by chunk.
    async fn generate(&mut self, total: u64) -> Result<()> {
        let count: i64 = sqlx::query_scalar("select count(*) from trips").fetch_one(&mut self.session).await?;
        let there = u64::try_from(count)?;
        if there >= total {
            return Ok(());
        }
        let mut first = there + 1;
        while first <= total {
            let last = total.min(first + CHUNK - 1);
            sqlx::raw_sql(AssertSqlSafe(generating(first, last, total))).execute(&mut self.session).await?;
            eprintln!("{last} of {total} trips");
            first = last + 1;
        }
        sqlx::query("vacuum analyze").execute(&mut self.session).await?;
        Ok(())
    }
}

/// Returns the SQL that makes the trips `first..=last` of `total`.
fn generating(first: u64, last: u64, total: u64) -> String {
    let numbers = [("{seed}", SEED), ("{first}", first), ("{last}", last), ("{total}", total)];
    let sql = numbers.into_iter().fold(GENERATE.to_owned(), |sql, (name, n)| sql.replace(name, &n.to_string()));
    sql.replace("{now}", NOW)
}
