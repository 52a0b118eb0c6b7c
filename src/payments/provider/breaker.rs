//! The circuit breaker: stops calls to a failing provider. Pure: the time and the jitter are arguments.
//!
//! ```text
//! closed ── five failing calls in a row, or ten of the last twenty ──▶ open
//!   ▲                                                                 │ ▲
//!   │ it succeeds                          the open duration has passed │ │ it fails
//!   │                                                                 ▼ │
//!   └───────────────────── half open: one call, the probe ────────────┴─┘
//! ```

use std::time::Duration;

use chrono::TimeDelta;

use crate::platform::clock::MachineTime;

/// Failing calls in a row that open the breaker. Fewer happen by chance; more would each wait for a time-out in vain.
const FAILING_IN_A_ROW_MAX: u32 = 5;

/// The calls that the share of failing ones is counted over.
const RECENT: u32 = 20;

/// Failing calls among the [`RECENT`] that open the breaker: half of them.
const FAILING_OF_RECENT_MAX: u32 = 10;

/// How long the breaker stays open at first; doubled each time that a probe fails.
const OPEN_DURATION_FIRST: Duration = Duration::from_millis(500);

/// The longest open duration, unless the provider asks for more. It is short because one payment that always fails can open the
/// breaker while traffic is low, and the next rider waits for as long.
const OPEN_DURATION_MAX: Duration = Duration::from_secs(5);

/// The longest `Retry-After` that is honored.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The state of the breaker. The discriminants are the metric's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed = 0,
    /// One call is made, the probe.
    HalfOpen = 1,
    /// No calls are made.
    Open = 2,
}

impl BreakerState {
    /// Returns the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// What one call shows about the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallHealth {
    /// The provider answered in its protocol, possibly with a refusal.
    Ok,
    /// It did not, or says that it is unavailable.
    Failing {
        /// The provider's `Retry-After`; zero without one.
        retry_after: Duration,
    },
}

/// Whether the provider can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderAvailability {
    /// It can.
    Available,
    /// One call can be made, the probe.
    Probe,
    /// It cannot for this long.
    Unavailable(TimeDelta),
}

/// A call that was let through. Its result counts only until the breaker's next change of state: a call from before an outage says
/// nothing about the time after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmittedCall {
    phase: u64,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    phase: BreakerPhase,
    /// The number of phases so far.
    phases: u64,
    /// The number of openings since it was last closed.
    openings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerPhase {
    Closed(RecentCalls),
    Open(Period),
    /// The period is the probe's: after it the probe counts as lost.
    HalfOpen(Period),
}

/// A period of time. It ends when the clock steps back, so that a wrong clock cannot extend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Period {
    since: MachineTime,
    duration: TimeDelta,
}

impl Period {
    fn left(&self, now: MachineTime) -> Option<TimeDelta> {
        let elapsed = now.since(self.since);
        (now >= self.since && elapsed < self.duration).then(|| self.duration - elapsed)
    }
}

/// The latest calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct RecentCalls {
    failing_in_a_row: u32,
    /// A bit for each call, the latest lowest; 1 is failing.
    failing: u32,
}

impl RecentCalls {
    fn and(self, is_failing: bool) -> Self {
        let failing = ((self.failing << 1) | u32::from(is_failing)) & ((1 << RECENT) - 1);
        Self { failing_in_a_row: if is_failing { self.failing_in_a_row + 1 } else { 0 }, failing }
    }

    fn opens(self) -> bool {
        self.failing_in_a_row >= FAILING_IN_A_ROW_MAX || self.failing.count_ones() >= FAILING_OF_RECENT_MAX
    }
}

impl Default for Breaker {
    /// Returns a closed breaker.
    fn default() -> Self {
        Self { phase: BreakerPhase::Closed(RecentCalls::default()), phases: 0, openings: 0 }
    }
}

impl Breaker {
    /// Returns the state.
    pub fn state(&self) -> BreakerState {
        match self.phase {
            BreakerPhase::Closed(_) => BreakerState::Closed,
            BreakerPhase::HalfOpen(_) => BreakerState::HalfOpen,
            BreakerPhase::Open(_) => BreakerState::Open,
        }
    }

    /// Returns whether the provider can be called at `now`.
    pub fn availability(&self, now: MachineTime) -> ProviderAvailability {
        match self.phase {
            BreakerPhase::Closed(_) => ProviderAvailability::Available,
            BreakerPhase::Open(period) | BreakerPhase::HalfOpen(period) => {
                period.left(now).map_or(ProviderAvailability::Probe, ProviderAvailability::Unavailable)
            }
        }
    }

    /// Lets a call through, or not. The first one after an open period is the probe, which has `call_max` to finish.
    pub fn admit(&mut self, now: MachineTime, call_max: TimeDelta) -> Option<AdmittedCall> {
        match self.availability(now) {
            ProviderAvailability::Available => {}
            ProviderAvailability::Probe => {
                self.enter(BreakerPhase::HalfOpen(Period { since: now, duration: call_max }))
            }
            ProviderAvailability::Unavailable(_) => return None,
        }
        Some(AdmittedCall { phase: self.phases })
    }

    /// Records the result of an admitted call. `jitter` shortens an open duration, so that processes which failed together do not
    /// probe together.
    pub fn record(
        &mut self,
        call: AdmittedCall,
        health: CallHealth,
        now: MachineTime,
        jitter: impl FnOnce(Duration) -> Duration,
    ) {
        if call.phase != self.phases {
            return;
        }
        match (self.phase, health) {
            (BreakerPhase::Closed(recent), CallHealth::Ok) => self.phase = BreakerPhase::Closed(recent.and(false)),
            (BreakerPhase::Closed(recent), CallHealth::Failing { retry_after }) => {
                let recent = recent.and(true);
                if recent.opens() {
                    self.open(now, retry_after, jitter);
                } else {
                    self.phase = BreakerPhase::Closed(recent);
                }
            }
            (BreakerPhase::HalfOpen(_), CallHealth::Ok) => {
                self.openings = 0;
                self.enter(BreakerPhase::Closed(RecentCalls::default()));
            }
            (BreakerPhase::HalfOpen(_), CallHealth::Failing { retry_after }) => self.open(now, retry_after, jitter),
            // An open breaker admits no call.
            (BreakerPhase::Open(_), _) => {}
        }
    }

    fn open(&mut self, now: MachineTime, retry_after: Duration, jitter: impl FnOnce(Duration) -> Duration) {
        let doubled = OPEN_DURATION_FIRST.saturating_mul(2_u32.saturating_pow(self.openings)).min(OPEN_DURATION_MAX);
        let open_duration = jitter(doubled).max(retry_after.min(RETRY_AFTER_MAX));
        let duration = TimeDelta::from_std(open_duration).unwrap_or(TimeDelta::MAX);
        self.openings = self.openings.saturating_add(1);
        self.enter(BreakerPhase::Open(Period { since: now, duration }));
    }

    fn enter(&mut self, phase: BreakerPhase) {
        (self.phase, self.phases) = (phase, self.phases + 1);
    }
}

#[cfg(test)]
mod tests;
