//! The highest speed of domain time that the drivers, the streams and the matching keep up with, as measured.
//!
//! The rule, in `docs/sandbox.md` as well: at speed *s*, a delay of *d* seconds ages a position by *s·d* domain seconds. An offer lasts 15
//! of them and a position counts for 30, so that a delay of more than [`LATE_MAX_S`] domain seconds costs rides. Load grows with the
//! speed, so that a delay measured at one speed says little about a much higher one: a speed is offered if it is at most
//! [`STEP`] times one that was kept up with.

use std::time::Duration;

use crate::platform::clock::MachineTime;

/// The most domain seconds by which positions may be late: a quarter of the nine that remain of an offer when a driver decides after six.
const LATE_MAX_S: f64 = 2.25;

/// The greatest share of online drivers with a position too old to get offers.
const STALE_SHARE_MAX: f64 = 0.2;

/// The greatest share of online drivers with a pending offer. An offer takes seconds and a ride minutes: more means that offers expire
/// before the drivers can answer.
const OFFERED_SHARE_MAX: f64 = 0.25;

/// Fewer drivers than this are no measurement: one of them may be a phone in a tunnel.
const DRIVERS_MIN: usize = 8;

/// How many times a speed that was kept up with may be exceeded.
const STEP: u32 = 4;

/// A speed that counts as kept up with before any measurement.
const ASSUMED: u32 = 5;

/// The highest speed of the clock.
pub const SPEED_MAX: u32 = 1_000;

/// Readings in a row, one a second, after which a speed counts as kept up with.
const HELD_AFTER: u32 = 5;

/// Late readings in a row after which a speed counts as too high. One may be a hiccup of the machine.
const FAILED_AFTER: u32 = 3;

/// How long a speed that was too high is not offered again.
const FAILED_FOR: Duration = Duration::from_secs(120);

/// How long after a change of the clock nothing is measured: clients read the clock every second or two, and are late until then.
const SETTLES_AFTER: Duration = Duration::from_secs(3);

/// From this speed on, drivers who do not keep up are taken offline, after 15 domain minutes, before [`FAILED_AFTER`] readings have
/// shown that their positions are old. At a lower one, drivers who are gone have left.
const GONE_FROM: u32 = 225;

/// The weight of a new reading in the mean delay.
const WEIGHT: f64 = 0.3;

/// What is read once a second.
#[derive(Debug, Clone, Copy)]
pub struct SpeedSample {
    /// Machine time of the reading.
    pub at: MachineTime,
    /// Domain seconds per second.
    pub speed: u32,
    /// When the clock was set last.
    pub set_at: MachineTime,
    /// Online drivers with a position.
    pub drivers: usize,
    /// How many of them have a position too old to get offers.
    pub stale: usize,
    /// How many of them have a pending offer.
    pub offered: usize,
    /// The mean delay of the positions received since the last reading, seconds of machine time; `None` without one.
    pub delay_s: Option<f64>,
}

impl SpeedSample {
    /// Whether all drivers have stopped sending positions: the speed is not the reason, because a late position arrives as well.
    fn is_silent(&self) -> bool {
        self.drivers > 0 && self.stale == self.drivers && self.delay_s.is_none()
    }

    /// Whether drivers and service kept up with the speed.
    fn keeps_up(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 drivers")]
        let share = |count: usize| count as f64 / self.drivers.max(1) as f64;
        let is_late = self.delay_s.is_some_and(|delay_s| delay_s * f64::from(self.speed) > LATE_MAX_S);
        !is_late && share(self.stale) <= STALE_SHARE_MAX && share(self.offered) <= OFFERED_SHARE_MAX
    }
}

/// Measures which speeds are kept up with.
#[derive(Debug, Default)]
pub struct SpeedMeter {
    speed: u32,
    /// The mean delay of positions, seconds of machine time.
    delay_s: Option<f64>,
    /// The highest speed that was kept up with.
    held: u32,
    /// The lowest speed that was too high, and until when it counts.
    failed: Option<(u32, MachineTime)>,
    /// Online drivers when a speed was last kept up with.
    drivers: usize,
    good_in_a_row: u32,
    late_in_a_row: u32,
}

