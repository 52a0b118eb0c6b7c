//! How long to wait before the next attempt.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::dice::dice;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// With the waits above this is about a minute: a service that is restarted is back long before that.
const ATTEMPTS_MAX: u32 = 18;

/// Jittered exponential back-off in machine time: 0.1 s, doubling up to 5 s, each wait cut by up to a half so that callers
/// that failed together don't come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    dice: StdRng,
    attempt: u32,
}

impl Backoff {
    /// The label only has to differ from caller to caller; it seeds the jitter.
    pub fn new(label: &str) -> Self {
        Self { dice: dice(0, label), attempt: 0 }
    }

    /// The next wait, and at least what the service asked for.
    pub fn wait(&mut self, asked: Option<Duration>) -> Duration {
        let doubled = FIRST.saturating_mul(1 << self.attempt.min(10)).min(LONGEST);
        self.attempt += 1;
        // Jitter on top of what was asked, so that a whole city told "in one second" doesn't come back as one.
        doubled.mul_f64(self.dice.random_range(0.5..1.0)) + asked.unwrap_or_default()
    }

    /// Whether so many attempts have failed that it is time to give up.
    pub fn is_exhausted(&self) -> bool {
        self.attempt >= ATTEMPTS_MAX
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
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
