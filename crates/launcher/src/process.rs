//! One child process: start, pause, stop, kill.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;

use crate::BoxError;
use crate::environment::isolate;

/// How long a process may take to stop in order.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Between a process's request to be killed and the kill: the response to the caller is still on its way.
const KILL_AFTER: Duration = Duration::from_millis(50);

/// How long a SIGSTOP may take to reach every thread of a process.
const PAUSES_WITHIN: Duration = Duration::from_secs(5);
const PAUSE_POLL: Duration = Duration::from_millis(10);

/// Sends SIGSTOP, and SIGCONT when standard input ends. It ends when the holder of the pipe dies, so no process stays stopped.
const PAUSE: &str = "kill -STOP \"$1\" && read -r _; kill -CONT \"$1\"";

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Name of the process in messages.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its configuration. Of this process's own variables it inherits [`INHERITED`](crate::environment::INHERITED).
    pub environment: Vec<(&'static str, String)>,
    /// File to which standard error is appended, and standard output too unless `announces`. `None`: this process's own streams.
    pub log: Option<PathBuf>,
    /// Whether the first line of standard output is `listening on http://ADDRESS`.
    pub announces: bool,
    /// How long the process may take to print its address. A service first waits for its database.
    pub starts_within: Duration,
    /// Line of standard output by which the process asks to be killed.
    pub kill_line: Option<&'static str>,
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    /// Where it listens, if it announces that.
    pub address: Option<SocketAddr>,
    child: Child,
    /// The child's standard input. With `--exit-with-parent`, the child stops when this is closed.
    lifetime_pipe: Option<ChildStdin>,
    kill_requested: Arc<Notify>,
}

/// A paused process. It continues when this is dropped.
#[derive(Debug)]
pub struct Paused {
    _shell: Child,
}

impl Spec {
    /// Starts the process. Waits for its address if it announces one.
    ///
    /// # Errors
    /// If the process cannot be started, ends, or prints nothing within [`Spec::starts_within`].
    pub async fn start(&self) -> Result<Process, BoxError> {
        let mut command = Command::new(&self.program);
        isolate(command.as_std_mut());
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).kill_on_drop(true).process_group(0);
        if let Some(path) = &self.log {
            let log = File::options().create(true).append(true).open(path)?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        if self.announces {
            command.stdout(Stdio::piped());
        }
        let child =
            command.spawn().map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        let mut process = Process { address: None, child, lifetime_pipe: None, kill_requested: Arc::default() };
        // `Child::wait` would close it, and the child would take that for the end of this process.
        process.lifetime_pipe = process.child.stdin.take();
        if self.announces {
            process.address = Some(self.read_address(&mut process).await?);
        }
        Ok(process)
    }

    /// Reads the address from the first line, and leaves a task that reads the rest so that the pipe never fills.
    async fn read_address(&self, process: &mut Process) -> Result<SocketAddr, BoxError> {
        let stdout = process.child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(self.starts_within, lines.next_line()).await.map_err(|_| {
            format!("{} printed nothing within {:?}{}", self.name, self.starts_within, self.log_hint())
        })??;
        let address = first.as_deref().and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
        let (kill_line, kill_requested) = (self.kill_line, Arc::clone(&process.kill_requested));
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if Some(line.as_str()) == kill_line {
                    kill_requested.notify_one();
                }
            }
        });
        Ok(address.ok_or_else(|| format!("{} ended before it listened{}", self.name, self.log_hint()))?)
    }

    /// Where to look for the reason of a failure.
    pub(crate) fn log_hint(&self) -> String {
        self.log.as_ref().map(|log| format!("; its log is {}", log.display())).unwrap_or_default()
    }
}