/// What the meter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeedLimit {
    /// The highest speed to offer.
    pub speed: u32,
    /// The mean delay of positions, milliseconds of machine time; `None` without a measurement.
    pub delay_ms: Option<u32>,
}

impl SpeedMeter {
    /// Takes a reading.
    pub fn observe(&mut self, sample: &SpeedSample) {
        if sample.speed != self.speed {
            (self.speed, self.good_in_a_row, self.late_in_a_row) = (sample.speed, 0, 0);
        }
        let elapsed = sample.at.since(sample.set_at).to_std().unwrap_or_default();
        let are_fewer = sample.drivers < self.drivers / 2;
        let are_gone = are_fewer && sample.speed >= GONE_FROM;
        if sample.is_silent() || (are_fewer && !are_gone) {
            // They have left, with or without saying so. The others are measured from now on.
            (self.drivers, self.good_in_a_row, self.late_in_a_row) = (sample.drivers, 0, 0);
            return;
        }
        if elapsed < SETTLES_AFTER || (sample.drivers < DRIVERS_MIN && !are_gone) {
            return;
        }
        if let Some(delay_s) = sample.delay_s {
            self.delay_s = Some(self.delay_s.map_or(delay_s, |mean| mean + WEIGHT * (delay_s - mean)));
        }
        if sample.keeps_up() && !are_gone {
            self.drivers = sample.drivers;
            (self.good_in_a_row, self.late_in_a_row) = (self.good_in_a_row.saturating_add(1), 0);
            if self.good_in_a_row >= HELD_AFTER {
                self.held = self.held.max(self.speed);
            }
        } else {
            (self.good_in_a_row, self.late_in_a_row) = (0, self.late_in_a_row.saturating_add(1));
            if self.late_in_a_row >= FAILED_AFTER && self.speed > 1 {
                // Drivers who have left for another reason count once.
                self.drivers = sample.drivers;
                self.held = self.held.min(self.speed - 1);
                let until = sample.at + chrono::TimeDelta::from_std(FAILED_FOR).unwrap_or_default();
                self.failed = Some((self.speed, until));
            }
        }
    }

