//! The databases of runs: one cluster per user, a template per schema, a fresh copy per run.

use std::path::Path;
use std::time::Duration;

use embedded_postgres::{Database, TestCluster};
use launcher::BoxError;
use launcher::environment::isolate;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::process::Command;

use super::model::RunSpec;

/// Name of the cluster: all processes of the user's drills share it. It stops a few seconds after the last one has ended.
const CLUSTER: &str = "drill";

/// How long migrations and bulk data may take.
const PREPARES_WITHIN: Duration = Duration::from_secs(300);

/// Templates that are kept: of the healthy and the faulty build, with and without bulk data, and two more.
const TEMPLATES_MAX: i64 = 6;

/// The database of a run. Dropped with its sessions when this is dropped.
#[derive(Debug)]
pub(super) struct RunDatabase {
    // Declared before the cluster, so that it is dropped first.
    database: Database,
    _cluster: TestCluster,
}

impl RunDatabase {
    /// Creates a database with the schema and data that the run needs.
    ///
    /// # Errors
    /// If there is no PostgreSQL, or the migrations or the SQL fail.
    pub async fn create(spec: &RunSpec) -> Result<Self, BoxError> {
        let cluster = TestCluster::of_run(CLUSTER).await?;
        let template = template_name(spec);
        let prepare = |url: String| async move {
            tokio::time::timeout(PREPARES_WITHIN, prepare(spec, &url))
                .await
                .map_err(|_| format!("migrations and data took more than {PREPARES_WITHIN:?}"))?
        };
        let database = cluster.database(&template, prepare).await?;
        let created = Self { database, _cluster: cluster };
        created.drop_old_templates().await?;
        if let Some(sql) = &spec.sql {
            execute(&created.url(), sql).await.map_err(|error| format!("the drill's SQL failed: {error}"))?;
        }
        Ok(created)
    }

    /// The URL, for sqlx and libpq.
    pub fn url(&self) -> String {
        self.database.url()
    }

    /// Drops the oldest templates. One that is being copied stays until the next time.
    async fn drop_old_templates(&self) -> Result<(), BoxError> {
        let mut conn = PgConnection::connect(&self.url()).await?;
        let old = "select datname::text from pg_database where datname like 'drill\\_%' and datname not like '%\\_new'
                   order by oid desc offset $1";
        let names: Vec<String> = sqlx::query_scalar(old).bind(TEMPLATES_MAX).fetch_all(&mut conn).await?;
        for name in names {
            let drop = format!("drop database if exists {name}");
            let _in_use = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut conn).await;
        }
        Ok(conn.close().await?)
    }
}

/// Identifies what a template contains: the schema and the bulk data.
fn template_name(spec: &RunSpec) -> String {
    let mut hash = Sha256::new();
    hash.update(&spec.schema);
    hash.update([0]);
    hash.update(spec.load.data.as_deref().unwrap_or_default());
    let digest = hash.finalize();
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("drill_{hex}")
}

/// Migrates an empty database with the service's own program, and adds the bulk data.
async fn prepare(spec: &RunSpec, url: &str) -> Result<(), BoxError> {
    migrate(&spec.programs.service, url).await?;
    if let Some(data) = &spec.load.data {
        execute(url, data).await.map_err(|error| format!("the bulk data cannot be added: {error}"))?;
        // As autovacuum leaves a database that has had the data for a while.
        execute(url, "vacuum analyze").await?;
    }
    Ok(())
}

pub(super) async fn migrate(program: &Path, url: &str) -> Result<(), BoxError> {
    let mut command = Command::new(program);
    isolate(command.as_std_mut());
    let output = command.arg("migrate").env("DATABASE_URL", url).kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the database cannot be migrated: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// Runs statements in a session of their own.
pub(super) async fn execute(url: &str, sql: &str) -> Result<(), BoxError> {
    let mut conn = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await?;
    Ok(conn.close().await?)
}