impl Process {
    /// Sends SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        drop(self.lifetime_pipe.take());
        let _ended = self.child.kill().await;
    }

    /// Closes standard input, which stops the process in order. Kills it after 15 s.
    pub async fn stop(&mut self) {
        drop(self.lifetime_pipe.take());
        if tokio::time::timeout(STOPS_WITHIN, self.child.wait()).await.is_err() {
            let _ended = self.child.kill().await;
        }
    }

    /// Sends SIGSTOP, and waits until every thread has stopped. The process continues when the result is dropped.
    ///
    /// # Errors
    /// If the process has ended, or cannot be stopped.
    pub async fn pause(&self) -> Result<Paused, BoxError> {
        let id = self.child.id().ok_or("the process has ended")?.to_string();
        let shell =
            Command::new("/bin/sh").args(["-c", PAUSE, "sh", &id]).stdin(Stdio::piped()).process_group(0).spawn()?;
        let stopped = async {
            while !is_stopped(&id).await? {
                tokio::time::sleep(PAUSE_POLL).await;
            }
            Ok::<_, BoxError>(())
        };
        tokio::time::timeout(PAUSES_WITHIN, stopped).await.map_err(|_| "the process did not stop")??;
        Ok(Paused { _shell: shell })
    }

    /// Waits until the process ends by itself or is killed at its own request. Returns its status as text.
    pub async fn ended(&mut self) -> String {
        let ended = tokio::select! {
            ended = self.child.wait() => ended,
            () = self.kill_requested.notified() => {
                tokio::time::sleep(KILL_AFTER).await;
                let _sent = self.child.start_kill();
                self.child.wait().await
            }
        };
        ended.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

/// Whether SIGSTOP has reached every thread. On a busy machine a thread may otherwise make one more call.
async fn is_stopped(process_id: &str) -> Result<bool, BoxError> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process_id}/task")) else {
        // No /proc: the state of the process as a whole.
        let output = Command::new("ps").args(["-o", "stat=", "-p", process_id]).output().await?;
        return Ok(output.stdout.trim_ascii().first() == Some(&b'T'));
    };
    let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
        let stat = thread.and_then(|thread| std::fs::read_to_string(thread.path().join("stat"))).unwrap_or_default();
        // The state follows the name, which is in parentheses. A thread that has ended has no state.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    };
    Ok(threads.into_iter().all(is_stopped))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::environment::INHERITED;

    fn cat() -> Spec {
        Spec {
            name: "cat",
            program: "/bin/cat".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: None,
            announces: false,
            starts_within: Duration::from_secs(20),
            kill_line: None,
        }
    }

    #[tokio::test]
    async fn process_gets_its_configuration_and_inherits_only_the_listed_variables() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("env.log");
        let environment = vec![("RIDEMATCH_LISTEN", "127.0.0.1:1".to_owned()), ("HOME", "/nowhere".to_owned())];
        let spec = Spec { program: "/usr/bin/env".into(), environment, log: Some(log.clone()), ..cat() };
        spec.start().await.unwrap().ended().await;
        let shown = std::fs::read_to_string(log).unwrap();
        assert!(shown.contains("RIDEMATCH_LISTEN=127.0.0.1:1\n") && shown.contains("HOME=/nowhere\n"), "{shown}");
        // Cargo has set variables of its own for this test.
        assert!(std::env::var_os("CARGO_PKG_NAME").is_some());
        let names = shown.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let others: Vec<_> = names.filter(|name| *name != "RIDEMATCH_LISTEN" && !INHERITED.contains(name)).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    #[tokio::test]
    async fn dropping_the_pause_continues_the_process() {
        let mut process = cat().start().await.unwrap();
        let id = process.child.id().unwrap().to_string();
        let paused = process.pause().await.unwrap();
        assert!(is_stopped(&id).await.unwrap());
        drop(paused);
        // Only a process that runs can stop in order.
        tokio::time::timeout(STOPS_WITHIN / 2, process.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn stop_closes_standard_input_and_waits() {
        let mut process = cat().start().await.unwrap();
        tokio::time::timeout(STOPS_WITHIN / 2, process.stop()).await.unwrap();
        assert!(process.child.id().is_none(), "the process was waited for");
    }

    #[tokio::test]
    async fn ending_before_the_address_is_an_error_that_names_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = Some(dir.path().join("cat.log"));
        let spec = Spec { program: "/bin/true".into(), announces: true, log, ..cat() };
        let error = spec.start().await.unwrap_err().to_string();
        assert!(error.contains("ended before it listened") && error.contains("cat.log"), "{error}");
    }

    #[tokio::test]
    async fn printing_the_kill_line_gets_the_process_killed() {
        let script = "echo listening on http://127.0.0.1:1; echo kill me; cat";
        let spec = Spec {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            announces: true,
            kill_line: Some("kill me"),
            ..cat()
        };
        let mut process = spec.start().await.unwrap();
        assert_eq!(process.address.unwrap().port(), 1);
        assert!(process.ended().await.contains("signal: 9"));
    }
}
