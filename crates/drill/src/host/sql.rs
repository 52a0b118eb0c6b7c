//! Read-only SQL for the responders, as a role of its own that may read everything and write nothing.

use std::time::Duration;

use futures_util::TryStreamExt;
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, Row};
use tokio::time;

/// The most rows that are returned.
const ROWS_MAX: usize = 200;

/// How long a query may take.
const WITHIN: Duration = Duration::from_secs(5);

/// The role. It is not the owner of anything, so that what it may not do is decided by the database.
const ROLE: &str = "responder";

/// Creates the role, if it is missing. It may read every table and every statistic, and has no other privilege.
const SET_UP: &str = "
    do $$ begin
        if not exists (select from pg_roles where rolname = 'responder') then
            create role responder login in role pg_read_all_data, pg_monitor;
            alter role responder set default_transaction_read_only = on;
            alter role responder set statement_timeout = '5s';
        end if;
    end $$";

/// The rows of a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows {
    /// Each row as an object in the order of its columns; an explained query has lines of text.
    pub rows: Vec<Value>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// Reads the database of a drill.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: PgPool,
}

impl Reader {
    /// Connects as the reading role. `options` are those of a superuser.
    ///
    /// # Errors
    /// The role cannot be created, or cannot connect.
    pub async fn open(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        let owner =
            PgPoolOptions::new().max_connections(1).acquire_timeout(WITHIN).connect_with(options.clone()).await?;
        owner.execute(SET_UP).await?;
        owner.close().await;
        let options = options.username(ROLE).application_name("responder");
        let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(WITHIN).connect_with(options).await?;
        Ok(Self { pool })
    }

    /// Runs one query or `explain`.
    ///
    /// # Errors
    /// What the database says: a syntax error, a privilege that is missing, a time-out.
    pub async fn query(&self, query: &str) -> Result<Rows, String> {
        let query = query.trim().trim_end_matches(';');
        let is_explained = query.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("explain"));
        let statement = if is_explained {
            query.to_owned()
        } else {
            format!("select to_json(answer)::text from (\n{query}\n) answer")
        };
        let reading = async {
            let mut rows = Vec::new();
            let mut found = sqlx::query(AssertSqlSafe(statement)).fetch(&self.pool);
            while let Some(row) = found.try_next().await? {
                if rows.len() == ROWS_MAX {
                    return Ok(Rows { rows, is_cut: true });
                }
                let text: String = row.try_get(0)?;
                rows.push(if is_explained {
                    Value::String(text)
                } else {
                    serde_json::from_str(&text).unwrap_or_default()
                });
            }
            Ok(Rows { rows, is_cut: false })
        };
        match time::timeout(WITHIN, reading).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(sqlx::Error::Database(error))) => Err(error.message().to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the query took longer than {WITHIN:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use embedded_postgres::{Cluster, Settings};

    use super::*;

    #[tokio::test]
    async fn responder_reads_and_cannot_write() {
        let cluster = Cluster::start(Settings::scratch()).await.expect("a server");
        cluster.server().ensure_database("ridematch").await.expect("a database");
        let options = PgConnectOptions::from_str(&cluster.url("ridematch")).expect("its URL");
        let owner = PgPool::connect_with(options.clone()).await.expect("a connection");
        owner.execute("create table numbers as select n from generate_series(1, 300) n").await.expect("a table");
        for _ in 0..2 {
            Reader::open(options.clone()).await.expect("also a second time");
        }
        let reader = Reader::open(options).await.expect("a reader");
        let few = reader.query("select n, n * 2 as double from numbers order by n limit 2;").await.expect("rows");
        assert_eq!(few.rows[1], serde_json::json!({"n": 2, "double": 4}));
        let many = reader.query("select * from numbers").await.expect("rows");
        assert_eq!((many.rows.len(), many.is_cut), (ROWS_MAX, true));
        let plan = reader.query("explain select * from numbers").await.expect("a plan");
        assert!(plan.rows[0].as_str().is_some_and(|line| line.starts_with("Seq Scan")), "{plan:?}");
        for (query, why) in [
            ("with gone as (delete from numbers returning n) select * from gone", "data-modifying"),
            ("delete from numbers", "syntax error"),
            ("select pg_read_file('/etc/hostname')", "permission denied"),
            ("explain analyze delete from numbers", "permission denied"),
            ("select set_config('role', 'postgres', false)", "permission denied"),
            ("select pg_sleep(9)", "statement timeout"),
        ] {
            let error = reader.query(query).await.expect_err(query);
            assert!(
                error.contains(why) || error.contains("read-only") || error.contains("took longer"),
                "{query}: {error}"
            );
        }
        let left = sqlx::query("select count(*) from numbers").fetch_one(&owner).await.expect("a count");
        assert_eq!(left.get::<i64, _>(0), 300);
        owner.close().await;
        cluster.stop().await.expect("stopped");
    }
}
