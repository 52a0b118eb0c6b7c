//! The service with a database and a payment provider of its own: `ridematch demo`.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Result;

/// The longest start: a PostgreSQL may have to be fetched first.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// How often, and how many times, the end is polled before the demo is killed: 15 s.
const END_POLL: Duration = Duration::from_millis(50);
const END_POLLS_MAX: u32 = 300;

/// A running demo. Dropping it stops it in order.
#[derive(Debug)]
pub(super) struct Demo {
    pub about: About,
    child: Child,
}

/// What the demo prints when it is ready.
#[derive(Debug, Deserialize)]
pub(super) struct About {
    pub base_url: String,
    pub provider: Provider,
    pub tokens: Tokens,
}

#[derive(Debug, Deserialize)]
pub(super) struct Provider {
    pub url: String,
    pub secret_key: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tokens {
    pub ops: String,
}

impl Demo {
    /// Starts a demo without drivers, with its data and its log in `dir`.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(program: &Path, dir: &Path) -> Result<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.to_string();
        let log = dir.join("demo.log");
        let mut command = Command::new(program);
        // The rate limit is no part of the exercise.
        command.args(["demo", "--json", "--drivers", "0", "--rate-limit", "100000", "--listen", &address]);
        command.arg("--data-dir").arg(dir.join("data")).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(std::fs::File::create(&log)?).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the demo has no output")?).lines();
        let line =
            tokio::time::timeout(READY_WITHIN, lines.next_line()).await.map_err(|_| "the demo is not ready")??;
        let Some(line) = line else {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("the demo ended before it was ready:\n{}", log.trim_end()).into());
        };
        let about = serde_json::from_str(&line).map_err(|error| format!("the demo printed no addresses: {error}"))?;
        Ok(Self { about, child })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let Some(id) = self.child.id() else { return };
        let mut kill = std::process::Command::new("/bin/sh");
        let _sent = kill.args(["-c", "kill -s TERM \"$1\"", "sh", &id.to_string()]).stderr(Stdio::null()).status();
        for _ in 0..END_POLLS_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(END_POLL);
        }
    }
}
