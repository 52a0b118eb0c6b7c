//! The breaker and the retry budget of one process, behind a lock that nobody waits for: what goes to the provider, and when.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::breaker::{Breaker, Health, Outlook, Pass, State};
use super::budget::Budget;
use crate::platform::Platform;
use crate::platform::wake::Wake;

/// Lets calls through, and learns from them.
pub(super) struct Valve {
    platform: Platform,
    /// The longest call: a probe that has not come back then never will.
    call_max: TimeDelta,
    inner: Mutex<Inner>,
}

struct Inner {
    breaker: Breaker,
    budget: Budget,
}

impl Valve {
    pub(super) fn new(platform: Platform, call_max: TimeDelta) -> Self {
        let budget = Budget::new(platform.clock.machine());
        Self { platform, call_max, inner: Mutex::new(Inner { breaker: Breaker::default(), budget }) }
    }

    /// What whoever has work for the provider can do now.
    pub(super) fn outlook(&self) -> Outlook {
        self.inner().breaker.outlook(self.platform.clock.machine())
    }

    /// Lets a call through, or not.
    pub(super) fn admit(&self) -> Option<Pass> {
        let now = self.platform.clock.machine();
        self.watched("", |inner| inner.breaker.admit(now, self.call_max))
    }

    /// Learns how a call ended that was let through, and `why` it told nothing, for people.
    pub(super) fn record(&self, pass: Pass, health: Health, why: &str) {
        let now = self.platform.clock.machine();
        self.watched(why, |inner| {
            inner.breaker.record(pass, health, now, |rest| self.platform.dice.jitter(rest));
            if let Health::Ill { rest } = health {
                inner.budget.hold(rest, now);
            }
        });
    }

    /// So much work was begun for the first time.
    pub(super) fn begun(&self, count: usize) {
        let mut inner = self.inner();
        inner.budget.begun(count, self.platform.clock.machine());
        self.platform.metrics.psp_retry_budget.set(inner.budget.level());
    }

    /// Plans a retry; returns how long it has to wait for its turn, its own back-off apart.
    pub(super) fn plan_retry(&self) -> TimeDelta {
        let mut inner = self.inner();
        let wait = inner.budget.plan(self.platform.clock.machine());
        self.platform.metrics.psp_retry_budget.set(inner.budget.level());
        wait
    }

    /// Does something with the breaker, and tells people and workers if that has changed its state.
    fn watched<T>(&self, why: &str, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        let before = inner.breaker.state();
        let end = act(&mut inner);
        let after = inner.breaker.state();
        if before != after {
            self.platform.metrics.psp_breaker_state.set(after as i64);
            self.platform.metrics.psp_breaker_transitions.with_label_values(&[after.as_str()]).inc();
            drop(inner);
            match after {
                State::Open => tracing::warn!(why, "the provider does not answer: calls are held back"),
                State::HalfOpen => tracing::info!("one call to the provider, to see whether it answers again"),
                State::Closed => {
                    tracing::info!("the provider answers again");
                    self.platform.db.hub().wake_here(&[Wake::Payments]);
                }
            }
        }
        end
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
