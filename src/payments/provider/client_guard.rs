//! The circuit breaker and the retry budget of a pool of calls, behind a lock that is never held across an `.await`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use super::breaker::{AdmittedCall, Breaker, BreakerState, CallHealth, ProviderAvailability};
use super::retry_budget::RetryBudget;
use crate::payments::model::CallPool;
use crate::platform::Platform;

/// Decides which calls are made, and records their results.
pub(super) struct ClientGuard {
    platform: Platform,
    pool: CallPool,
    /// The longest call; a probe that takes longer is lost.
    call_max: TimeDelta,
    inner: Mutex<Inner>,
}

struct Inner {
    breaker: Breaker,
    budget: RetryBudget,
}

impl ClientGuard {
    pub(super) fn new(platform: Platform, pool: CallPool, call_max: TimeDelta) -> Self {
        let inner = Inner { breaker: Breaker::default(), budget: RetryBudget::new(platform.clock.machine()) };
        let guard = Self { platform, pool, call_max, inner: Mutex::new(inner) };
        guard.show_state(BreakerState::Closed);
        guard.show_budget(&guard.inner());
        guard
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
        self.show_budget(&inner);
    }

    /// Plans a retry; returns how long it waits for its turn.
    pub(super) fn plan_retry(&self) -> TimeDelta {
        let mut inner = self.inner();
        let wait = inner.budget.plan(self.platform.clock.machine());
        self.show_budget(&inner);
        wait
    }

    /// Runs `act`. If that changes the breaker's state, updates the metrics, logs, and wakes the worker.
    fn update<T>(&self, why: &str, act: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner();
        let before = inner.breaker.state();
        let result = act(&mut inner);
        let after = inner.breaker.state();
        if before != after {
            self.show_state(after);
            let pool = self.pool.as_str();
            self.platform.metrics.psp_breaker_transitions.with_label_values(&[pool, after.as_str()]).inc();
            drop(inner);
            match after {
                BreakerState::Open => {
                    tracing::warn!(pool, why, "provider calls are failing: the circuit breaker is open");
                }
                BreakerState::HalfOpen => {
                    tracing::info!(pool, "the circuit breaker is half open: probing the provider");
                }
                BreakerState::Closed => {
                    tracing::info!(pool, "the provider answers again: the circuit breaker is closed");
                    self.platform.db.wake_hub().wake_here(&[self.pool.wake()]);
                }
            }
        }
        result
    }

    fn show_state(&self, state: BreakerState) {
        self.platform.metrics.psp_breaker_state.with_label_values(&[self.pool.as_str()]).set(state as i64);
    }

    fn show_budget(&self, inner: &Inner) {
        let budget = self.platform.metrics.psp_retry_budget.with_label_values(&[self.pool.as_str()]);
        budget.set(inner.budget.level());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