    /// Returns the limit at `now`: at least 1, and at least the present speed unless it is too high.
    pub fn limit(&self, now: MachineTime) -> SpeedLimit {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1,000")]
        let by_delay = self
            .delay_s
            .map_or(SPEED_MAX, |delay_s| (LATE_MAX_S / delay_s.max(1e-6)).clamp(1.0, f64::from(SPEED_MAX)) as u32);
        let by_step = self.held.max(ASSUMED).saturating_mul(STEP);
        let failed = self.failed.filter(|(_, until)| now < *until).map(|(speed, _)| speed);
        let below_failed = failed.map_or(SPEED_MAX, |speed| speed - 1);
        let is_failing = failed.is_some_and(|speed| self.speed >= speed);
        let present = if is_failing { 1 } else { self.speed };
        let speed = by_delay.min(by_step).min(below_failed).max(present).clamp(1, SPEED_MAX);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to an hour")]
        let delay_ms = self.delay_s.map(|delay_s| (delay_s * 1e3).round().clamp(0.0, 3_600_000.0) as u32);
        SpeedLimit { speed, delay_ms }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn at(second: i64) -> MachineTime {
        MachineTime::new(DateTime::from_timestamp(1_000_000 + second, 0).unwrap())
    }

    /// 100 drivers whose positions are `delay_s` late.
    fn sample(second: i64, speed: u32, delay_s: f64) -> SpeedSample {
        let (at, set_at) = (at(second), at(0));
        SpeedSample { at, speed, set_at, drivers: 100, stale: 0, offered: 3, delay_s: Some(delay_s) }
    }

    fn observe(meter: &mut SpeedMeter, seconds: std::ops::Range<i64>, speed: u32, delay_s: f64) {
        seconds.for_each(|second| meter.observe(&sample(second, speed, delay_s)));
    }

    #[test]
    fn twenty_is_offered_before_any_measurement() {
        assert_eq!(SpeedMeter::default().limit(at(0)), SpeedLimit { speed: 20, delay_ms: None });
    }

    #[test]
    fn four_times_a_speed_that_was_kept_up_with_is_offered() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 3..8, 20, 0.002);
        assert_eq!(meter.limit(at(8)).speed, 80);
        observe(&mut meter, 8..13, 60, 0.003);
        assert_eq!(meter.limit(at(13)).speed, 240);
    }

    #[test]
    fn delay_limits_the_speed() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 3..30, 5, 0.25);
        // 2.25 s / 0.25 s
        assert_eq!(meter.limit(at(30)), SpeedLimit { speed: 9, delay_ms: Some(250) });
    }

    #[test]
    fn speed_that_is_not_kept_up_with_is_not_offered_for_two_minutes() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 3..8, 20, 0.002);
        observe(&mut meter, 8..10, 60, 0.1);
        assert!(meter.limit(at(10)).speed >= 60, "two late readings are no failure");
        observe(&mut meter, 10..11, 60, 0.1);
        assert!(meter.limit(at(11)).speed < 60);
        // Back at 20, the delays are short again.
        observe(&mut meter, 12..40, 20, 0.002);
        assert_eq!(meter.limit(at(40)).speed, 59);
        assert_eq!(meter.limit(at(140)).speed, 80);
    }

    #[test]
    fn drivers_without_fresh_positions_or_with_unanswered_offers_are_a_failure() {
        for (stale, offered) in [(21, 0), (0, 26)] {
            let mut meter = SpeedMeter::default();
            for second in 3..6 {
                meter.observe(&SpeedSample { stale, offered, delay_s: None, ..sample(second, 200, 0.0) });
            }
            assert!(meter.limit(at(6)).speed < 200, "{stale} {offered}");
        }
    }

    #[test]
    fn drivers_taken_offline_are_a_failure_once() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 3..8, 20, 0.002);
        let without = |second: i64, speed| SpeedSample { drivers: 0, delay_s: None, ..sample(second, speed, 0.0) };
        (8..11).for_each(|second| meter.observe(&without(second, 1_000)));
        assert!(meter.limit(at(11)).speed < 1_000);
        (11..20).for_each(|second| meter.observe(&without(second, 60)));
        assert!(meter.limit(at(20)).speed >= 60);
    }

    #[test]
    fn drivers_who_leave_are_no_failure() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 3..8, 20, 0.002);
        // Half of them go offline; then the rest stop sending, and are taken offline a while later.
        for second in 8..14 {
            meter.observe(&SpeedSample { drivers: 40, ..sample(second, 20, 0.002) });
        }
        for second in 14..30 {
            meter.observe(&SpeedSample {
                drivers: 40,
                stale: 40,
                offered: 0,
                delay_s: None,
                ..sample(second, 20, 0.0)
            });
        }
        for second in 30..40 {
            meter.observe(&SpeedSample { drivers: 0, offered: 0, delay_s: None, ..sample(second, 20, 0.0) });
        }
        assert_eq!(meter.limit(at(40)).speed, 80);
    }

    #[test]
    fn change_of_the_clock_and_a_few_drivers_are_no_measurement() {
        let mut meter = SpeedMeter::default();
        observe(&mut meter, 0..3, 60, 3.0);
        for second in 3..10 {
            meter.observe(&SpeedSample { drivers: 7, stale: 7, ..sample(second, 60, 3.0) });
        }
        assert_eq!(meter.limit(at(10)), SpeedLimit { speed: 60, delay_ms: None });
        assert_eq!(at(3).since(at(0)), TimeDelta::from_std(SETTLES_AFTER).unwrap());
    }
}
