//! The circuit breaker: stops calling a provider that does not answer. Pure: the time and the dice come in as arguments.
//!
//! ```text
//! closed ──── five ill answers in a row, or ten of the last twenty ───▶ open
//!   ▲                                                                  │ ▲
//!   │ it is well                                            it has rested │ it is ill
//!   │                                                                  ▼ │
//!   └────────────────────────── half open: one call, the probe ────────┴─┘
//! ```

use std::time::Duration;

use chrono::TimeDelta;

use crate::platform::clock::MachineTime;

/// Ill answers in a row after which it opens. Fewer happen by chance; more are calls for nothing, each of which may take
/// as long as its time-out.
const ILL_IN_A_ROW_MAX: u32 = 5;

/// Calls that the share of ill ones is taken of.
const RECENT: u32 = 20;

/// It opens when so many of the [`RECENT`] were ill: half of them, whoever is answered in between.
const ILL_OF_RECENT_MAX: u32 = 10;

/// How long it stays open at first; twice as long each time that a probe fails.
const REST_FIRST: Duration = Duration::from_millis(500);

/// The longest rest, unless the provider asks for more: an outage costs a call every few seconds, and is over for us a few
/// seconds after it is over. It is short because a single payment that always fails can open the breaker of a quiet night,
/// and the next rider must not wait for that.
const REST_MAX: Duration = Duration::from_secs(5);

/// The longest that a provider can have us wait (`Retry-After`).
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Whether calls are made. The discriminants are the metric's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are.
    Closed = 0,
    /// One is, to find out.
    HalfOpen = 1,
    /// They are not.
    Open = 2,
}

impl State {
    /// How the metric calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// How the provider was, by one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered in its own words, be it with a refusal.
    Well,
    /// It did not, or says that it cannot.
    Ill {
        /// How long it wants to be left alone; zero if it did not say.
        rest: Duration,
    },
}

/// What whoever has work for the provider can do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Call.
    Flow,
    /// Call once, and see.
    Probe,
    /// Wait so long.
    Wait(TimeDelta),
}

/// A call was let through, and when: what becomes of it counts only until the breaker's next change of state. A call that
/// was begun before the outage says nothing of the time after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    phase: u64,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    phase: Phase,
    /// Phases so far.
    phases: u64,
    /// Openings since it was last closed.
    openings: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed(Recent),
    Open(Span),
    /// The span is the probe's: one whose caller is gone will never be heard of.
    HalfOpen(Span),
}

/// A stretch of time. A clock that steps back ends it, so that a wrong clock cannot make it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    since: MachineTime,
    lasts: TimeDelta,
}

impl Span {
    fn left(&self, now: MachineTime) -> Option<TimeDelta> {
        let gone = now.since(self.since);
        (now >= self.since && gone < self.lasts).then(|| self.lasts - gone)
    }
}

/// The latest answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Recent {
    ill_in_a_row: u32,
    /// A bit for each, the latest lowest; 1 is ill.
    ill: u32,
}

impl Recent {
    fn and(self, is_ill: bool) -> Self {
        let ill = ((self.ill << 1) | u32::from(is_ill)) & ((1 << RECENT) - 1);
        Self { ill_in_a_row: if is_ill { self.ill_in_a_row + 1 } else { 0 }, ill }
    }

    fn is_enough(self) -> bool {
        self.ill_in_a_row >= ILL_IN_A_ROW_MAX || self.ill.count_ones() >= ILL_OF_RECENT_MAX
    }
}

impl Default for Breaker {
    /// A closed one.
    fn default() -> Self {
        Self { phase: Phase::Closed(Recent::default()), phases: 0, openings: 0 }
    }
}

impl Breaker {
    /// Whether calls are made.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed(_) => State::Closed,
            Phase::HalfOpen(_) => State::HalfOpen,
            Phase::Open(_) => State::Open,
        }
    }

    /// What can be done at `now`.
    pub fn outlook(&self, now: MachineTime) -> Outlook {
        match self.phase {
            Phase::Closed(_) => Outlook::Flow,
            Phase::Open(span) | Phase::HalfOpen(span) => span.left(now).map_or(Outlook::Probe, Outlook::Wait),
        }
    }

    /// Lets a call through, or not. The first one after a rest is the probe, and is given `call_max` to come back.
    pub fn admit(&mut self, now: MachineTime, call_max: TimeDelta) -> Option<Pass> {
        match self.outlook(now) {
            Outlook::Flow => {}
            Outlook::Probe => self.enter(Phase::HalfOpen(Span { since: now, lasts: call_max })),
            Outlook::Wait(_) => return None,
        }
        Some(Pass { phase: self.phases })
    }

    /// Learns how a call ended that was let through. `jitter` shortens a rest by chance, so that processes that failed
    /// together do not come back together.
    pub fn record(&mut self, pass: Pass, health: Health, now: MachineTime, jitter: impl FnOnce(Duration) -> Duration) {
        if pass.phase != self.phases {
            return;
        }
        match (self.phase, health) {
            (Phase::Closed(recent), Health::Well) => self.phase = Phase::Closed(recent.and(false)),
            (Phase::Closed(recent), Health::Ill { rest }) => {
                let recent = recent.and(true);
                if recent.is_enough() {
                    self.open(now, rest, jitter);
                } else {
                    self.phase = Phase::Closed(recent);
                }
            }
            (Phase::HalfOpen(_), Health::Well) => {
                self.openings = 0;
                self.enter(Phase::Closed(Recent::default()));
            }
            (Phase::HalfOpen(_), Health::Ill { rest }) => self.open(now, rest, jitter),
            // No pass is given while it is open.
            (Phase::Open(_), _) => {}
        }
    }

    fn open(&mut self, now: MachineTime, rest_min: Duration, jitter: impl FnOnce(Duration) -> Duration) {
        let doubled = REST_FIRST.saturating_mul(2_u32.saturating_pow(self.openings)).min(REST_MAX);
        let rest = jitter(doubled).max(rest_min.min(RETRY_AFTER_MAX));
        self.openings = self.openings.saturating_add(1);
        self.enter(Phase::Open(Span { since: now, lasts: TimeDelta::from_std(rest).unwrap_or(TimeDelta::MAX) }));
    }

    fn enter(&mut self, phase: Phase) {
        (self.phase, self.phases) = (phase, self.phases + 1);
    }
}

#[cfg(test)]
mod tests;
