//! One run of a solution: a process group of its own, with limits, in a directory of its own.
//!
//! The limits stop accidents, not attacks: the program has the user's rights, files and network.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use launcher::environment::isolate;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Notify;

use crate::Result;
use crate::catalog::Limits;

/// The most that a solution may print: four times the longest answer.
pub const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// The most that is kept of standard error: its last part, where programs say why they end.
const ERRORS_BYTES_MAX: usize = 64 << 10;

/// The longest file that a solution may write, in blocks of 512 bytes: 64 MB.
const FILE_BLOCKS_MAX: u64 = (64 << 20) / 512;

/// How long the pipes may stay open after the process group was killed.
const PIPES_CLOSE_WITHIN: Duration = Duration::from_secs(1);

const CHUNK_BYTES: usize = 1 << 14;

/// Sets the limits and becomes the solution. First the soft limit of the processor time, whose signal tells it from other kills.
const LIMIT: &str = "ulimit -S -t \"$1\" && ulimit -H -t \"$2\" && ulimit -f \"$3\" && ulimit -d \"$4\" && ulimit -c 0 || \
                     { echo 'a limit cannot be set' >&2; exit 125; }; shift 4; exec \"$@\"";

/// The exit code of [`LIMIT`] if a limit cannot be set, and its last line: a solution may use the code too.
const NO_LIMITS: i32 = 125;
const NO_LIMITS_LINE: &str = "a limit cannot be set\n";

/// The signal at the soft limit of the processor time, and the exit code of a shell whose child got it.
const SIGXCPU: i32 = 24;
const CHILD_GOT_SIGXCPU: i32 = 128 + SIGXCPU;

/// What to run.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Program and arguments.
    pub command: &'a [OsString],
    /// What it may use.
    pub limits: Limits,
    /// Standard input.
    pub input: &'a Path,
    /// The working directory.
    pub dir: &'a Path,
    /// Further variables. Of this process's own, a solution has [`launcher::environment::INHERITED`].
    pub environment: &'a [(&'a str, String)],
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that was not ours.
    Killed(i32),
    /// At the limit of its processor time.
    CpuTime,
    /// At the limit of time.
    WallTime,
    /// At the limit of its output.
    TooMuchOutput,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub struct Run {
    /// How.
    pub end: End,
    /// Standard output.
    pub stdout: String,
    /// The last part of standard error.
    pub stderr: String,
    /// How long it took.
    pub seconds: f64,
}

/// A process group, which is killed as a whole when this is dropped.
#[derive(Debug)]
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new("/bin/sh");
        kill.args(["-c", "kill -s KILL -- \"-$1\"", "sh", &self.0.to_string()]);
        // It fails if every process has ended.
        let _sent = kill.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Runs a solution to its end, and kills what it has started and left. Dropping the future kills it too.
///
/// # Errors
/// It cannot be started, the limits cannot be set, or a process escaped from the group and holds the output open.
pub async fn run(job: Job<'_>) -> Result<Run> {
    let Limits { cpu_s, wall_s, memory_mb } = job.limits;
    let limits = [cpu_s, cpu_s + 1, FILE_BLOCKS_MAX, memory_mb * 1024].map(|limit| limit.to_string());
    let mut command = Command::new("/bin/sh");
    isolate(command.as_std_mut());
    command.args(["-c", LIMIT, "sh"]).args(limits).args(job.command);
    command.envs(job.environment.iter().map(|(name, value)| (name, value))).env("TMPDIR", job.dir);
    command.current_dir(job.dir).stdin(File::open(job.input)?).stdout(Stdio::piped()).stderr(Stdio::piped());
    let watch = Stopwatch::start();
    let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
    let group = Group(child.id().ok_or("the solution has no process id")?);
    let (stdout, stderr) = (child.stdout.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
    let is_too_long = Arc::new(Notify::new());
    let stdout = tokio::spawn(read(stdout, OUTPUT_BYTES_MAX, Arc::clone(&is_too_long)));
    let stderr = tokio::spawn(read_last(stderr, ERRORS_BYTES_MAX));
    let end = tokio::select! {
        status = child.wait() => end(status?),
        () = tokio::time::sleep(Duration::from_secs(wall_s)) => End::WallTime,
        () = is_too_long.notified() => End::TooMuchOutput,
    };
    let seconds = watch.seconds();
    drop(group);
    child.wait().await?;
    let escaped = "a process that your solution has started is outside its process group and holds the output open; \
                   end it, and start none in a session of its own";
    let both = async { Ok::<_, tokio::task::JoinError>((stdout.await?, stderr.await?)) };
    let (stdout, stderr) = tokio::time::timeout(PIPES_CLOSE_WITHIN, both).await.map_err(|_| escaped)??;
    // The output may have exceeded its limit just before the end.
    let end = if stdout.len() > OUTPUT_BYTES_MAX { End::TooMuchOutput } else { end };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let run = Run { end, stdout: text(stdout), stderr: text(stderr), seconds };
    if run.end == End::Exited(NO_LIMITS) && run.stderr.ends_with(NO_LIMITS_LINE) {
        let why = run.stderr.trim_end_matches(NO_LIMITS_LINE).trim();
        let way_out = "your shell has lower ones already, which `ulimit -H -a` shows";
        return Err(format!("the limits cannot be set on this machine: {why}; {way_out}").into());
    }
    Ok(run)
}

fn end(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(CHILD_GOT_SIGXCPU), _) | (_, Some(SIGXCPU)) => End::CpuTime,
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    }
}

