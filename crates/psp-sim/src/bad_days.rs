//! The provider's bad days: the plan of faults, and whom they hold back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::faults::{Fault, Group, Occasion, Strike};
use crate::plan::{Plan, Seeds};

/// What goes wrong. In memory: a restart heals.
#[derive(Debug)]
pub struct BadDays {
    /// Locked after the books, where both are.
    plan: Mutex<Plan>,
    /// How often the requests that are held were let go.
    healed: watch::Sender<u64>,
    /// How often the events that are held, or wait for their next attempt, were let go.
    flushed: watch::Sender<u64>,
    /// For plans that come without.
    seeds: Seeds,
}

impl BadDays {
    /// Good days, until somebody plans others; `seeds` are for plans that come without.
    pub fn new(seeds: Seeds) -> Self {
        Self { plan: Mutex::default(), healed: watch::Sender::default(), flushed: watch::Sender::default(), seeds }
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
        self.healed.send_modify(|times| *times += 1);
        self.flush();
    }

    /// Lets all events that wait for something be delivered now.
    pub fn flush(&self) {
        self.flushed.send_modify(|times| *times += 1);
    }

    /// For a request that may be held, until somebody heals the provider.
    pub fn patience(&self) -> Patience {
        Patience::of(&self.healed)
    }

    /// For an event that may be held, until somebody flushes them.
    pub fn patience_of_event(&self) -> Patience {
        Patience::of(&self.flushed)
    }
}

/// A wait that somebody can end. Taken before anybody can know that there is something to wait for, so that whoever ends
/// it is never too early.
#[derive(Debug)]
pub struct Patience {
    ended: watch::Receiver<u64>,
    since: u64,
}

impl Patience {
    fn of(end: &watch::Sender<u64>) -> Self {
        let ended = end.subscribe();
        let since = *ended.borrow();
        Self { ended, since }
    }

    /// Waits so long, or until the end; after that, not at all.
    pub async fn wait(&mut self, delay: Duration) {
        if delay > Duration::ZERO {
            let since = self.since;
            let _ended_before = timeout(delay, self.ended.wait_for(|times| *times > since)).await;
        }
    }

    /// Begins anew.
    pub fn renew(&mut self) {
        self.since = *self.ended.borrow_and_update();
    }
}
