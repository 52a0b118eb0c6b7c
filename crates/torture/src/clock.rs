//! The machine's clock, for how long things take. Nothing that is decided depends on it but when the torture ends.

use std::time::Duration;

use tokio::time::Instant;

/// A stopwatch that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    pub fn start() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one place that looks at the machine's clock")]
        Self(Instant::now())
    }

    /// How long it has run.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