/// Reads to the end. Keeps one byte more than `bytes_max`, so that the caller sees that there was more.
async fn read(mut from: impl AsyncRead + Unpin, bytes_max: usize, is_too_long: Arc<Notify>) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::<u8>::new(), vec![0; CHUNK_BYTES]);
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        let wanted = count.min(bytes_max + 1 - kept.len());
        kept.extend_from_slice(&chunk[..wanted]);
        if kept.len() > bytes_max {
            is_too_long.notify_one();
        }
    }
    kept
}

/// Reads to the end. Keeps the last `bytes_max` bytes, or up to twice as many.
async fn read_last(mut from: impl AsyncRead + Unpin, bytes_max: usize) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::<u8>::new(), vec![0; CHUNK_BYTES]);
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > 2 * bytes_max {
            kept.drain(..kept.len() - bytes_max);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cpu_s: 1, wall_s: 20, memory_mb: 64 };

    /// Runs a script of the shell in a directory of its own.
    async fn sh(script: &str, limits: Limits) -> Run {
        let folder = tempfile::tempdir().expect("a directory");
        let input = folder.path().join("input");
        std::fs::write(&input, "1 2\n").expect("written");
        let command = ["/bin/sh", "-c", script].map(OsString::from);
        let environment = [("RIDES_URL", "http://127.0.0.1:1".to_owned())];
        let job = Job { command: &command, limits, input: &input, dir: folder.path(), environment: &environment };
        run(job).await.expect("a run")
    }

    #[tokio::test]
    async fn solution_has_its_input_its_directory_and_only_the_listed_variables() {
        let run = sh(
            "cat; echo \"$RIDES_URL\"; test \"$PWD\" = \"$TMPDIR\" && echo \"$CARGO_PKG_NAME.\"; echo oh >&2; exit 3",
            LIMITS,
        )
        .await;
        assert_eq!(
            (run.end, run.stdout.as_str(), run.stderr.as_str()),
            (End::Exited(3), "1 2\nhttp://127.0.0.1:1\n.\n", "oh\n")
        );
    }

    #[tokio::test]
    async fn last_part_of_a_long_standard_error_is_kept() {
        let run = sh("yes | head -c 1000000 >&2; echo MemoryError >&2; exit 1", LIMITS).await;
        assert_eq!(run.end, End::Exited(1));
        assert!(run.stderr.ends_with("\nMemoryError\n") && run.stderr.len() <= 3 * ERRORS_BYTES_MAX);
    }

    #[tokio::test]
    async fn exit_code_of_missing_limits_is_also_a_solutions_own() {
        assert_eq!(sh("echo no >&2; exit 125", LIMITS).await.end, End::Exited(125));
    }

    #[tokio::test]
    async fn each_limit_ends_the_run() {
        let limits = Limits { wall_s: 1, ..LIMITS };
        assert_eq!(sh("sleep 60", limits).await.end, End::WallTime);
        assert_eq!(sh("while :; do :; done", LIMITS).await.end, End::CpuTime);
        // The child of a child has the limits too.
        assert_eq!(sh("/bin/sh -c 'while :; do :; done'; exit $?", LIMITS).await.end, End::CpuTime);
        assert_eq!(sh("yes", LIMITS).await.end, End::TooMuchOutput);
        let large = sh("yes | head -c 70000000 > large; wc -c < large", LIMITS).await;
        assert_eq!(large.stdout.trim(), (64 << 20).to_string());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn memory_is_limited() {
        // `tail` keeps what it will print.
        let script = "head -c 60000000 /dev/zero | tail -c 50000000 | wc -c";
        assert_eq!(sh(script, LIMITS).await.stdout.trim(), "50000000");
        let run = sh(script, Limits { memory_mb: 16, ..LIMITS }).await;
        assert!(run.stdout.trim() == "0" && run.stderr.contains("memory"), "{run:?}");
    }

    #[tokio::test]
    async fn processes_that_a_solution_leaves_are_killed() {
        let run = sh("sleep 600 & echo $!", LIMITS).await;
        assert_eq!(run.end, End::Exited(0));
        assert!(run.seconds < 15.0, "nothing waits for the process that was left");
        let ps = Command::new("ps").args(["-o", "stat=", "-p", run.stdout.trim()]).output().await.expect("ps");
        // Dead, though its parent may not have waited for it.
        assert!(matches!(ps.stdout.trim_ascii().first(), None | Some(b'Z')), "{ps:?}");
    }
}
