//! The city as it moves, for the console's map: where the drivers are, some times a second, and the trips that are not over, once
//! a second. It is read once for everybody who watches, and not at all while nobody does. Nothing here is the truth: positions
//! come from the matcher's memory, and whoever is too slow sees the next state in place of the one he missed.

mod area;
mod drivers;
mod feed;
mod rides;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::store;
use crate::platform::Platform;
use crate::platform::error::{Code, Refusal, Result};
use crate::supply::Supply;

pub use area::{Area, InvalidArea};
pub use drivers::{Doing, Dot, Drivers};
pub use feed::Feed;
pub use rides::{Rides, WorldBody};

/// How often positions are looked at. Devices send every few seconds, and the map glides from one to the next.
const DRIVERS_EVERY: Duration = Duration::from_millis(250);

/// How often trips are read.
const RIDES_EVERY: Duration = Duration::from_secs(1);

/// Trips that are read at most. More than these the map could not show anyway, and says so.
const RIDES_MAX: i64 = 5_000;

/// Who may watch at once: browser tabs of one machine.
const WATCHERS_MAX: usize = 32;

/// How long a glance waits for news.
const GLANCE_WITHIN: Duration = Duration::from_secs(4);

/// The one reader behind all who watch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Live {
    platform: Platform,
    supply: Arc<Supply>,
    drivers: watch::Sender<Arc<Drivers>>,
    rides: watch::Sender<Arc<Rides>>,
    seats: Arc<Semaphore>,
}

/// Somebody's place before the map. News that come while he is busy replace those that he has not seen.
#[derive(Debug)]
pub struct Watcher {
    /// Where the drivers are.
    pub drivers: watch::Receiver<Arc<Drivers>>,
    /// The trips that are not over.
    pub rides: watch::Receiver<Arc<Rides>>,
    _seat: OwnedSemaphorePermit,
}

impl Live {
    /// Nobody watches yet.
    pub fn new(platform: Platform, supply: Arc<Supply>) -> Self {
        let (drivers, rides) = (watch::Sender::new(Arc::default()), watch::Sender::new(Arc::default()));
        Self { platform, supply, drivers, rides, seats: Arc::new(Semaphore::new(WATCHERS_MAX)) }
    }

    /// Takes a place before the map. What is there to see first comes with the next look, in a second at most.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when too many watch already.
    pub fn watch(&self) -> Result<Watcher> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| {
            let detail = format!("{WATCHERS_MAX} are watching already. Close a tab.");
            Refusal::new(Code::Unavailable, detail).retry_after(5)
        })?;
        Ok(Watcher { drivers: self.drivers.subscribe(), rides: self.rides.subscribe(), _seat: seat })
    }

    /// The world, looked at once.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when too many watch already, or nothing can be read.
    pub async fn glance(&self) -> Result<WorldBody> {
        let mut watcher = self.watch()?;
        let looked = async {
            watcher.drivers.changed().await?;
            watcher.rides.changed().await
        };
        match tokio::time::timeout(GLANCE_WITHIN, looked).await {
            Ok(Ok(())) => {
                let (drivers, rides) = (watcher.drivers.borrow().clone(), watcher.rides.borrow().clone());
                Ok(rides.body(&drivers, None))
            }
            _ => Err(Refusal::new(Code::Unavailable, "Nothing could be read in time.").retry_after(1).into()),
        }
    }

    /// Reads for those who watch, until the process ends.
    pub async fn run(self) {
        tokio::join!(self.follow_drivers(), self.follow_rides());
    }

    /// Waits for the next look; false when the process ends.
    async fn wait(&self, every: Duration) -> bool {
        tokio::select! {
            () = self.platform.shutdown.cancelled() => false,
            () = tokio::time::sleep(every) => true,
        }
    }

    async fn follow_drivers(&self) {
        let mut drivers = Drivers::default();
        while self.wait(DRIVERS_EVERY).await {
            if self.drivers.receiver_count() == 0 {
                // Nobody knows a handle any more: give them out anew, so that they cannot pile up.
                drivers = Drivers::default();
                continue;
            }
            let is_matcher = self.platform.leadership.epoch().is_some();
            let seen = if is_matcher { self.supply.everybody() } else { Vec::new() };
            let engaged = self.rides.borrow().clone();
            drivers = drivers.next(seen, &engaged, self.platform.clock.domain(), is_matcher);
            self.drivers.send_replace(Arc::new(drivers.clone()));
        }
    }

    async fn follow_rides(&self) {
        while self.wait(RIDES_EVERY).await {
            if self.rides.receiver_count() == 0 {
                continue;
            }
            let at = self.platform.clock.domain();
            match self.platform.db.read((), |conn, ()| Box::pin(store::rides(conn, RIDES_MAX))).await {
                Ok(rides) => drop(self.rides.send_replace(Arc::new(Rides::new(rides, at)))),
                Err(error) => tracing::warn!(%error, "the live map cannot read the trips"),
            }
        }
    }
}
