//! A Debian or Ubuntu machine's own packages, unpacked beside the system.
//!
//! `apt-get` runs with its state in a directory of ours, so an ordinary user can run it, and nothing of the system's
//! changes when root does. It takes the machine's sources and keys, and loads what the machine lacks: the server, and
//! those libraries that aren't installed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    account,
    cluster::Progress,
    error::{Attempt, Error},
    fetch::run_client,
    files,
    installation::{self, Installation},
};

/// State and cache of our own, and then no hooks, no lock and no account of the system's are needed.
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

/// The time zone that every sqlx session asks for. The distributions' servers look for it here and nowhere else, so
/// this is the one thing that can't be had from a directory of ours.
const TIME_ZONE: &str = "/usr/share/zoneinfo/UTC";

/// Loads and unpacks the packages.
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

    progress("fetching PostgreSQL by apt-get: package lists");
    // A source that can't be reached is no matter if another has the server, as the next command finds out.
    let updated = apt_get(&["update"]);
    progress("fetching PostgreSQL by apt-get: packages, 20 to 60 MB");
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

/// The installation among the unpacked packages; a server finds the rest of its files by where its programs are.
pub(super) fn installation(dir: &Path) -> Result<Installation, String> {
    let places = installation::newest_first(&dir.join("usr/lib/postgresql"), "", "bin");
    let place = places.first().ok_or("the packages hold no server")?;
    let mut libraries = library_dirs(&dir.join("usr/lib"));
    libraries.extend(library_dirs(&dir.join("lib")));
    Installation::at(place, libraries)
}

/// The directories of shared libraries in a `lib`: one for each kind of processor.
fn library_dirs(lib: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(lib).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("-linux-gnu")).collect()
}
