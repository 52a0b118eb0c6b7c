//! Domain time, as the service counts it: everything in the city is scheduled by it.
//!
//! The service's clock is read at the start and every [`READ_AGAIN`] after that, so that jumps and changes of scale are
//! followed. This is the one place in the crate that looks at a machine clock.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the service's clock is read again, in machine time.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// The machine's clock, for what is measured in real seconds.
pub(crate) fn machine_now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the one place that looks at the machine's clock")]
    Instant::now()
}

/// What the service said about its clock, and when its answer came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Domain time of the answer.
    pub domain: DateTime<Utc>,
    /// Domain seconds per real second.
    pub scale: f64,
    /// When the answer was there.
    pub received: Instant,
    /// How long it took from asking to answer: the reading is at most so much too early, never too late.
    pub round_trip: Duration,
}

impl Reading {
    fn domain_at(&self, at: Instant) -> DateTime<Utc> {
        self.domain + times(at.saturating_duration_since(self.received), self.scale)
    }

    /// Whether `newer` tells of a jump, of another scale, or simply knows the time more exactly.
    fn is_superseded_by(&self, newer: &Self) -> bool {
        if (self.scale - newer.scale).abs() > f64::EPSILON || newer.round_trip < self.round_trip {
            return true;
        }
        // Two readings may differ by what their round trips hide, and by two milliseconds of scheduling.
        let hidden = self.round_trip + newer.round_trip + Duration::from_millis(2);
        (newer.domain - self.domain_at(newer.received)).abs() > times(hidden, self.scale)
    }
}

/// The service's domain clock as this process knows it: at most a round trip behind it, never ahead, so that no position
/// is ever dated in the future.
#[derive(Debug)]
pub(crate) struct Clock {
    reading: watch::Sender<Reading>,
}

impl Clock {
    pub fn new(first: Reading) -> Self {
        Self { reading: watch::Sender::new(first) }
    }

    /// Domain time now.
    pub fn now(&self) -> DateTime<Utc> {
        self.reading.borrow().domain_at(machine_now())
    }

    /// Domain seconds per real second.
    pub fn scale(&self) -> f64 {
        self.reading.borrow().scale
    }

    /// Returns once domain time has reached `due`, however often the clock jumps or changes its pace before that.
    pub async fn sleep_until(&self, due: DateTime<Utc>) {
        let mut readings = self.reading.subscribe();
        loop {
            let reading = *readings.borrow_and_update();
            let Ok(left) = (due - reading.domain_at(machine_now())).to_std() else {
                return;
            };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left.div_f64(reading.scale)) => {}
                _ = readings.changed() => {}
            }
        }
    }

    /// Reads the service's clock again and again with `read`, for ever. An answer that fails is skipped.
    pub async fn follow<F: Future<Output = Option<Reading>>>(&self, read: impl Fn() -> F) {
        loop {
            tokio::time::sleep(READ_AGAIN).await;
            if let Some(newer) = read().await {
                self.reading.send_if_modified(|current| {
                    let superseded = current.is_superseded_by(&newer);
                    if superseded {
                        *current = newer;
                    }
                    superseded
                });
            }
        }
    }
}

/// So many times as long, to the microsecond.
fn times(real: Duration, scale: f64) -> TimeDelta {
    seconds(real.as_secs_f64() * scale)
}

/// A length of domain time from seconds, to the microsecond.
pub(crate) fn seconds(s: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation, reason = "a cast from float saturates")]
    TimeDelta::microseconds((s * 1e6) as i64)
}

/// A length of domain time in seconds; negative when it points backwards.
pub(crate) fn as_seconds(length: TimeDelta) -> f64 {
    length.as_seconds_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn reading(domain_s: i64, scale: f64) -> Reading {
        let domain = DateTime::from_timestamp(domain_s, 0).unwrap();
        Reading { domain, scale, received: machine_now(), round_trip: Duration::from_millis(1) }
    }

    #[tokio::test]
    async fn domain_time_runs_at_its_scale() {
        let clock = Clock::new(reading(1_000, 1_000.0));
        let before = machine_now();
        clock.sleep_until(clock.now() + TimeDelta::seconds(60)).await;
        assert!(machine_now() - before >= Duration::from_millis(59));
        assert!(clock.now() >= DateTime::from_timestamp(1_060, 0).unwrap());
    }

    #[tokio::test]
    async fn a_jump_wakes_who_sleeps_past_it() {
        let clock = Clock::new(reading(0, 1.0));
        let jump = || async { Some(reading(7_200, 1.0)) };
        tokio::select! {
            () = clock.sleep_until(DateTime::from_timestamp(3_600, 0).unwrap()) => {}
            () = clock.follow(jump) => {}
        }
    }

    #[test]
    fn noise_is_not_a_jump() {
        let first = reading(0, 60.0);
        let mut second = Reading { received: first.received + Duration::from_secs(2), ..reading(120, 60.0) };
        second.domain += TimeDelta::milliseconds(50);
        assert!(!first.is_superseded_by(&second));
        second.domain += TimeDelta::seconds(5);
        assert!(first.is_superseded_by(&second));
    }
}
