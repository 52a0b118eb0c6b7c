//! A served stack from outside: starts it, reads what it writes, asks it to do something, stops it.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use launcher::BoxError;
use launcher::clock::Stopwatch;

use super::model::RunSpec;
use super::serve::{ServeCommand, ServeReply, ServedState, read_json, write_json};
use crate::observe::figures::Figures;

/// How long a stack may take to serve. Bulk data is made once, which takes most of it.
const STARTS_WITHIN: Duration = Duration::from_secs(330);

/// How long a command may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take to stop.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Bytes of its log that an error quotes.
const QUOTED_MAX: usize = 2_000;

/// A served stack, alive or dead.
#[derive(Debug, Clone)]
pub struct Served {
    dir: PathBuf,
    /// Where it listens.
    pub state: ServedState,
}

impl Served {
    /// Starts a stack in a process of its own, which outlives this one, and waits until it serves. `arguments` make `program` call
    /// [`super::serve()`] with the directory.
    ///
    /// # Errors
    /// If one runs already, or it does not start: the message has the end of its log.
    pub async fn start(dir: &Path, spec: &RunSpec, program: &Path, arguments: &[&str]) -> Result<Self, BoxError> {
        std::fs::create_dir_all(dir)?;
        if is_locked(dir)? {
            return Err("a drill is running already: stop it with `cargo drill reset`".into());
        }
        for stale in ["serve.json", "figures.json", "command.json", "reply.json"] {
            let _absent = std::fs::remove_file(dir.join(stale));
        }
        write_json(&dir.join("spec.json"), spec)?;
        let log = File::create(dir.join("serve.log"))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C in the terminal does not reach it.
        let mut starting = Starting(Some(command.process_group(0).spawn()?));
        let waited = Stopwatch::start();
        while waited.elapsed() < STARTS_WITHIN {
            if let Ok(state) = read_json(&dir.join("serve.json")) {
                starting.0 = None;
                return Ok(Self { dir: dir.to_owned(), state });
            }
            let ended = starting.0.as_mut().map(Child::try_wait).transpose()?.flatten();
            if let Some(status) = ended {
                return Err(format!("the service under drill did not start ({status}): {}", log_end(dir)).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("the service under drill did not start within {STARTS_WITHIN:?}: {}", log_end(dir)).into())
    }

    /// Finds the stack of a directory. `None`: there is none, or it was stopped.
    ///
    /// # Errors
    /// If it died: the message has the end of its log.
    pub fn find(dir: &Path) -> Result<Option<Self>, BoxError> {
        let path = dir.join("serve.json");
        if !path.exists() {
            return Ok(None);
        }
        let state = read_json(&path)?;
        if !is_locked(dir)? {
            let hint = "`cargo drill reset` starts it anew";
            return Err(format!("the process that runs the service has ended; {hint}. {}", log_end(dir)).into());
        }
        Ok(Some(Self { dir: dir.to_owned(), state }))
    }

    /// What the last minute shows.
    ///
    /// # Errors
    /// If there are no figures yet.
    pub fn figures(&self) -> Result<Figures, BoxError> {
        read_json(&self.dir.join("figures.json"))
    }

    /// Asks it to do something, and waits for the response.
    ///
    /// # Errors
    /// If it fails, or there is no response in time.
    pub async fn ask(&self, command: &ServeCommand) -> Result<serde_json::Value, BoxError> {
        let reply = self.dir.join("reply.json");
        let _absent = std::fs::remove_file(&reply);
        write_json(&self.dir.join("command.json"), command)?;
        let waited = Stopwatch::start();
        while waited.elapsed() < ANSWERS_WITHIN {
            if let Ok(ServeReply { value, error }) = read_json(&reply) {
                return if error.is_empty() { Ok(value) } else { Err(error.into()) };
            }
            if !is_locked(&self.dir)? {
                return Err(format!("the process that runs the service has ended. {}", log_end(&self.dir)).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("no response within {ANSWERS_WITHIN:?}").into())
    }

    /// Stops the stack of a directory, if one runs, and removes its files. Returns whether one ran.
    ///
    /// # Errors
    /// If it does not stop.
    pub async fn stop(dir: &Path) -> Result<bool, BoxError> {
        if !dir.exists() {
            return Ok(false);
        }
        let ran = is_locked(dir)?;
        if ran {
            stop_running(dir).await?;
        }
        for file in ["serve.json", "figures.json", "command.json", "reply.json", "spec.json"] {
            let _absent = std::fs::remove_file(dir.join(file));
        }
        Ok(ran)
    }
}

/// A process that does not serve yet. Dropped, as by Ctrl-C, it is killed: it would serve a drill that was never started.
struct Starting(Option<Child>);

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ended = child.kill().and_then(|()| child.wait());
        }
    }
}

async fn stop_running(dir: &Path) -> Result<(), BoxError> {
    write_json(&dir.join("command.json"), &ServeCommand::Stop)?;
    let waited = Stopwatch::start();
    while waited.elapsed() < STOPS_WITHIN {
        if !is_locked(dir)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // It is still locked, so the process id is its own. Its children end with it.
    let pid = process_of(dir).ok_or("its process id is unknown")?;
    Command::new("/bin/sh").args(["-c", "kill -9 \"$1\"", "sh", &pid.to_string()]).status()?;
    while waited.elapsed() < STOPS_WITHIN * 2 {
        if !is_locked(dir)? {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(format!("process {pid} does not stop").into())
}

/// The process that holds the lock, as it wrote it there.
fn process_of(dir: &Path) -> Option<u32> {
    std::fs::read_to_string(dir.join("serve.lock")).ok()?.trim().parse().ok()
}

/// Whether a process runs there: it holds the lock as long as it lives, however it ends.
fn is_locked(dir: &Path) -> Result<bool, BoxError> {
    let Ok(lock) = File::open(dir.join("serve.lock")) else { return Ok(false) };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

fn log_end(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("serve.log")).unwrap_or_default();
    let from = text.len().saturating_sub(QUOTED_MAX);
    let text = text.get(from..).unwrap_or(&text).trim();
    if text.is_empty() { "Its log is empty.".to_owned() } else { format!("Its log ends:\n{text}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn process_that_does_not_serve_yet_is_known_and_ends_with_its_start() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!Served::stop(dir.path()).await.unwrap());
        let lock = File::create(dir.path().join("serve.lock")).unwrap();
        lock.try_lock().unwrap();
        // A child inherits the lock by its standard input, and holds it until it is killed.
        let mut holder = Command::new("sleep").arg("60").stdin(Stdio::from(lock)).spawn().unwrap();
        std::fs::write(dir.path().join("serve.lock"), holder.id().to_string()).unwrap();
        assert!(is_locked(dir.path()).unwrap());
        assert_eq!(process_of(dir.path()), Some(holder.id()));
        assert!(Served::find(dir.path()).unwrap().is_none(), "it does not serve");
        let starting = Starting(Some(Command::new("sleep").arg("60").spawn().unwrap()));
        let pid = starting.0.as_ref().unwrap().id();
        drop(starting);
        let gone = Command::new("/bin/sh").args(["-c", "kill -0 \"$1\"", "sh", &pid.to_string()]).output().unwrap();
        assert!(!gone.status.success(), "a process that was not waited for still exists");
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(!is_locked(dir.path()).unwrap());
    }
}
