//! The console's live map: driver positions four times a second, active trips once a second.
//!
//! One reader serves all subscribers, and pauses without any. Nothing here is authoritative: positions come from the matcher's
//! memory, and a slow subscriber skips to the newest state.

mod area;
mod drivers;
mod feed;
mod rides;
mod speed;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::store;
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::supply::{OnlineDriver, Supply};

pub use area::{Area, InvalidArea};
pub use drivers::{Dot, DriverActivity, Drivers};
pub use feed::Feed;
pub use rides::{Rides, WorldBody};
pub use speed::{SPEED_MAX, SpeedLimit};
use speed::{SpeedMeter, SpeedSample};

/// How often positions are read. Devices send one every few seconds, and the map interpolates.
const DRIVERS_EVERY: Duration = Duration::from_millis(250);

/// How often trips are read.
const RIDES_EVERY: Duration = Duration::from_secs(1);

/// How often the delays of positions are read.
const SPEED_EVERY: Duration = Duration::from_secs(1);

/// The most trips read. The map could not draw more, and reports how many it leaves out.
const RIDES_MAX: i64 = 5_000;

/// How long a snapshot waits for the next read.
const SNAPSHOT_WITHIN: Duration = Duration::from_secs(4);

/// The reader of the live map. Clones are the same one.
#[derive(Debug, Clone)]
pub struct LiveMap {
    platform: Platform,
    supply: Arc<Supply>,
    drivers: watch::Sender<Arc<Drivers>>,
    rides: watch::Sender<Arc<Rides>>,
    speed: Arc<Mutex<SpeedMeter>>,
}

/// A subscription to the live map. A newer state replaces one that was not read yet.
#[derive(Debug)]
pub struct Subscription {
    /// The drivers.
    pub drivers: watch::Receiver<Arc<Drivers>>,
    /// The active trips.
    pub rides: watch::Receiver<Arc<Rides>>,
}

impl LiveMap {
    /// A live map without subscribers.
    pub fn new(platform: Platform, supply: Arc<Supply>) -> Self {
        let (drivers, rides) = (watch::Sender::new(Arc::default()), watch::Sender::new(Arc::default()));
        Self { platform, supply, drivers, rides, speed: Arc::default() }
    }

    /// Subscribes. The first state arrives within a second. The caller holds a permit for a stream, which limits the subscriptions.
    pub fn subscribe(&self) -> Subscription {
        Subscription { drivers: self.drivers.subscribe(), rides: self.rides.subscribe() }
    }

    /// Returns the world once.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if reading takes too long.
    pub async fn snapshot(&self) -> Result<WorldBody> {
        let mut subscription = self.subscribe();
        let next = async {
            subscription.drivers.changed().await?;
            subscription.rides.changed().await
        };
        match tokio::time::timeout(SNAPSHOT_WITHIN, next).await {
            Ok(Ok(())) => {
                let (drivers, rides) = (subscription.drivers.borrow().clone(), subscription.rides.borrow().clone());
                Ok(rides.body(&drivers, None))
            }
            _ => {
                let detail = format!("The live map has no data after {} s. Retry.", SNAPSHOT_WITHIN.as_secs());
                Err(Refusal::new(Code::Unavailable, detail).retry_after(1).into())
            }
        }
    }

    /// Reads for the subscribers until the process stops.
    pub async fn run(self) {
        tokio::join!(self.read_drivers(), self.read_rides(), self.measure_speed());
    }

    /// Returns the highest speed of domain time to offer.
    pub fn speed_limit(&self) -> SpeedLimit {
        self.speed.lock().unwrap_or_else(PoisonError::into_inner).limit(self.platform.clock.machine())
    }

    async fn measure_speed(&self) {
        let mut since = self.platform.clock.domain();
        while self.wait(SPEED_EVERY).await {
            if self.platform.leadership.epoch().is_some() {
                let sample = self.speed_sample(&mut since);
                self.speed.lock().unwrap_or_else(PoisonError::into_inner).observe(&sample);
            }
        }
    }

    /// Reads the drivers, and the delays of the positions received since `since`, which becomes now. O(n) in the drivers.
    fn speed_sample(&self, since: &mut DomainTime) -> SpeedSample {
        let (anchor, at) = (self.platform.clock.anchor(), self.platform.clock.machine());
        let now = anchor.domain_at(at);
        let online = self.supply.online_drivers();
        let delays = online.iter().filter(|driver| driver.last.received_at > *since);
        let (mut sum_s, mut count) = (0.0, 0.0);
        for OnlineDriver { last, .. } in delays {
            sum_s += last.received_at.since(last.recorded_at).as_seconds_f64() / f64::from(anchor.scale);
            count += 1.0;
        }
        *since = now;
        // Without a page the trips are not read, and the offers of the last page say nothing.
        let offered = if self.rides.receiver_count() == 0 { 0 } else { self.rides.borrow().offered() };
        SpeedSample {
            at,
            speed: anchor.scale,
            set_at: anchor.real,
            drivers: online.len(),
            stale: online.iter().filter(|driver| !driver.last.is_fresh(now)).count(),
            offered,
            delay_s: (count > 0.0).then(|| sum_s / count),
        }
    }

    /// Waits for the next read; false when the process stops.
    async fn wait(&self, every: Duration) -> bool {
        tokio::select! {
            () = self.platform.shutdown.cancelled() => false,
            () = tokio::time::sleep(every) => true,
        }
    }

    async fn read_drivers(&self) {
        let mut drivers = Drivers::default();
        while self.wait(DRIVERS_EVERY).await {
            if self.drivers.receiver_count() == 0 {
                // No client knows a handle: start again at 0, so that handles stay small.
                drivers = Drivers::default();
                continue;
            }
            let is_matcher = self.platform.leadership.epoch().is_some();
            let online = if is_matcher { self.supply.online_drivers() } else { Vec::new() };
            let rides = self.rides.borrow().clone();
            drivers = drivers.next(online, &rides, self.platform.clock.domain(), is_matcher);
            self.drivers.send_replace(Arc::new(drivers.clone()));
        }
    }

    async fn read_rides(&self) {
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
