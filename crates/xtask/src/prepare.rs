//! `cargo xtask prepare`: the data by which queries are checked when no database is at hand.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::Path,
    process::{Command, ExitCode},
};

use crate::workspace::{self, Result};

/// What to do with the data that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Put it in place of what is in `.sqlx`.
    Write,
    /// Only compare.
    Check,
}

/// File names and what is in the files.
type QueryData = BTreeMap<String, Vec<u8>>;

/// Compiles the service against a new database, so that sqlx's macros describe every query.
///
/// # Errors
///
/// There is no database to be had, or a file can't be written. A tree that doesn't compile is no error but a failing
/// exit code: the compiler has said what is wrong, and the data of those queries that are right is kept.
pub async fn run(mode: Mode) -> Result<ExitCode> {
    let root = workspace::root();
    let made_dir = root.join("target/query-data");
    if made_dir.exists() {
        fs::remove_dir_all(&made_dir)?;
    }
    fs::create_dir_all(&made_dir)?;

    let (cluster, url) = workspace::start_database().await?;
    // The macros run when the compiler does, and it doesn't for a file that hasn't changed.
    fs::File::open(root.join("src/lib.rs"))?.set_modified(fs::metadata(&made_dir)?.modified()?)?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--package", "ridematch", "--all-targets"])
        .current_dir(&root)
        .env("DATABASE_URL", &url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &made_dir)
        .status();
    cluster.stop().await?;
    let status = status?;

    let kept_dir = root.join(".sqlx");
    let made = read(&made_dir)?;
    let kept = read(&kept_dir)?;
    if !status.success() {
        if mode == Mode::Write {
            write(&kept_dir, &made)?;
        }
        return Ok(workspace::exit_code(status));
    }
    let stale: Vec<&String> = kept
        .keys()
        .filter(|name| !made.contains_key(*name))
        .collect();
    let new: Vec<&String> = made
        .iter()
        .filter(|(name, data)| kept.get(*name) != Some(*data))
        .map(|(name, _)| name)
        .collect();
    eprintln!(
        "{} queries: {} new or changed, {} no longer there",
        made.len(),
        new.len(),
        stale.len()
    );
    if mode == Mode::Check {
        if new.is_empty() && stale.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        for name in new.iter().chain(&stale) {
            eprintln!("  .sqlx/{name}");
        }
        eprintln!("xtask: .sqlx is stale: run `cargo xtask prepare` and commit what it writes");
        return Ok(ExitCode::FAILURE);
    }
    for name in stale {
        fs::remove_file(kept_dir.join(name))?;
    }
    write(&kept_dir, &made)?;
    Ok(ExitCode::SUCCESS)
}

fn read(dir: &Path) -> io::Result<QueryData> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(QueryData::new()),
        other => other?,
    };
    let mut data = QueryData::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            data.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(data)
}

fn write(dir: &Path, data: &QueryData) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, bytes) in data {
        fs::write(dir.join(name), bytes)?;
    }
    Ok(())
}
