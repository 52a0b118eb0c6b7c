//! Packages of Debian or Ubuntu, unpacked into the cache directory.
//!
//! `apt-get` runs with its state in that directory, so that any user can run it, and the system does not change when
//! root does. It uses the sources and keys of the machine, and downloads the server and the libraries that are not
//! installed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    account,
    error::{Attempt, Error},
    fetch::run_client,
    files,
    installation::{self, Installation},
    waiting::Progress,
};

/// State and cache in the directory, and no hooks, lock or account of the system.
const CONFIGURATION: &str = r#"
Dir::State::Lists "DIR/lists";
Dir::Cache "DIR/cache";
Dir::Log "DIR/log";
Debug::NoLocking "true";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
"#;

/// The time zone of every sqlx session. The servers of the distributions read it only from here, so that it cannot be
/// unpacked elsewhere.
const TIME_ZONE: &str = "/usr/share/zoneinfo/UTC";

/// Downloads and unpacks the packages.
pub(super) fn fetch_into(dir: &Path, progress: &Progress) -> Result<(), Error> {
    let has_time_zones = Path::new(TIME_ZONE).exists();
    if !has_time_zones && account::effective_uid()? != 0 {
        return Err(io::Error::other("the package tzdata is missing"))
            .attempt(|| format!("find {TIME_ZONE}, which the server needs"));
    }
    let work = dir.join("work");
    for part in ["lists/partial", "cache/archives/partial", "log"] {
        files::make_dir(&work.join(part), files::CACHE_MODE)?;
    }
    let configuration = work.join("apt.conf");
    let text = CONFIGURATION.replace("DIR", &work.to_string_lossy());
    fs::write(&configuration, text).attempt(|| format!("write {}", configuration.display()))?;
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("--config-file").arg(&configuration);
        command.arg("--yes").args(arguments);
        run_client(command, dir)
    };

    progress("fetching PostgreSQL with apt-get: package lists");
    // An unreachable source does not matter if another one has the server, which the next command finds out.
    let updated = apt_get(&["update"]);
    progress("fetching PostgreSQL with apt-get: packages, 20 to 60 MB");
    apt_get(&["--download-only", "install", "postgresql"]).map_err(|error| updated.err().unwrap_or(error))?;
    if !has_time_zones {
        progress("installing the package tzdata");
        apt_get(&["--option=Debug::NoLocking=false", "install", "tzdata"])?;
    }
    unpack(&work.join("cache/archives"), dir)?;
    files::remove(&work)
}

/// Unpacks every package in `archives` into `dir`, as if that were the root directory.
fn unpack(archives: &Path, dir: &Path) -> Result<(), Error> {
    let entries = fs::read_dir(archives).attempt(|| format!("read {}", archives.display()))?;
    for entry in entries.flatten() {
        if entry.path().extension().is_some_and(|end| end == "deb") {
            let mut command = Command::new("dpkg-deb");
            command.arg("--extract").arg(entry.path()).arg(dir);
            run_client(command, dir)?;
        }
    }
    Ok(())
}

/// The installation in the unpacked packages. A server finds its other files relative to its programs.
pub(super) fn installation(dir: &Path) -> Result<Installation, String> {
    let dirs = installation::newest_first(&dir.join("usr/lib/postgresql"), "", "bin");
    let bin_dir = dirs.first().ok_or("the packages contain no server")?;
    let mut libraries = library_dirs(&dir.join("usr/lib"));
    libraries.extend(library_dirs(&dir.join("lib")));
    Installation::at(bin_dir, libraries)
}

/// The directories of shared libraries in `lib`: one for each architecture.
fn library_dirs(lib: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lib).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("-linux-gnu")).collect()
}
