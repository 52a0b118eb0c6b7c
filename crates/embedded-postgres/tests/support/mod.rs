//! Owner processes that tests can kill: this test binary, run again.

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

/// The ignored test that runs as the owner, and the environment variable with its data directory.
const OWNER_TEST: &str = "owner_process";
const DIR_VARIABLE: &str = "EMBEDDED_POSTGRES_TEST_DIR";

/// The timeout of every wait. Each should take about a second.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A directory that every account can enter, removed at the end of the test.
pub fn temp_dir() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("ridematch-test-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

pub fn is_root() -> bool {
    temp_dir().path().metadata().unwrap().uid() == 0
}

/// The owner process: starts a cluster, prints where it is, and executes one command.
pub async fn run_owner() {
    let dir = env::var_os(DIR_VARIABLE).expect("only other tests run this");
    let cluster = Cluster::start(Settings::kept(PathBuf::from(dir))).await.unwrap();
    println!("\nurl {}", cluster.url("postgres"));
    println!("run_dir {}", cluster.run_dir().display());
    let mut command = String::new();
    std::io::stdin().read_line(&mut command).unwrap();
    assert_ne!(command, "panic\n", "panic on command");
    cluster.stop().await.unwrap();
}

/// A process that owns a cluster.
pub struct Owner {
    pub url: String,
    pub run_dir: PathBuf,
    pub process: Child,
    commands: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Owner {
    /// Starts an owner in its own process group.
    pub fn start(dir: &Path) -> Self {
        Self::start_with(dir, |_| {})
    }

    /// Starts an owner as another user without a home directory.
    pub fn start_as(dir: &Path, uid: u32) -> Self {
        // This user may not have access to the build directory.
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
        let commands = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut value = |name: &str| {
            output
                .by_ref()
                .map(Result::unwrap)
                .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
                .unwrap_or_else(|| panic!("the owner ended without printing {name}"))
        };
        Self { url: value("url "), run_dir: value("run_dir ").into(), process, commands, output }
    }

    /// Sends a signal to the process group of the owner, as a terminal does.
    pub fn signal_group(&self, signal: &str) {
        kill(signal, &format!("-{}", self.process.id()));
    }

    /// Kills the owner alone, with no chance to clean up.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends a command, waits for the end of the owner, and returns whether it succeeded.
    pub fn command(mut self, command: &str) -> bool {
        writeln!(self.commands, "{command}").unwrap();
        self.output.by_ref().for_each(drop);
        self.process.wait().unwrap().success()
    }
}

pub fn kill(signal: &str, target: &str) {
    let status =
        Command::new("/bin/sh").args(["-c", "kill -s \"$1\" -- \"$2\"", "sh", signal, target]).status().unwrap();
    assert!(status.success(), "kill -s {signal} -- {target}");
}

/// The process id of the server in this data directory.
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

/// Whether a process of a server uses this data directory.
pub fn has_server(dir: &Path) -> bool {
    let lock = File::open(dir.join("server.lock")).unwrap();
    match lock.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Waits until the condition holds, or panics after the timeout.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..TIMEOUT.as_millis() / STEP.as_millis() {
        if condition() {
            return;
        }
        thread::sleep(STEP);
    }
    panic!("{what}: not within {} s", TIMEOUT.as_secs());
}
