//! Owners that can be killed: this very test binary, run again as a process of its own.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{BufRead, BufReader, Lines, Write},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use embedded_postgres::{Cluster, Settings};
use tempfile::TempDir;

/// The ignored test that is run as the owner, and the variable that says where its data goes.
const OWNER_TEST: &str = "an_owner_for_other_tests";
const DIR_VARIABLE: &str = "EMBEDDED_POSTGRES_TEST_DIR";

/// How long anything here may take that should take a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that every account can enter, gone at the end of the test.
pub fn temp_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("ridematch-test-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

pub fn is_root() -> bool {
    temp_dir().path().metadata().unwrap().uid() == 0
}

/// What the owner does: starts a cluster, says where, and obeys.
pub async fn be_the_owner() {
    let dir = env::var_os(DIR_VARIABLE).expect("this is only for other tests to start");
    let cluster = Cluster::start(Settings::kept(PathBuf::from(dir))).await.unwrap();
    println!("\nurl {}", cluster.url("postgres"));
    println!("run_dir {}", cluster.run_dir().display());
    let mut order = String::new();
    std::io::stdin().read_line(&mut order).unwrap();
    assert_ne!(order, "panic\n", "as ordered");
    cluster.stop().await.unwrap();
}

/// A process that owns a cluster.
pub struct Owner {
    pub url: String,
    pub run_dir: PathBuf,
    pub process: Child,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl Owner {
    /// Starts one, in a process group of its own.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, |_| {})
    }

    /// The same, as another user with no home.
    pub fn start_as(dir: &Path, uid: u32) -> Self {
        // The build directory may be one that this user can't enter.
        let program = dir.join("owner");
        fs::copy(env::current_exe().unwrap(), &program).unwrap();
        Self::start_with(&dir.join("data"), |command| {
            *command = Command::new(&program);
            command.uid(uid).gid(uid).env_remove("HOME").current_dir("/");
        })
    }

    fn start_with(dir: &Path, adjust: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        adjust(&mut command);
        let mut process = command
            .args(["--ignored", "--exact", OWNER_TEST, "--nocapture"])
            .env(DIR_VARIABLE, dir)
            .env("RUST_BACKTRACE", "0")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let mut words = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut word = |name: &str| {
            words
                .by_ref()
                .map(Result::unwrap)
                .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                .unwrap_or_else(|| panic!("the owner ended without saying its {name}"))
        };
        Self { url: word("url "), run_dir: word("run_dir ").into(), process, orders, words }
    }

    /// Sends a signal to the owner's process group, as a terminal does.
    pub fn signal_group(&self, signal: &str) {
        kill(signal, &format!("-{}", self.process.id()));
    }

    /// Kills the owner alone, with no chance to clean up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Gives an order and waits for the owner's end.
    pub fn order(mut self, order: &str) -> bool {
        writeln!(self.orders, "{order}").unwrap();
        self.words.by_ref().for_each(drop);
        self.process.wait().unwrap().success()
    }
}

pub fn kill(signal: &str, whom: &str) {
    let status = Command::new("/bin/sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, whom]).status().unwrap();
    assert!(status.success(), "kill -s {signal} -- {whom}");
}

/// The process id that the server in this cluster directory has noted.
pub fn server_pid(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("data/postmaster.pid")).unwrap();
    text.lines().next().unwrap().to_owned()
}

/// The other processes in the process group of `pid`.
pub fn group_of(pid: &str) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-o", "pid=,pgid="]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .map(|(pid, group)| (pid, group.trim()))
        .collect();
    let (_, own) = all.iter().find(|(other, _)| *other == pid).unwrap();
    all.iter().filter(|(other, group)| group == own && *other != pid).map(|(other, _)| (*other).to_owned()).collect()
}

/// Whether any process of a server holds this cluster directory.
pub fn has_server(dir: &Path) -> bool {
    let lock = File::open(dir.join("server.lock")).unwrap();
    match lock.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Waits, bounded.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / STEP.as_millis() {
        if holds() {
            return;
        }
        thread::sleep(STEP);
    }
    panic!("{what}: not within {} s", PATIENCE.as_secs());
}
