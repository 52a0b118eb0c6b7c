//! A process under torture: started, killed with -9, paused with SIGSTOP, started again, and gone when this process is.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use crate::BoxError;

/// How long a process may take to say where it listens. A service waits for its database.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// How long it may take to stop in order.
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// Pauses a process until standard input ends, which it does when whoever holds the other end is gone, too: nothing is left
/// stopped behind.
const PAUSE: &str = "kill -STOP \"$1\" && read -r _; kill -CONT \"$1\"";

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What it is called in reports.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its configuration: this process's own is not handed on.
    pub environment: Vec<(&'static str, String)>,
    /// Where its standard error goes.
    pub log: PathBuf,
    /// Whether its first line of output says where it listens.
    pub announces: bool,
}

/// A process that runs.
#[derive(Debug)]
pub struct Process {
    /// Where it listens, if it says so.
    pub address: Option<SocketAddr>,
    child: Child,
    leash: Option<ChildStdin>,
}

/// A paused process. It goes on when this is dropped.
#[derive(Debug)]
pub struct Paused {
    _shell: Child,
}

impl Spec {
    /// Starts it, and waits until it says where it listens, if it does.
    ///
    /// # Errors
    /// If it cannot be started, ends, or says nothing within 20 s.
    pub async fn start(&self) -> Result<Process, BoxError> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_configuration(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        let mut child = command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(if self.announces { Stdio::piped() } else { log.try_clone()?.into() })
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.program.display()))?;
        // `wait` would close it, and the child take that for the end of this process.
        let leash = child.stdin.take();
        let mut process = Process { address: None, child, leash };
        if self.announces {
            process.address = Some(self.announced(&mut process.child).await?);
        }
        Ok(process)
    }

    async fn announced(&self, child: &mut Child) -> Result<SocketAddr, BoxError> {
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(STARTS_WITHIN, lines.next_line())
            .await
            .map_err(|_| format!("{} said nothing for {STARTS_WITHIN:?}", self.name))??;
        let address = first.as_deref().and_then(|line| line.strip_prefix("listening on http://")?.parse().ok());
        // Somebody has to read on, or it blocks on a full pipe some day.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(address.ok_or_else(|| format!("{} ended at its start; its log is {}", self.name, self.log.display()))?)
    }
}

impl Process {
    /// `kill -9`.
    pub async fn kill(&mut self) {
        drop(self.leash.take());
        let _gone = self.child.kill().await;
    }

    /// Lets it stop in order by letting go of it, and kills it if it does not.
    pub async fn stop(&mut self) {
        drop(self.leash.take());
        if tokio::time::timeout(STOPS_WITHIN, self.child.wait()).await.is_err() {
            let _gone = self.child.kill().await;
        }
    }

    /// SIGSTOP until the answer is dropped.
    ///
    /// # Errors
    /// If there is no shell, or no process.
    pub fn pause(&self) -> Result<Paused, BoxError> {
        let id = self.child.id().ok_or("it has ended")?;
        let shell = Command::new("/bin/sh")
            .args(["-c", PAUSE, "sh", &id.to_string()])
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()?;
        Ok(Paused { _shell: shell })
    }

    /// Returns when it has ended by itself, and says how.
    pub async fn ended(&mut self) -> String {
        self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

/// What would reach into a process from the shell in which the torture was called.
fn is_configuration(variable: &str) -> bool {
    variable == "DATABASE_URL" || ["RIDEMATCH_", "PSP_", "PG"].iter().any(|prefix| variable.starts_with(prefix))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn cat(dir: &std::path::Path) -> Spec {
        Spec {
            name: "cat",
            program: "/bin/cat".into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log: dir.join("cat.log"),
            announces: false,
        }
    }

    async fn until_in_state(process: &Process, wanted: impl Fn(&str) -> bool) {
        let id = process.child.id().unwrap().to_string();
        let look = async {
            loop {
                let output = Command::new("ps").args(["-o", "stat=", "-p", &id]).output().await.unwrap();
                if wanted(String::from_utf8_lossy(&output.stdout).trim()) {
                    return;
                }
            }
        };
        tokio::time::timeout(STOPS_WITHIN, look).await.unwrap();
    }

    #[tokio::test]
    async fn a_paused_process_goes_on_when_its_pauser_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let process = cat(dir.path()).start().await.unwrap();
        let paused = process.pause().unwrap();
        until_in_state(&process, |state| state.starts_with('T')).await;
        drop(paused);
        until_in_state(&process, |state| state.starts_with('S')).await;
    }

    #[tokio::test]
    async fn a_process_ends_when_it_is_let_go_of() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = cat(dir.path()).start().await.unwrap();
        tokio::time::timeout(STOPS_WITHIN / 2, process.stop()).await.unwrap();
        assert!(process.child.id().is_none(), "it has been waited for");
    }

    #[tokio::test]
    async fn one_that_ends_before_it_listens_is_an_error_that_names_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec { program: "/bin/true".into(), announces: true, ..cat(dir.path()) };
        let error = spec.start().await.unwrap_err().to_string();
        assert!(error.contains("ended at its start") && error.contains("cat.log"), "{error}");
    }
}
