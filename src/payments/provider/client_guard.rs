//! The circuit breaker and the retry budget of one process, behind a lock that is never held across an `.await`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::breaker::{AdmittedCall, Breaker, BreakerState, CallHealth, ProviderAvailability};
use super::retry_budget::RetryBudget;
use crate::platform::Platform;
use crate::platform::wake::Wake;

/// Decides which calls are made, and records their results.
pub(super) struct ClientGuard {
    platform: Platform,
    /// The longest call; a probe that takes longer is lost.
    call_max: TimeDelta,
    inner: Mutex<Inner>,
}

struct Inner {
    breaker: Breaker,
    budget: RetryBudget,
}

impl ClientGuard {
    pub(super) fn new(platform: Platform, call_max: TimeDelta) -> Self {
        let budget = RetryBudget::new(platform.clock.machine());
        Self { platform, call_max, inner: Mutex::new(Inner { breaker: Breaker::default(), budget }) }
    }

    /// Returns whether the provider can be called.
    pub(super) fn availability(&self) -> ProviderAvailability {
        self.inner().breaker.availability(self.platform.clock.machine())
    }

    /// Lets a call through, or not.
    pub(super) fn admit(&self) -> Option<AdmittedCall> {
        let now = self.platform.clock.machine();
        self.update("", |inner| inner.breaker.admit(now, self.call_max))
    }

    /// Records the result of an admitted call, and `why` it was inconclusive, for the log.
    pub(super) fn record(&self, call: AdmittedCall, health: CallHealth, why: &str) {
        let now = self.platform.clock.machine();
        self.update(why, |inner| {
            inner.breaker.record(call, health, now, |duration| self.platform.random.jitter(duration));
            if let CallHealth::Failing { retry_after } = health {
                inner.budget.block(retry_after, now);
            }
        });
    }

    /// Counts first tries.
    pub(super) fn count_first_tries(&self, count: usize) {
        let mut inner = self.inner();
        inner.budget.count_first_tries(count, self.platform.clock.machine());
        self.platform.metrics.psp_retry_budget.set(inner.budget.level());
    }

    /// Plans a retry; returns how long it waits for its turn.
    pub(super) fn plan_retry(&self) -> TimeDelta {
        let mut inner = self.inner();
        let wait = inner.budget.plan(self.platform.clock.machine());
        self.platform.metrics.psp_retry_budget.set(inner.budget.level());
        wait
    }

    /// Runs `act`. If that changes the breaker's state, updates the metrics, logs, and wakes the worker.
    fn update<T>(&self, why: &str, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        let before = inner.breaker.state();
        let result = act(&mut inner);
        let after = inner.breaker.state();
        if before != after {
            self.platform.metrics.psp_breaker_state.set(after as i64);
            self.platform.metrics.psp_breaker_transitions.with_label_values(&[after.as_str()]).inc();
            drop(inner);
            match after {
                BreakerState::Open => tracing::warn!(why, "provider calls are failing: the circuit breaker is open"),
                BreakerState::HalfOpen => tracing::info!("the circuit breaker is half open: probing the provider"),
                BreakerState::Closed => {
                    tracing::info!("the provider answers again: the circuit breaker is closed");
                    self.platform.db.wake_hub().wake_here(&[Wake::Payments]);
                }
            }
        }
        result
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
