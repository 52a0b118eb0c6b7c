//! The watched trips of a process: one query a second reads all trips that have an open stream, however many streams there are.
//!
//! A stream learns from it that it missed a wake, that its caller may no longer see the trip, where the driver is, and how long they still
//! drive. The events themselves are read by each stream when there are new ones.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::eta;
use super::state_machine::UNRESPONSIVE_AFTER;
use super::store::{self, TripSummary};
use crate::geo::{Eta, Position, Router};
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, TripId};
use crate::supply::{LastKnown, Supply};

/// The interval of reads, and so the shortest between two positions on a stream.
const READ_EVERY: Duration = Duration::from_secs(1);

/// A watched trip, as read last.
#[derive(Debug, Clone)]
pub struct WatchedTrip {
    /// The trip's row.
    pub trip: TripSummary,
    /// The position of its driver.
    pub position: DriverPosition,
    /// How long the car still drives; `None` if it drives nowhere, or has no known position.
    pub eta: Option<Eta>,
    drive: Option<WatchedDrive>,
}

/// What an ETA was computed for. It is computed again only if this differs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct WatchedDrive {
    from: Position,
    to: Position,
    map: u64,
}

/// The position of a trip's driver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DriverPosition {
    /// The trip has no driver now, or the driver has sent no position.
    None,
    /// The last position.
    Known(LastKnown),
    /// The trip has a driver, but only the matcher knows positions, and it is another process.
    Unavailable,
}

/// Reads the watched trips. Clones are the same one.
#[derive(Debug, Clone)]
pub struct TripWatch {
    platform: Platform,
    supply: Arc<Supply>,
    router: Arc<Router>,
    senders: Senders,
}

/// A sender for each watched trip. `None` is sent for a trip that no longer exists.
type Senders = Arc<Mutex<HashMap<TripId, watch::Sender<Option<WatchedTrip>>>>>;

/// A subscription to one trip, until it is dropped.
#[derive(Debug)]
pub struct TripSubscription(watch::Receiver<Option<WatchedTrip>>);

impl TripSubscription {
    /// Waits for the next read, and returns the trip; `None` if it no longer exists. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchedTrip> {
        if self.0.changed().await.is_err() {
            return pending().await;
        }
        self.0.borrow_and_update().clone()
    }
}

impl TripWatch {
    /// Creates a watch without trips.
    pub fn new(platform: Platform, supply: Arc<Supply>, router: Arc<Router>) -> Self {
        Self { platform, supply, router, senders: Senders::default() }
    }

    /// Subscribes to a trip. The first read follows within [`READ_EVERY`].
    pub fn subscribe(&self, trip: TripId) -> TripSubscription {
        let mut senders = self.lock();
        TripSubscription(senders.entry(trip).or_insert_with(|| watch::Sender::new(None)).subscribe())
    }

    /// Reads the watched trips until the process shuts down.
    pub async fn run(self) {
        loop {
            tokio::select! {
                () = self.platform.shutdown.cancelled() => return,
                () = tokio::time::sleep(READ_EVERY) => {}
            }
            if let Err(error) = self.run_once().await {
                tracing::warn!(%error, "the watched trips cannot be read; trying again");
            }
        }
    }

    /// Reads all watched trips in one query, and sends each to its subscribers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn run_once(&self) -> Result<()> {
        let watched = self.watched();
        if watched.is_empty() {
            return Ok(());
        }
        let read = self.platform.db.read(watched.clone(), |conn, ids| Box::pin(store::summaries(conn, ids)));
        let found = read.await?;
        let is_matcher = self.platform.leadership.epoch().is_some();
        let map = self.router.map();
        let mut found: Vec<WatchedTrip> =
            found.into_iter().map(|trip| self.with_drive(trip, is_matcher, map.version())).collect();
        let (changed, ends): (Vec<usize>, Vec<_>) = found
            .iter()
            .enumerate()
            .filter_map(|(index, trip)| Some((index, trip.drive.filter(|_| trip.eta.is_none())?)))
            .map(|(index, drive)| (index, (drive.from, drive.to)))
            .unzip();
        for (index, eta) in changed.into_iter().zip(eta::drives(&self.platform, map, ends).await?) {
            found[index].eta = Some(eta);
        }
        let mut found: HashMap<TripId, WatchedTrip> = found.into_iter().map(|trip| (trip.trip.id, trip)).collect();
        let senders = self.lock();
        for trip in watched {
            let Some(sender) = senders.get(&trip) else { continue };
            sender.send_replace(found.remove(&trip));
        }
        Ok(())
    }

    /// Adds the driver's position and, unless it is that of an unresponsive driver, where they drive; and the ETA if the last read had
    /// the same drive.
    fn with_drive(&self, trip: TripSummary, is_matcher: bool, map: u64) -> WatchedTrip {
        let position = self.position(trip.current_driver(), is_matcher);
        let to = eta::destination(trip.state, trip.pickup, trip.dropoff);
        let drive = match position {
            DriverPosition::Known(known) if known.age(self.platform.clock.domain()) <= UNRESPONSIVE_AFTER => {
                to.map(|to| WatchedDrive { from: known.position, to, map })
            }
            DriverPosition::Known(_) | DriverPosition::None | DriverPosition::Unavailable => None,
        };
        let senders = self.lock();
        let last = senders.get(&trip.id).and_then(|sender| sender.borrow().as_ref().map(|last| (last.drive, last.eta)));
        let eta = last.filter(|(last, _)| *last == drive).and_then(|(_, eta)| eta);
        WatchedTrip { trip, position, eta, drive }
    }

    /// Returns the trips with subscribers, and forgets the others.
    fn watched(&self) -> Vec<TripId> {
        let mut senders = self.lock();
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.keys().copied().collect()
    }

    fn position(&self, driver: Option<DriverId>, is_matcher: bool) -> DriverPosition {
        match driver {
            None => DriverPosition::None,
            Some(_) if !is_matcher => DriverPosition::Unavailable,
            Some(driver) => self.supply.position(driver).map_or(DriverPosition::None, DriverPosition::Known),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TripId, watch::Sender<Option<WatchedTrip>>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
