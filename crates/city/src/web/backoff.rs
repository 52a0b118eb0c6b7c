//! The wait before the next attempt.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::random::seeded_random;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// With the waits above, about a minute: longer than a restart of the service.
const ATTEMPTS_MAX: u32 = 18;

/// Exponential back-off with jitter, in machine time: 0.1 s, doubling up to 5 s, each wait reduced by up to a half. The
/// jitter keeps clients that failed together from retrying together.
#[derive(Debug)]
pub(crate) struct Backoff {
    random: StdRng,
    attempt: u32,
}

impl Backoff {
    /// The label seeds the jitter; it should differ between callers.
    pub fn new(label: &str) -> Self {
        Self { random: seeded_random(0, label), attempt: 0 }
    }

    /// The next wait, at least `retry_after`.
    pub fn wait(&mut self, retry_after: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempt.min(10)).min(LONGEST);
        self.attempt += 1;
        // The jitter is added to `Retry-After`, so that clients with the same value do not retry together.
        doubled.mul_f64(self.random.random_range(0.5..1.0)) + retry_after.unwrap_or_default()
    }

    /// Whether all attempts are used up.
    pub fn is_exhausted(&self) -> bool {
        self.attempt >= ATTEMPTS_MAX
    }

    /// Starts again after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_limit() {
        let mut backoff = Backoff::new("a");
        let mut all = Duration::ZERO;
        let mut first = None;
        while !backoff.is_exhausted() {
            let wait = backoff.wait(None);
            first.get_or_insert(wait);
            assert!(wait <= LONGEST);
            all += wait;
        }
        assert!(
            first.is_some_and(|wait| wait <= FIRST) && all > Duration::from_secs(30) && all < Duration::from_secs(90)
        );
        assert!(backoff.wait(Some(Duration::from_secs(9))) > Duration::from_secs(9));
    }
}
