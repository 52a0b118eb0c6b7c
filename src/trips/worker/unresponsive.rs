//! Drivers that send no positions: unassigned from a trip after 180 s, taken offline after 15 minutes without one. Only the matcher
//! receives positions, so that only the matcher decides; each transaction checks its epoch.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::BATCH_MAX;
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::telemetry;
use crate::platform::work::{RowBackoff, RunOutcome};
use crate::supply::{KnownPosition, Status, Supply};
use crate::trips::commands::{self, INACTIVE_AFTER, InactiveDriver, Stamp};
use crate::trips::state_machine::UNRESPONSIVE_AFTER;
use crate::trips::store;

/// Unassigns unresponsive drivers.
///
/// # Errors
/// If the trips cannot be read. A trip that fails is postponed and does not delay others.
pub async fn unassign_unresponsive_once(
    platform: &Platform,
    supply: &Supply,
    backoff: &RowBackoff<TripId>,
) -> Result<RunOutcome> {
    let mut outcome = RunOutcome::default();
    let Some(epoch) = platform.leadership.epoch() else { return Ok(outcome) };
    let now = platform.clock.domain();
    let before = now - UNRESPONSIVE_AFTER;
    let without_position = supply.without_position_since(before);
    let busy: Vec<Uuid> =
        without_position.iter().filter(|(_, status)| is_busy(*status)).map(|(id, _)| id.uuid()).collect();
    if busy.is_empty() {
        return Ok(outcome);
    }
    let input = (busy, before, backoff.postponed(platform.clock.machine()));
    let read = platform.db.read(input, |conn, (busy, before, postponed)| {
        Box::pin(store::trips_of_unresponsive(conn, busy, *before, postponed, BATCH_MAX))
    });
    let db = platform.db.waiting_briefly();
    for (trip, driver) in read.await? {
        let Some(last) = supply.last_position(driver) else { break };
        let known = KnownPosition { driver, last, until: now, epoch: Some(epoch) };
        let end = db.transaction((trip, known, Stamp::new(platform)), |tx, (trip, known, stamp)| {
            Box::pin(async move {
                store::lock_at_once(tx, *trip).await?;
                commands::driver_unresponsive(tx, *trip, known, stamp).await
            })
        });
        let end = telemetry::continue_trace("unresponsive-drivers", (Some(trip), None), None, end).await;
        outcome += backoff.record(platform, &trip, end)?;
    }
    Ok(outcome)
}

fn is_busy(status: Status) -> bool {
    matches!(status, Status::Busy { .. })
}

/// Takes inactive drivers offline.
#[derive(Debug)]
pub struct Inactivity {
    platform: Platform,
    supply: Arc<Supply>,
    /// The inactive drivers of the last run.
    suspects: Mutex<HashSet<DriverId>>,
    backoff: RowBackoff<DriverId>,
}

impl Inactivity {
    /// A worker that has not run.
    pub fn new(platform: Platform, supply: Arc<Supply>) -> Self {
        Self { platform, supply, suspects: Mutex::default(), backoff: RowBackoff::new("inactive-drivers") }
    }

    /// Takes drivers offline that were inactive in this run and in the last.
    ///
    /// Two runs, so that a jump of the domain clock takes no driver offline who is about to send the next position.
    ///
    /// # Errors
    /// If the drivers cannot be read. A driver who fails is postponed and does not delay others.
    pub async fn run_once(&self) -> Result<RunOutcome> {
        let mut outcome = RunOutcome::default();
        let Some(epoch) = self.platform.leadership.epoch() else { return Ok(outcome) };
        let before = self.platform.clock.domain() - INACTIVE_AFTER;
        let read =
            self.platform.db.read((self.twice_without_position(before), before), |conn, (without_position, before)| {
                Box::pin(store::free_since(conn, without_position, *before, BATCH_MAX))
            });
        let db = self.platform.db.waiting_briefly();
        for driver_id in read.await? {
            let inactive = InactiveDriver { driver_id, before, epoch, stamp: Stamp::new(&self.platform) };
            let end = db.transaction(inactive, |tx, inactive| Box::pin(commands::take_offline(tx, inactive))).await;
            outcome += self.backoff.record(&self.platform, &driver_id, end)?;
        }
        Ok(outcome)
    }

    /// Returns the free drivers without a position since `before`, now and in the last run, without the postponed ones.
    fn twice_without_position(&self, before: DomainTime) -> Vec<Uuid> {
        let without_position =
            self.supply.without_position_since(before).into_iter().filter(|(_, status)| !is_busy(*status));
        let without_position: HashSet<DriverId> = without_position.map(|(driver, _)| driver).collect();
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        let last = std::mem::replace(&mut *suspects, without_position);
        let postponed = self.backoff.postponed(self.platform.clock.machine());
        suspects.intersection(&last).filter(|driver| !postponed.contains(driver)).map(|driver| driver.uuid()).collect()
    }
}
