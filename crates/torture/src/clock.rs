//! The machine's clock, for durations only.

use std::time::Duration;

use tokio::time::Instant;

/// A running stopwatch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
