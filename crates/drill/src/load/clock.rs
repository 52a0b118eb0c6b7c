//! The service's domain clock, as a client reads it.

use chrono::{DateTime, TimeDelta, Utc};
use launcher::clock::Stopwatch;

/// The domain clock as of one reading.
#[derive(Debug, Clone, Copy)]
pub struct DomainClock {
    read: Stopwatch,
    domain: DateTime<Utc>,
    scale: u32,
}

impl DomainClock {
    /// Keeps a reading that has just arrived.
    pub fn new(domain: DateTime<Utc>, scale: u32) -> Self {
        Self { read: Stopwatch::start(), domain, scale }
    }

    /// The domain time now. It is behind the service's by what the response took, never ahead.
    pub fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.read.elapsed() * self.scale).unwrap_or_default();
        self.domain + elapsed
    }
}
