//! The workspace, and databases for it.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    sync::Arc,
};

use embedded_postgres::{Cluster, Settings};
pub use worktree::Result;

/// The database.
const DATABASE: &str = "ridematch";

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
    worktree::migrated_database(cluster.server(), DATABASE, &root().join("migrations")).await?;
    let url = cluster.url(DATABASE);
    Ok((cluster, url))
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
