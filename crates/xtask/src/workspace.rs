//! The workspace, and databases for it.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    sync::Arc,
};

use embedded_postgres::{Cluster, Settings};
use sqlx::{Connection, PgConnection, migrate::Migrator};

/// The database.
const DATABASE: &str = "ridematch";

/// Errors here are only shown.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The workspace's root directory.
pub fn root() -> PathBuf {
    // This package is in `crates/xtask`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).into()
}

/// Starts a server and creates a migrated database. Returns its URL.
///
/// # Errors
///
/// No server starts, or a migration fails.
pub async fn start_database() -> Result<(Cluster, String)> {
    let mut settings = Settings::scratch();
    settings.progress = Arc::new(|step| eprintln!("{step}"));
    let cluster = Cluster::start(settings).await?;
    migrated_database(&cluster, DATABASE, &root().join("migrations")).await?;
    let url = cluster.url(DATABASE);
    Ok((cluster, url))
}

/// Creates a database and applies these migrations.
///
/// # Errors
///
/// The server does not respond, or a migration fails.
pub async fn migrated_database(cluster: &Cluster, name: &str, migrations: &Path) -> Result<()> {
    cluster.server().ensure_database(name).await?;
    let mut session = PgConnection::connect(&cluster.url(name)).await?;
    Migrator::new(migrations)
        .await?
        .run(&mut session)
        .await
        .map_err(|error| format!("{}: {error}", migrations.display()))?;
    session.close().await?;
    Ok(())
}

/// Runs a command with a new database.
///
/// # Errors
///
/// See [`start_database`]; or the command can't be run.
pub async fn with_database(command: &[&str]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let (cluster, url) = start_database().await?;
    let status = Command::new(program).args(arguments).env("DATABASE_URL", &url).env("SQLX_OFFLINE", "false").status();
    cluster.stop().await?;
    Ok(exit_code(status.map_err(|error| format!("{program}: {error}"))?))
}

/// Converts the status of a command to our exit code.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
