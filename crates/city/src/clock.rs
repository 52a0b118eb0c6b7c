//! Domain time as the service counts it, which schedules everything in the city.
//!
//! The clock of the service is read at the start and every [`READ_INTERVAL`] after that, to follow jumps and changes of
//! scale. Only this module reads the machine clock.

use std::future::Future;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio::time::Instant;

/// The interval between readings of the service clock, in machine time. Until a change is read, every position is dated by the old
/// clock: at 60 times the speed, half a second of that is the whole time for which a position counts.
const READ_INTERVAL: Duration = Duration::from_millis(500);

/// The machine clock, for measurements in real seconds.
pub(crate) fn machine_now() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "the only place that reads the machine clock")]
    Instant::now()
}

/// A reading of the service clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Domain time in the response.
    pub domain: DateTime<Utc>,
    /// Domain seconds per real second.
    pub scale: f64,
    /// The time of the response.
    pub received: Instant,
    /// The time from the request to the response: the reading is at most this much behind, never ahead.
    pub round_trip: Duration,
}

impl Reading {
    fn domain_at(&self, at: Instant) -> DateTime<Utc> {
        self.domain + scaled(at.saturating_duration_since(self.received), self.scale)
    }

    /// Whether `newer` shows a jump, another scale, or a more exact time.
    fn is_superseded_by(&self, newer: &Self) -> bool {
        if (self.scale - newer.scale).abs() > f64::EPSILON || newer.round_trip < self.round_trip {
            return true;
        }
        // Two readings may differ by their round trips, and by two milliseconds of scheduling.
        let tolerance = self.round_trip + newer.round_trip + Duration::from_millis(2);
        (newer.domain - self.domain_at(newer.received)).abs() > scaled(tolerance, self.scale)
    }
}

/// The domain clock: at most a round trip behind the service, never ahead, so that no position is dated in the future.
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

    /// Returns when the scale is another one than `scale`.
    pub async fn scale_changes_from(&self, scale: f64) {
        // The sender is never dropped before `self`.
        let mut readings = self.reading.subscribe();
        let _changed = readings.wait_for(|reading| (reading.scale - scale).abs() > f64::EPSILON).await;
    }

    /// Returns when domain time has reached `due`, also across jumps and changes of scale.
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

    /// Keeps reading the service clock with `read` until it is dropped. A failed reading is skipped.
    pub async fn synchronize<F: Future<Output = Option<Reading>>>(&self, read: impl Fn() -> F) {
        loop {
            tokio::time::sleep(READ_INTERVAL).await;
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

/// A real duration in domain time, to the microsecond.
fn scaled(real: Duration, scale: f64) -> TimeDelta {
    seconds(real.as_secs_f64() * scale)
}

/// A duration from seconds, to the microsecond.
pub(crate) fn seconds(s: f64) -> TimeDelta {
    #[allow(clippy::cast_possible_truncation, reason = "a cast from float saturates")]
    TimeDelta::microseconds((s * 1e6) as i64)
}

/// A duration in seconds; may be negative.
pub(crate) fn as_seconds(duration: TimeDelta) -> f64 {
    duration.as_seconds_f64()
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
    async fn jump_past_the_due_time_ends_a_sleep() {
        let clock = Clock::new(reading(0, 1.0));
        let jump = || async { Some(reading(7_200, 1.0)) };
        tokio::select! {
            () = clock.sleep_until(DateTime::from_timestamp(3_600, 0).unwrap()) => {}
            () = clock.synchronize(jump) => {}
        }
    }

    #[tokio::test]
    async fn change_of_the_scale_is_noticed() {
        let clock = Clock::new(reading(0, 1_000.0));
        let slower = || async { Some(reading(0, 1.0)) };
        tokio::select! {
            () = clock.scale_changes_from(1_000.0) => assert!((clock.scale() - 1.0).abs() < f64::EPSILON),
            () = clock.synchronize(slower) => {}
        }
    }

    #[test]
    fn small_difference_is_not_a_jump() {
        let first = reading(0, 60.0);
        let mut second = Reading { received: first.received + Duration::from_secs(2), ..reading(120, 60.0) };
        second.domain += TimeDelta::milliseconds(50);
        assert!(!first.is_superseded_by(&second));
        second.domain += TimeDelta::seconds(5);
        assert!(first.is_superseded_by(&second));
    }
}
