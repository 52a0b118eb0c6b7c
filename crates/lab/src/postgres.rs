//! The private PostgreSQL of the labs. It waits for the disk at every commit, as a fresh installation does.

use std::path::Path;
use std::sync::Arc;

use embedded_postgres::{Cluster, Settings};
use sqlx::postgres::PgQueryResult;
use sqlx::{Executor, PgConnection, SqlSafeStr};

use crate::Result;

/// The most sessions: 5 pools of 20 at the same time, or 64 sessions that race, and some for the server itself.
const CONNECTIONS_MAX: u16 = 140;

/// Starts the server with its data in the user's data directory. The data of an earlier run is used again.
///
/// # Errors
/// There is no PostgreSQL and none can be fetched, another lab uses it, or it does not start. Each error says what to do.
pub(crate) async fn start() -> Result<Cluster> {
    let folder = embedded_postgres::default_data_dir()?.join("lab-postgres");
    start_in(&folder).await
}

/// Runs statements without parameters, separated by semicolons.
///
/// Not `RawSql::execute`: that is generic over the executor, and its future is not always known to be `Send`.
pub(crate) fn run_sql<'a>(
    session: &'a mut PgConnection,
    text: impl SqlSafeStr,
) -> impl Future<Output = Result<PgQueryResult, sqlx::Error>> + Send + 'a {
    session.execute(sqlx::raw_sql(text))
}

async fn start_in(folder: &Path) -> Result<Cluster> {
    let settings = Settings {
        max_connections: CONNECTIONS_MAX,
        progress: Arc::new(|step| eprintln!("lab: {step}")),
        ..Settings::kept(folder)
    };
    match Cluster::start(settings).await {
        Ok(cluster) => Ok(cluster),
        Err(embedded_postgres::Error::InUse { holder, .. }) => {
            Err(format!("another lab is using the labs' PostgreSQL ({holder}): wait for its end, or stop it").into())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn second_lab_is_refused_while_the_first_runs() {
        // PostgreSQL may run under another account, which needs access to its data below.
        let permissions = Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(permissions).tempdir().expect("a directory");
        let first = start_in(&folder.path().join("pg")).await.expect("started");
        let error = start_in(&folder.path().join("pg")).await.expect_err("in use").to_string();
        assert!(error.contains("another lab"), "{error}");
        first.stop().await.expect("stopped");
    }
}
