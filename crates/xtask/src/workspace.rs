//! The workspace, and a database made for it.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    sync::Arc,
};

use embedded_postgres::{Cluster, Settings};
use sqlx::{Connection, PgConnection, migrate::Migrator};

/// The name of the database; nobody else's is on that server.
const DATABASE: &str = "ridematch";

/// What goes wrong here is only ever shown.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The workspace's root directory.
pub fn root() -> PathBuf {
    // This package is in `crates/xtask`.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).into()
}

/// Starts a server and makes a database with every migration applied; answers its URL.
///
/// # Errors
///
/// There is no server to be had, or a migration fails.
pub async fn start_database() -> Result<(Cluster, String)> {
    let mut settings = Settings::scratch();
    settings.progress = Arc::new(|step| eprintln!("{step}"));
    let cluster = Cluster::start(settings).await?;
    migrated_database(&cluster, DATABASE, &root().join("migrations")).await?;
    let url = cluster.url(DATABASE);
    Ok((cluster, url))
}

/// Makes a database with every one of these migrations applied.
///
/// # Errors
///
/// The server does not answer, or a migration fails.
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

/// Runs a command of the caller's with a database of its own.
///
/// # Errors
///
/// As [`start_database`], or the command can't be run.
pub async fn with_database(command: &[&str]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let (cluster, url) = start_database().await?;
    let status = Command::new(program).args(arguments).env("DATABASE_URL", &url).env("SQLX_OFFLINE", "false").status();
    cluster.stop().await?;
    Ok(exit_code(status.map_err(|error| format!("{program}: {error}"))?))
}

/// A finished command's exit code as our own.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
