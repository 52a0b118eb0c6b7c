//! A private service for a replay, which the binary starts.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::cli::Policy;

/// The options of a private service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchOptions {
    /// Domain seconds per real second.
    pub time_scale: u32,
    /// How a match cycle assigns drivers to trips; `None`: the default of the service.
    pub policy: Option<Policy>,
    /// The latest estimated pickup after the request, in seconds; `None`: no limit.
    pub pickup_within_s: Option<u32>,
    /// Whether prices rise where drivers are short.
    pub surge: bool,
    /// Whether idle drivers get hints.
    pub hints: bool,
}

/// A service that was started for a replay, with its dependencies.
pub struct Launched {
    base_url: String,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Launched {
    /// A service at `base_url`. `stop` owns everything that has to be stopped. A failed replay drops it without awaiting it,
    /// which must stop everything too.
    pub fn new(base_url: impl Into<String>, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { base_url: base_url.into(), stop: Box::pin(stop) }
    }

    /// The base URL.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Stops the service, and waits until it has stopped.
    pub async fn stop(self) {
        self.stop.await;
    }
}

impl fmt::Debug for Launched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launched").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}
