//! The provider's bad days: the plan of faults, and whom they hold back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use crate::faults::{Fault, Group, Occasion, Strike};
use crate::plan::{Plan, Seeds};

/// What goes wrong. In memory: a restart heals.
#[derive(Debug)]
pub struct BadDays {
    /// Locked after the books, where both are.
    plan: Mutex<Plan>,
    /// Told when the requests that are held shall go on.
    healed: Notify,
    /// Told when the events that are held, or wait for their next attempt, shall go on.
    flushed: Notify,
    /// For plans that come without.
    seeds: Seeds,
}

impl BadDays {
    /// Good days, until somebody plans others; `seeds` are for plans that come without.
    pub fn new(seeds: Seeds) -> Self {
        Self { plan: Mutex::default(), healed: Notify::new(), flushed: Notify::new(), seeds }
    }

    /// The plan of faults. A lock: let it go soon.
    pub fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`Plan::strike`].
    pub fn strike(&self, group: Group, occasion: &Occasion<'_>, by_caller: Option<Strike>) -> Option<Strike> {
        self.plan().strike(group, occasion, by_caller)
    }

    /// Replaces the plan of faults. The same seeds give the same strikes.
    pub fn replace(&self, faults: Vec<Fault>, seeds: Option<Seeds>) {
        self.plan().replace(faults, seeds.unwrap_or(self.seeds));
    }

    /// Ends all faults: nothing is planned any more, and what is held goes on.
    pub fn heal(&self) {
        self.replace(Vec::new(), None);
        self.healed.notify_waiters();
        self.flush();
    }

    /// Lets all events that wait for something be delivered now.
    pub fn flush(&self) {
        self.flushed.notify_waiters();
    }

    /// Holds a request for a while, or until the provider is healed.
    pub async fn hold(&self, delay: Duration) {
        hold(delay, &self.healed).await;
    }

    /// Holds an event for a while, or until all are flushed.
    pub async fn hold_event(&self, delay: Duration) {
        hold(delay, &self.flushed).await;
    }
}

async fn hold(delay: Duration, until: &Notify) {
    if delay > Duration::ZERO {
        let _told_before = timeout(delay, until.notified()).await;
    }
}
