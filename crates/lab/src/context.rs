//! What a running lab has: seed, number of runs, time limit, progress and a database.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use embedded_postgres::Server;
use launcher::clock::Stopwatch;
use rand::rngs::StdRng;

use crate::{Result, random};

/// The surroundings of one lab.
#[derive(Debug, Clone)]
pub struct Context {
    /// The seed of all random choices.
    pub seed: u64,
    /// Runs of each measurement.
    pub runs: u32,
    time_limit: Duration,
    started: Stopwatch,
    server: Option<Server>,
    name: Option<&'static str>,
}

impl Context {
    /// A context without progress, for tests.
    pub fn quiet(seed: u64, runs: u32, server: Option<Server>) -> Self {
        Self { seed, runs, time_limit: Duration::MAX, started: Stopwatch::start(), server, name: None }
    }

    /// A context of the command line. The time starts now.
    pub(crate) fn shown(name: &'static str, (seed, runs): (u64, u32), time_limit: Duration) -> Self {
        Self { seed, runs, time_limit, started: Stopwatch::start(), server: None, name: Some(name) }
    }

    /// Adds the server for the lab's database.
    pub(crate) fn with_server(self, server: Server) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Returns the seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.seconds()
    }

    /// Returns the generator of one purpose in one run.
    pub(crate) fn random(&self, purpose: &str, run: u32) -> StdRng {
        random::generator(self.seed, purpose, run)
    }

    /// Shows which run is next.
    ///
    /// # Errors
    /// The lab has exceeded its time limit.
    pub(crate) fn step(&self, run: u32, what: &str) -> Result<()> {
        self.say(&format!("run {} of {}: {what}", run + 1, self.runs));
        let (spent, limit) = (self.started.elapsed(), self.time_limit);
        if spent <= limit {
            return Ok(());
        }
        let (spent, limit) = (spent.as_secs(), limit.as_secs());
        Err(format!(
            "stopped after {spent} s, with a limit of {limit} s, at run {} of {}: {what}. \
             Close other programs, or allow more with `--time-limit {}`",
            run + 1,
            self.runs,
            limit * 3
        )
        .into())
    }

    /// Shows a line of progress. Standard output is for the result.
    pub(crate) fn say(&self, what: &str) {
        let Some(name) = self.name else { return };
        let mut err = std::io::stderr().lock();
        let line = format!("{name}: {:>3.0} s  {what}", self.seconds());
        // A terminal shows only the last line.
        let shown = if err.is_terminal() { write!(err, "\r\x1b[K{line}") } else { writeln!(err, "{line}") };
        shown.and_then(|()| err.flush()).ok();
    }

    /// Removes the line of progress.
    pub(crate) fn clear_line(&self) {
        let mut err = std::io::stderr().lock();
        if self.name.is_some() && err.is_terminal() {
            write!(err, "\r\x1b[K").ok();
        }
    }

    /// Creates an empty database with this name and returns its URL. An earlier one with the name is dropped.
    ///
    /// # Errors
    /// The context has no server, or the server refuses.
    pub(crate) async fn database(&self, name: &str) -> Result<String> {
        let server = self.server.as_ref().ok_or("this lab needs a PostgreSQL, and none was started")?;
        server.drop_database(name).await?;
        server.ensure_database(name).await?;
        Ok(server.url(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_after_the_limit_is_an_error_with_a_way_out() {
        let context = Context { time_limit: Duration::ZERO, ..Context::quiet(1, 5, None) };
        std::thread::sleep(Duration::from_millis(2));
        let error = context.step(2, "by row").expect_err("the limit").to_string();
        assert!(error.contains("run 3 of 5: by row") && error.contains("--time-limit"), "{error}");
    }

    #[tokio::test]
    async fn database_without_a_server_is_an_error() {
        assert!(Context::quiet(1, 5, None).database("x").await.is_err());
    }
}
