//! The two clocks, and the only code that reads the system clock.
//!
//! *Domain time* drives the business rules: quotes and offers expire, drivers wait. In the sandbox it can run faster than real time
//! and be set ahead. *Machine time* drives everything technical: timeouts, leases, backoff, tokens. Each has its own type, so that
//! one is never compared with the other.
//!
//! Both are truncated to microseconds, the resolution of PostgreSQL, so that a time equals itself after a round trip.

use std::fmt;
use std::ops::{Add, RangeInclusive, Sub};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Datelike, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// The years of RFC 3339. The database stores all of them.
const YEARS: RangeInclusive<i32> = 0..=9_999;

macro_rules! times {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(DateTime<Utc>);

        impl $name {
            /// Creates a time, truncated to microseconds.
            pub fn new(time: DateTime<Utc>) -> Self {
                Self(time.trunc_subsecs(6))
            }

            /// Returns the time as a `chrono` value.
            pub fn utc(self) -> DateTime<Utc> {
                self.0
            }

            /// Returns the time elapsed since `earlier`; zero if `earlier` is later, because clocks can step back.
            pub fn since(self, earlier: Self) -> TimeDelta {
                (self.0 - earlier.0).max(TimeDelta::zero())
            }

            /// Returns the whole seconds elapsed since `earlier`, saturating at zero.
            pub fn seconds_since(self, earlier: Self) -> i64 {
                self.since(earlier).num_seconds()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let time = DateTime::deserialize(deserializer).map(Self::new)?;
                if YEARS.contains(&time.0.year()) {
                    return Ok(time);
                }
                Err(serde::de::Error::custom("a time in UTC must be of the years 0000 to 9999"))
            }
        }

        impl Add<TimeDelta> for $name {
            type Output = Self;
            fn add(self, delta: TimeDelta) -> Self {
                Self(self.0.checked_add_signed(delta).unwrap_or(DateTime::<Utc>::MAX_UTC))
            }
        }

        impl Sub<TimeDelta> for $name {
            type Output = Self;
            fn sub(self, delta: TimeDelta) -> Self {
                Self(self.0.checked_sub_signed(delta).unwrap_or(DateTime::<Utc>::MIN_UTC))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.to_rfc3339_opts(chrono::SecondsFormat::Micros, true).fmt(f)
            }
        }
    )*};
}

times! {
    /// A point in domain time.
    DomainTime;
    /// A point in machine time.
    MachineTime;
}

/// The relation of the two clocks: at machine time `real`, domain time was `domain`, and since then it runs `scale` times as fast.
///
/// One row in the database, shared by all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Machine time at the anchor.
    pub real: MachineTime,
    /// Domain time at the anchor.
    pub domain: DomainTime,
    /// Domain seconds per machine second, at least 1.
    pub scale: u32,
}

impl Anchor {
    /// Returns the anchor of production: domain time is machine time.
    pub fn identity(real: MachineTime) -> Self {
        Self { real, domain: DomainTime::new(real.utc()), scale: 1 }
    }

    /// Returns the domain time at machine time `real`.
    pub fn domain_at(&self, real: MachineTime) -> DomainTime {
        let scale = i32::try_from(self.scale).unwrap_or(i32::MAX);
        let elapsed = real.since(self.real).checked_mul(scale).unwrap_or(TimeDelta::MAX);
        self.domain + elapsed
    }
}

/// The clock of a process.
#[derive(Debug)]
pub struct Clock {
    anchor: RwLock<Anchor>,
}

impl Clock {
    /// Creates a clock whose domain time is machine time.
    pub fn system() -> Self {
        Self { anchor: RwLock::new(Anchor::identity(machine_now())) }
    }

    /// Returns the machine time.
    pub fn machine(&self) -> MachineTime {
        machine_now()
    }

    /// Returns the domain time.
    pub fn domain(&self) -> DomainTime {
        self.anchor().domain_at(machine_now())
    }

    /// Returns the current anchor.
    pub fn anchor(&self) -> Anchor {
        *self.anchor.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the anchor, at start.
    pub fn set_anchor(&self, anchor: Anchor) {
        *self.anchor.write().unwrap_or_else(PoisonError::into_inner) = anchor;
    }

    /// Sets an anchor that was read from or committed to the database, unless the current one is newer. Of two concurrent changes the
    /// earlier may arrive last, and domain time must not go back.
    pub fn set_if_newer(&self, anchor: Anchor) {
        let mut current = self.anchor.write().unwrap_or_else(PoisonError::into_inner);
        if anchor.real >= current.real {
            *current = anchor;
        }
    }

    /// Returns the machine time left until domain time `then`; zero if it is past.
    pub fn until(&self, then: DomainTime) -> Duration {
        let anchor = self.anchor();
        let ahead = then.since(anchor.domain_at(machine_now())).to_std().unwrap_or_default();
        ahead / anchor.scale.max(1)
    }
}

/// Measures elapsed real time, for latencies and timeouts.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a measurement.
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the monotonic clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
fn machine_now() -> MachineTime {
    MachineTime::new(Utc::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    #[test]
    fn domain_time_runs_scale_times_as_fast_from_the_anchor() {
        let anchor = Anchor { real: MachineTime::new(at(1_000)), domain: DomainTime::new(at(50_000)), scale: 20 };
        assert_eq!(anchor.domain_at(MachineTime::new(at(1_003))), DomainTime::new(at(50_060)));
    }

    #[test]
    fn deserialized_time_is_truncated_to_microseconds() {
        let read: DomainTime = serde_json::from_str("\"2026-11-22T12:00:00.123456789Z\"").expect("RFC 3339");
        assert_eq!(read.to_string(), "2026-11-22T12:00:00.123456Z");
    }

    #[test]
    fn time_outside_of_rfc_3339_is_an_error() {
        let read = |time: &str| serde_json::from_value::<DomainTime>(time.into()).is_ok();
        assert!(
            ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T00:00:00+14:00"].into_iter().all(read)
        );
        let wrong = [
            "-0001-12-31T23:59:59Z",
            "0000-01-01T00:00:00+00:01",
            "-4714-01-01T00:00:00Z",
            "-262143-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-00:01",
            "+262142-12-31T23:59:59Z",
        ];
        assert!(!wrong.into_iter().any(read));
    }

    #[test]
    fn older_anchor_is_ignored() {
        let clock = Clock::system();
        let anchor = |real| Anchor::identity(MachineTime::new(at(real)));
        clock.set_anchor(anchor(1_000));
        for (new, current) in [(1_010, 1_010), (1_005, 1_010), (1_020, 1_020)] {
            clock.set_if_newer(anchor(new));
            assert_eq!(clock.anchor(), anchor(current));
        }
    }

    #[test]
    fn domain_time_stands_still_when_machine_time_steps_back() {
        let anchor = Anchor::identity(MachineTime::new(at(1_000)));
        assert_eq!(anchor.domain_at(MachineTime::new(at(900))), DomainTime::new(at(1_000)));
    }
}
