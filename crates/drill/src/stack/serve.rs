//! A stack that keeps running under its load: the process that `start` leaves behind for `observe`.
//!
//! Its directory has `serve.lock` (locked while it runs), `spec.json` (what it runs), `serve.json` (where it listens), `figures.json`
//! (what the last minute shows, written every second), and one command at a time (`command.json`, answered in `reply.json`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::model::RunSpec;
use super::processes::Stack;
use super::run::LoadRun;
use crate::load::LoadSpec;
use crate::observe::figures::FiguresWriter;

/// Between two figures, and two looks for a command.
const EVERY: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a load runs that has no end: the process is forgotten then, and stops.
const LONGEST_S: f64 = 12.0 * 3_600.0;

/// How long an audit waits for work that is not settled.
const AUDIT_SETTLES: Duration = Duration::from_secs(5);

/// Where a served stack listens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServedState {
    /// Its process id.
    pub pid: u32,
    /// The service.
    pub base_url: String,
    /// The provider simulator.
    pub provider_url: String,
    /// The database, for psql.
    pub database_url: String,
    /// The services' logs: JSON lines.
    pub logs: Vec<PathBuf>,
}

/// What a served stack is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "do")]
pub enum ServeCommand {
    /// Stop the service in order, migrate the database with another program, and start that one. Database and load go on.
    Redeploy {
        /// The program.
        program: PathBuf,
        /// The run's own environment, in place of the former.
        environment: BTreeMap<String, String>,
    },
    /// Audit the database with the program of the clean checkout.
    Audit,
    /// Stop, and remove everything.
    Stop,
}

/// The response to a command: a value, or what went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServeReply {
    /// The result; the audit's report, or null.
    pub value: Value,
    /// What went wrong; empty if nothing did.
    pub error: String,
}

/// Runs the stack that `spec.json` of the directory describes, until it is asked to stop. The body of the process.
///
/// # Errors
/// If another process runs there, or something does not start.
pub async fn serve(dir: &Path) -> Result<(), BoxError> {
    let mut lock = File::options().create(true).write(true).truncate(false).open(dir.join("serve.lock"))?;
    lock.try_lock().map_err(|_| "a drill is running already: stop it with `cargo drill reset`")?;
    // By its number it can be stopped before it serves.
    lock.set_len(0)?;
    write!(lock, "{}", std::process::id())?;
    let spec: RunSpec = read_json(&dir.join("spec.json"))?;
    // A terminal that closes does not end it.
    let mut hang_ups = signal(SignalKind::hangup())?;
    tokio::spawn(async move { while hang_ups.recv().await.is_some() {} });
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let served = serve_until_stopped(dir, spec);
    let end = tokio::select! {
        end = served => end,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    for file in ["serve.json", "figures.json", "command.json"] {
        let _absent = std::fs::remove_file(dir.join(file));
    }
    end
}

async fn serve_until_stopped(dir: &Path, spec: RunSpec) -> Result<(), BoxError> {
    let spec = RunSpec { load: endless(spec.load), ..spec };
    let stack = Arc::new(Stack::start(&spec).await?);
    let mut load = LoadRun::start(&stack, &spec, spec.seed).await?;
    let state = ServedState {
        pid: std::process::id(),
        base_url: stack.urls[0].clone(),
        provider_url: stack.provider_url.clone(),
        database_url: stack.database_url.clone(),
        logs: stack.logs.clone(),
    };
    write_json(&dir.join("serve.json"), &state)?;
    let mut figures = FiguresWriter::new(&load, &spec.checks);
    let end = tokio::select! {
        end = load.wait() => end,
        end = answer_commands(dir, &stack, &spec) => end,
        end = write_figures(dir, &mut figures, &stack) => end,
    };
    load.abort().await;
    if let Some(stack) = Arc::into_inner(stack) {
        stack.discard().await;
    }
    end
}

/// Writes the figures each second.
async fn write_figures(dir: &Path, figures: &mut FiguresWriter, stack: &Stack) -> Result<(), BoxError> {
    loop {
        write_json(&dir.join("figures.json"), &figures.read(stack).await)?;
        tokio::time::sleep(EVERY).await;
    }
}

/// The load without an end: every rider returns after as many seconds as the load would have had.
fn endless(load: LoadSpec) -> LoadSpec {
    let period_s = load.seconds;
    let mut load = LoadSpec { seconds: LONGEST_S, ..load };
    for group in &mut load.riders {
        if group.trips > 0 {
            group.pause_s = group.pause_s.max(period_s / f64::from(group.trips));
        }
        group.trips = 0;
    }
    load
}

async fn answer_commands(dir: &Path, stack: &Stack, spec: &RunSpec) -> Result<(), BoxError> {
    let (command, reply) = (dir.join("command.json"), dir.join("reply.json"));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Ok(asked) = read_json::<ServeCommand>(&command) else { continue };
        std::fs::remove_file(&command)?;
        let result = match asked {
            ServeCommand::Stop => return Ok(()),
            ServeCommand::Audit => stack.audit(AUDIT_SETTLES).await,
            ServeCommand::Redeploy { program, environment } => {
                stack.redeploy(spec, &program, &environment).await.map(|()| Value::Null)
            }
        };
        let answer = match result {
            Ok(value) => ServeReply { value, error: String::new() },
            Err(error) => ServeReply { value: Value::Null, error: error.to_string() },
        };
        write_json(&reply, &answer)?;
    }
}

/// Reads a JSON file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, BoxError> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Writes a JSON file as a whole: a reader sees the old or the new one.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), BoxError> {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, serde_json::to_vec(value)?)?;
    Ok(std::fs::rename(temporary, path)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn riders_of_an_endless_load_return_at_the_rate_of_the_load() {
        let load = "seconds = 10\n[[riders]]\nname = \"a\"\ncount = 1\ntrips = 2\n[[riders]]\nname = \"b\"\ncount = 1\ntrips = 0";
        let load = endless(toml::from_str(load).unwrap());
        assert_eq!((load.riders[0].trips, load.riders[1].trips), (0, 0));
        assert!((load.riders[0].pause_s - 5.0).abs() < 0.01 && (load.riders[1].pause_s - 1.0).abs() < 0.01);
    }
}
