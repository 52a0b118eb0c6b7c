//! A private service for one replay. How one is started is known to the binary only.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

/// What a private service is asked to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchOptions {
    /// Domain seconds per real second.
    pub time_scale: u32,
}

/// A service that was started for one replay, with all that it stands on.
pub struct Launched {
    base_url: String,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Launched {
    /// A service that answers at `base_url`. `stop` owns all that has to be stopped, and stops it when it is awaited; it is
    /// dropped unawaited when a replay fails badly, and must leave nothing running then either.
    pub fn new(base_url: impl Into<String>, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { base_url: base_url.into(), stop: Box::pin(stop) }
    }

    /// Where it answers.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops it, and returns once it has stopped.
    pub async fn stop(self) {
        self.stop.await;
    }
}

impl fmt::Debug for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launched").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
