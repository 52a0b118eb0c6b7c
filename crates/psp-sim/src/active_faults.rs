//! The active fault plan, and the holds that it can end early.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::fault_kinds::FaultGroup;
use crate::fault_plan::{FaultPlan, Seeds};
use crate::faults::{Fault, Injection, InjectionPoint};

/// The active faults. In memory: a restart clears them.
#[derive(Debug)]
pub struct ActiveFaults {
    /// Locked after the records, where both are locked.
    plan: Mutex<FaultPlan>,
    /// How many times the held requests were released.
    requests_released: watch::Sender<u64>,
    /// How many times the held events, and those that wait for a retry, were released.
    deliveries_released: watch::Sender<u64>,
    /// The seeds of a plan without seeds.
    seeds: Seeds,
}

impl ActiveFaults {
    /// No faults; `seeds` are those of later plans without seeds.
    pub fn new(seeds: Seeds) -> Self {
        Self {
            plan: Mutex::default(),
            requests_released: watch::Sender::default(),
            deliveries_released: watch::Sender::default(),
            seeds,
        }
    }

    /// The locked fault plan.
    pub fn plan(&self) -> MutexGuard<'_, FaultPlan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`FaultPlan::inject`].
    pub fn inject(
        &self,
        group: FaultGroup,
        point: &InjectionPoint<'_>,
        by_caller: Option<Injection>,
    ) -> Option<Injection> {
        self.plan().inject(group, point, by_caller)
    }

    /// Replaces the fault plan. The same seeds give the same injections.
    pub fn replace(&self, faults: Vec<Fault>, seeds: Option<Seeds>) {
        self.plan().replace(faults, seeds.unwrap_or(self.seeds));
    }

    /// Removes all faults, and releases the held requests and events.
    pub fn clear(&self) {
        self.replace(Vec::new(), None);
        self.requests_released.send_modify(|times| *times += 1);
        self.release_deliveries();
    }

    /// Releases all events that are held or wait for a retry.
    pub fn release_deliveries(&self) {
        self.deliveries_released.send_modify(|times| *times += 1);
    }

    /// A hold on a request, until [`Self::clear`].
    pub fn request_hold(&self) -> Hold {
        Hold::new(&self.requests_released)
    }

    /// A hold on a delivery, until [`Self::release_deliveries`].
    pub fn delivery_hold(&self) -> Hold {
        Hold::new(&self.deliveries_released)
    }
}

/// A wait that can be ended early. Created before the fault is counted, so that a release that follows the count is not
/// missed.
#[derive(Debug)]
pub struct Hold {
    released: watch::Receiver<u64>,
    since: u64,
}

impl Hold {
    fn new(release: &watch::Sender<u64>) -> Self {
        let released = release.subscribe();
        let since = *released.borrow();
        Self { released, since }
    }

    /// Waits for `delay` or until the release; after a release, not at all.
    pub async fn wait(&mut self, delay: Duration) {
        if delay > Duration::ZERO {
            let since = self.since;
            let _elapsed = timeout(delay, self.released.wait_for(|times| *times > since)).await;
        }
    }

    /// Ignores the releases so far.
    pub fn renew(&mut self) {
        self.since = *self.released.borrow_and_update();
    }
}
