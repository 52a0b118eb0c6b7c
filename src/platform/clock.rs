//! The two clocks, and the only place that asks the machine what time it is.
//!
//! *Domain* time is what riders and drivers live in: offers expire, drivers wait, quotes end. In the sandbox it can run faster
//! than the machine and be set ahead. *Machine* time is for what happens between machines: time-outs, leases, back-off, tokens.
//! Each has its own type, so that one is never compared with the other.
//!
//! Both are cut to whole microseconds, which is what PostgreSQL keeps: a time that went through the database is equal to itself.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

macro_rules! times {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type, utoipa::ToSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(DateTime<Utc>);

        impl $name {
            /// This moment, cut to whole microseconds.
            pub fn new(time: DateTime<Utc>) -> Self {
                Self(time.trunc_subsecs(6))
            }

            /// The moment itself, for formatting and for other people's APIs.
            pub fn utc(self) -> DateTime<Utc> {
                self.0
            }

            /// Time gone by since `earlier`; zero if `earlier` is later, for clocks step back.
            pub fn since(self, earlier: Self) -> TimeDelta {
                (self.0 - earlier.0).max(TimeDelta::zero())
            }

            /// Whole seconds gone by since `earlier`, saturating at zero.
            pub fn seconds_since(self, earlier: Self) -> i64 {
                self.since(earlier).num_seconds()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                DateTime::deserialize(deserializer).map(Self::new)
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
    /// A moment in the life of riders and drivers.
    DomainTime;
    /// A moment in the life of the machine.
    MachineTime;
}

/// Where the two clocks touch: at `real`, domain time was `domain`, and from there it runs `scale` times as fast.
///
/// It is one row in the database, shared by every process; a restart continues where the row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The machine's time at the anchor.
    pub real: MachineTime,
    /// The domain's time at the anchor.
    pub domain: DomainTime,
    /// Domain seconds per machine second, at least 1.
    pub scale: u32,
}

impl Anchor {
    /// The anchor of production: domain time is machine time.
    pub fn identity(real: MachineTime) -> Self {
        Self { real, domain: DomainTime::new(real.utc()), scale: 1 }
    }

    /// Domain time at machine time `real`.
    pub fn domain_at(&self, real: MachineTime) -> DomainTime {
        let scale = i32::try_from(self.scale).unwrap_or(i32::MAX);
        let elapsed = real.since(self.real).checked_mul(scale).unwrap_or(TimeDelta::MAX);
        self.domain + elapsed
    }
}

/// Tells both times. One per process, shared.
#[derive(Debug)]
pub struct Clock {
    anchor: RwLock<Anchor>,
}

impl Clock {
    /// A clock whose domain runs with the machine, until [`Clock::set_anchor`] says otherwise.
    pub fn system() -> Self {
        Self { anchor: RwLock::new(Anchor::identity(machine_now())) }
    }

    /// The machine's time.
    pub fn machine(&self) -> MachineTime {
        machine_now()
    }

    /// The domain's time.
    pub fn domain(&self) -> DomainTime {
        self.anchor().domain_at(machine_now())
    }

    /// The anchor in force.
    pub fn anchor(&self) -> Anchor {
        *self.anchor.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the anchor that a process finds when it starts.
    pub fn set_anchor(&self, anchor: Anchor) {
        *self.anchor.write().unwrap_or_else(PoisonError::into_inner) = anchor;
    }

    /// Takes over an anchor that was read from, or committed to, the database, unless a later one is in force: of two that are
    /// set at once, the earlier may be told last, and domain time must not go back.
    pub fn follow(&self, anchor: Anchor) {
        let mut current = self.anchor.write().unwrap_or_else(PoisonError::into_inner);
        if anchor.real >= current.real {
            *current = anchor;
        }
    }

    /// Real time until domain time `then`; zero if it is past.
    pub fn until(&self, then: DomainTime) -> Duration {
        let anchor = self.anchor();
        let ahead = then.since(anchor.domain_at(machine_now())).to_std().unwrap_or_default();
        ahead / anchor.scale.max(1)
    }
}

/// Measures real time that goes by: latencies, nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
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
    fn a_time_that_is_read_is_cut_to_what_the_database_keeps() {
        let read: DomainTime = serde_json::from_str("\"2026-11-22T12:00:00.123456789Z\"").expect("RFC 3339");
        assert_eq!(read.to_string(), "2026-11-22T12:00:00.123456Z");
    }

    #[test]
    fn an_anchor_that_is_told_late_changes_nothing() {
        let clock = Clock::system();
        let anchor = |real| Anchor::identity(MachineTime::new(at(real)));
        clock.set_anchor(anchor(1_000));
        for (told, in_force) in [(1_010, 1_010), (1_005, 1_010), (1_020, 1_020)] {
            clock.follow(anchor(told));
            assert_eq!(clock.anchor(), anchor(in_force));
        }
    }

    #[test]
    fn a_machine_clock_that_steps_back_holds_domain_time_still() {
        let anchor = Anchor::identity(MachineTime::new(at(1_000)));
        assert_eq!(anchor.domain_at(MachineTime::new(at(900))), DomainTime::new(at(1_000)));
    }
}
