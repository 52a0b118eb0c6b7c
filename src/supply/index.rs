//! The driver index: the fleet, shared by all threads of the matcher.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::fleet::{
    Candidate, Fleet, FreeDriver, IndexDifference, LastKnown, OnlineDriver, PositionReport, PositionVerdict, Query,
    Status,
};
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::DriverId;

/// The [`Fleet`] behind a lock. Each call holds the lock for microseconds, never across an await.
///
/// A process that is not the matcher has no fleet, so that nothing there is decided by positions that stopped arriving.
#[derive(Debug)]
pub struct Supply {
    /// Set while this process is the matcher, and just before, so that no change of a driver is missed after the load.
    fleet: RwLock<Option<Fleet>>,
    /// Held from the read of a status to its application: a slow read never replaces the result of a later one.
    sync: Semaphore,
    /// Notified when searches find a driver that they did not find before.
    gained: Notify,
}

impl Default for Supply {
    fn default() -> Self {
        Self { fleet: RwLock::new(None), sync: Semaphore::new(1), gained: Notify::new() }
    }
}

impl Supply {
    /// See [`Fleet::report`]; `None` without a fleet.
    pub fn report(&self, report: PositionReport, received_at: DomainTime) -> Option<PositionVerdict> {
        let mut fleet = self.write();
        let fleet = fleet.as_mut()?;
        Some(self.watch_gains(fleet, |fleet| fleet.report(report, received_at)))
    }

    /// See [`Fleet::nearest`].
    pub fn nearest(&self, query: &Query) -> Vec<Candidate> {
        self.read().as_ref().map(|fleet| fleet.nearest(query)).unwrap_or_default()
    }

    /// See [`Fleet::position`].
    pub fn position(&self, driver: DriverId) -> Option<LastKnown> {
        self.last_position(driver).flatten()
    }

    /// As [`Supply::position`]; the outer `None` is for no fleet.
    pub fn last_position(&self, driver: DriverId) -> Option<Option<LastKnown>> {
        self.read().as_ref().map(|fleet| fleet.position(driver))
    }

    /// See [`Fleet::online_drivers`]. The lock is held for the copy: less than a millisecond for 10,000 drivers.
    pub fn online_drivers(&self) -> Vec<OnlineDriver> {
        self.read().as_ref().map(|fleet| fleet.online_drivers().collect()).unwrap_or_default()
    }

    /// Returns the last known positions of all online drivers; `None` without a fleet.
    pub fn last_known(&self) -> Option<Vec<LastKnown>> {
        self.read().as_ref().map(|fleet| fleet.online_drivers().map(|driver| driver.last).collect())
    }

    /// See [`Fleet::statuses`]; `None` without a fleet.
    pub fn statuses(&self) -> Option<BTreeMap<DriverId, Status>> {
        self.read().as_ref().map(Fleet::statuses)
    }

    /// See [`Fleet::without_position_since`].
    pub fn without_position_since(&self, before: DomainTime) -> Vec<(DriverId, Status)> {
        self.read().as_ref().map(|fleet| fleet.without_position_since(before).collect()).unwrap_or_default()
    }

    /// Returns the permit to read statuses from the database and apply them: one reader at a time, in the order of the calls.
    ///
    /// # Errors
    /// Never; the semaphore is not closed.
    pub async fn sync_permit(&self) -> Result<SemaphorePermit<'_>> {
        self.sync.acquire().await.map_err(|_| Error::Bug("the semaphore of the index is closed".to_owned()))
    }

    /// Applies statuses that the holder of the permit read. Returns how the index differed before. Does nothing without a fleet.
    pub fn apply(&self, statuses: Vec<(DriverId, Status)>) -> Vec<(DriverId, IndexDifference)> {
        let mut fleet = self.write();
        let Some(fleet) = fleet.as_mut() else { return Vec::new() };
        self.watch_gains(fleet, |fleet| {
            let mut differed = Vec::new();
            for (driver, status) in statuses {
                let difference = IndexDifference::between(fleet.status(driver), status);
                differed.extend(difference.map(|difference| (driver, difference)));
                fleet.set_status(driver, status);
            }
            differed
        })
    }

    /// Applies a change, and notifies [`Supply::gained`] if searches find a driver more.
    fn watch_gains<T>(&self, fleet: &mut Fleet, change: impl FnOnce(&mut Fleet) -> T) -> T {
        let before = fleet.gained();
        let result = change(fleet);
        if fleet.gained() != before {
            self.gained.notify_one();
        }
        result
    }

    /// Waits until a driver has become free, or has sent the first position. Returns at once if one has since the last call. Has one
    /// waiter.
    pub async fn gained(&self) {
        self.gained.notified().await;
    }

    /// See [`Fleet::free_drivers`].
    pub fn free_drivers(&self, now: DomainTime) -> Vec<FreeDriver> {
        self.read().as_ref().map(|fleet| fleet.free_drivers(now).collect()).unwrap_or_default()
    }

    /// Returns those whose status differs from the index. None without a fleet.
    pub fn differing(&self, statuses: Vec<(DriverId, Status)>) -> Vec<DriverId> {
        let fleet = self.read();
        let Some(fleet) = fleet.as_ref() else { return Vec::new() };
        let differs =
            |(driver, status): &(DriverId, Status)| IndexDifference::between(fleet.status(*driver), *status).is_some();
        statuses.into_iter().filter(differs).map(|(driver, _)| driver).collect()
    }

    /// See [`Fleet::evict`].
    pub fn evict(&self, driver: DriverId) {
        if let Some(fleet) = self.write().as_mut() {
            fleet.evict(driver);
        }
    }

    /// Replaces the fleet by these drivers and positions. Returns the number of positions kept, see [`Fleet::restore`].
    pub fn load(&self, statuses: Vec<(DriverId, Status)>, positions: Vec<LastKnown>, now: DomainTime) -> usize {
        let mut fleet = Fleet::default();
        for (driver, status) in statuses {
            fleet.set_status(driver, status);
        }
        let kept = fleet.restore(positions, now);
        *self.write() = Some(fleet);
        self.gained.notify_one();
        kept
    }

    /// Drops the fleet: this process is no longer the matcher.
    pub fn clear(&self) {
        *self.write() = None;
    }

    /// Returns whether there is a fleet.
    pub fn is_loaded(&self) -> bool {
        self.read().is_some()
    }

    /// Returns the number of online drivers, and of free drivers with a position.
    pub fn counts(&self) -> (usize, usize) {
        self.read().as_ref().map_or((0, 0), |fleet| (fleet.online(), fleet.free()))
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Fleet>> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Fleet>> {
        self.fleet.write().unwrap_or_else(PoisonError::into_inner)
    }
}
