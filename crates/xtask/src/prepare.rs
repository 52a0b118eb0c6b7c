//! `cargo xtask prepare`: the query data in `.sqlx`, by which queries are checked without a database.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus},
    time::SystemTime,
};

use crate::workspace::{self, Result};

/// A harmless setting of the package with the queries. It gives this build an identity of its own, so that no other build has
/// expanded the macros already; dependencies are shared.
const OWN_BUILD: &str = "profile.dev.package.ridematch.codegen-units=17";

/// What to do with the new data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Replace `.sqlx`.
    Write,
    /// Compare with `.sqlx`.
    Check,
}

/// Files by name.
type QueryData = BTreeMap<String, Vec<u8>>;

/// Compiles the service against a new database, so that sqlx's macros describe every query. If the tree does not compile, returns the
/// compiler's exit code and keeps the data of the valid queries.
///
/// # Errors
///
/// No database starts, or a file can't be written.
pub async fn run(mode: Mode) -> Result<ExitCode> {
    let root = workspace::root();
    fs::create_dir_all(root.join("target"))?;
    let lock = File::create(root.join("target/query-data.lock"))?;
    lock.lock()?;
    let made_dir = root.join("target/query-data");
    if made_dir.exists() {
        fs::remove_dir_all(&made_dir)?;
    }
    fs::create_dir(&made_dir)?;

    let (cluster, url) = workspace::start_database().await?;
    let status = compile(&root, &url, &made_dir);
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
    let changed: Vec<&String> =
        made.iter().filter(|(name, data)| kept.get(*name) != Some(*data)).map(|(name, _)| name).collect();
    let stale: Vec<&String> = kept.keys().filter(|name| !made.contains_key(*name)).collect();
    let (all, new, old) = (made.len(), changed.len(), stale.len());
    eprintln!("{all} queries: {new} new or changed, {old} no longer there");
    if mode == Mode::Write {
        for name in stale {
            fs::remove_file(kept_dir.join(name))?;
        }
        write(&kept_dir, &made)?;
    } else if new + old > 0 {
        for name in changed.iter().chain(&stale) {
            eprintln!("  .sqlx/{name}");
        }
        return Err("stale query data: run `cargo xtask prepare` and commit what it writes".into());
    }
    Ok(ExitCode::SUCCESS)
}

/// Expands and checks every query. The macros write their data to `made_dir`. The whole workspace is checked, so that its libraries
/// have the features, and the artifacts, of `cargo clippy --workspace`.
fn compile(root: &Path, url: &str, made_dir: &Path) -> io::Result<ExitStatus> {
    let _touched = Touched::touch(root.join("src/lib.rs"))?;
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--workspace", "--all-targets"])
        .args(["--config", OWN_BUILD])
        .current_dir(root)
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", made_dir)
        .status()
}

/// A source file with a new modification time, until this is dropped: cargo would not compile it otherwise.
struct Touched {
    path: PathBuf,
    before: SystemTime,
    touched: SystemTime,
}

impl Touched {
    fn touch(path: PathBuf) -> io::Result<Self> {
        let before = fs::metadata(&path)?.modified()?;
        let file = File::options().append(true).open(&path)?;
        #[expect(clippy::disallowed_methods, reason = "the time of a file, not of the service")]
        file.set_modified(SystemTime::now())?;
        // As stored, which may be less precise.
        let touched = fs::metadata(&path)?.modified()?;
        Ok(Self { path, before, touched })
    }
}

impl Drop for Touched {
    fn drop(&mut self) {
        let now = fs::metadata(&self.path).and_then(|found| found.modified());
        // Not if the file was changed meanwhile.
        if now.is_ok_and(|now| now == self.touched)
            && let Ok(file) = File::options().append(true).open(&self.path)
        {
            file.set_modified(self.before).ok();
        }
    }
}

/// Reads the query data of a directory; empty if it is missing.
fn read(dir: &Path) -> io::Result<QueryData> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(QueryData::new()),
        entries => entries?,
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
