//! The background work of trips: reactions to payments, deadlines, unresponsive drivers, and sync of the driver index.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::commands::{self, Stamp};
use super::state_machine::UNRESPONSIVE_AFTER;
use super::store;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::DriverId;
use crate::platform::outbox::{self, Delivery};
use crate::platform::{Platform, db::Tx, retention};
use crate::supply::{self, Status, Supply};

/// The most trips per run.
const BATCH_MAX: i64 = 100;

/// The outbox subscriber of trips.
pub const SUBSCRIBER: &str = "trips";

/// The retention of driver events (machine time), and so the time in which a stream can be resumed.
const DRIVER_EVENTS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Reacts to a batch of outbox events. Returns their number.
///
/// # Errors
/// If the database fails.
pub async fn react_once(platform: &Platform) -> Result<usize> {
    let stamp = Stamp::new(platform);
    outbox::run_once(platform, SUBSCRIBER, stamp, |tx, stamp, delivery| Box::pin(react(tx, stamp, delivery))).await
}

async fn react(tx: &mut Tx, stamp: &Stamp, delivery: &Delivery) -> Result<()> {
    match delivery.topic.as_str() {
        "payment.authorized" => {
            let at = delivery.payload.get("authorized_at").and_then(|at| serde_json::from_value(at.clone()).ok());
            commands::payment_authorized(tx, delivery.trip_id, at.unwrap_or(stamp.machine_now), stamp).await
        }
        "payment.declined" => commands::payment_declined(tx, delivery.trip_id, stamp).await,
        _ => Ok(()),
    }
}

/// Applies passed deadlines. Returns the number of due trips.
///
/// # Errors
/// If the database fails.
pub async fn deadlines_once(platform: &Platform) -> Result<usize> {
    let now = platform.clock.domain();
    let due = platform.db.read(now, |conn, now| Box::pin(store::due(conn, *now, BATCH_MAX))).await?;
    for trip in &due {
        let input = (*trip, Stamp::new(platform));
        let end = platform
            .db
            .transaction(input, |tx, (trip, stamp)| Box::pin(commands::apply_deadline(tx, *trip, stamp)))
            .await;
        if let Err(error) = end {
            tracing::warn!(%error, %trip, "deadline failed; the next run retries it");
        }
    }
    Ok(due.len())
}

/// Returns the real time until the next deadline; `None` if there is none.
///
/// # Errors
/// If the database fails.
pub async fn until_next_deadline(platform: &Platform) -> Result<Option<Duration>> {
    let due = platform.db.read((), |conn, ()| Box::pin(store::next_due(conn))).await?;
    Ok(due.map(|due| platform.clock.until(due)))
}

/// Unassigns unresponsive drivers. Runs only in the matcher, which receives the positions. Returns their number.
///
/// # Errors
/// If the database fails.
pub async fn unassign_unresponsive_once(platform: &Platform, supply: &Supply) -> Result<usize> {
    if platform.leadership.epoch().is_none() {
        return Ok(0);
    }
    let before = platform.clock.domain() - UNRESPONSIVE_AFTER;
    let unresponsive = platform
        .db
        .read(before, |conn, before| Box::pin(store::unresponsive_drivers(conn, *before, BATCH_MAX)))
        .await?;
    for (trip, driver) in &unresponsive {
        let last_seen_at = supply.position(*driver).map(|known| known.received_at);
        let input = (*trip, *driver, last_seen_at, Stamp::new(platform));
        platform
            .db
            .transaction(input, |tx, (trip, driver, last_seen_at, stamp)| {
                Box::pin(commands::driver_unresponsive(tx, (*trip, *driver), *last_seen_at, stamp))
            })
            .await?;
    }
    Ok(unresponsive.len())
}

/// Syncs changed drivers to the index: offline, free or busy.
///
/// # Errors
/// If the database fails.
pub async fn sync_index(platform: &Platform, supply: &Supply, changed: Vec<Uuid>) -> Result<()> {
    let read = platform.db.read(changed.clone(), |conn, changed| Box::pin(store::statuses(conn, Some(changed))));
    supply.set_statuses(read.await?.into_iter().map(status));
    Ok(())
}

/// Reloads the index: the status of all drivers, and their fresh positions.
///
/// # Errors
/// If the database fails.
pub async fn load_index(platform: &Platform, supply: &Supply) -> Result<()> {
    let now = platform.clock.domain();
    let since = now - TimeDelta::seconds(supply::MAX_CANDIDATE_AGE_S);
    let read = platform.db.read(since, |conn, since: &DomainTime| {
        Box::pin(
            async move { Ok((store::statuses(conn, None).await?, supply::store::load_positions(conn, *since).await?)) },
        )
    });
    let (statuses, positions) = read.await?;
    let count = positions.len();
    supply.load(statuses.into_iter().map(status), positions, now);
    tracing::info!(positions = count, "index loaded");
    Ok(())
}

fn status((driver, class, available, engaged): (DriverId, VehicleClass, bool, bool)) -> (DriverId, Status) {
    let status = match (engaged, available) {
        (true, _) => Status::Busy { class },
        (false, true) => Status::Free { class },
        (false, false) => Status::Offline,
    };
    (driver, status)
}

/// Deletes a batch of driver events that can no longer be replayed to a stream. Returns their number.
///
/// # Errors
/// If the database fails.
pub async fn reap_once(platform: &Platform) -> Result<usize> {
    let before = platform.clock.machine() - DRIVER_EVENTS_KEPT;
    let delete = platform
        .db
        .transaction((), move |tx, ()| Box::pin(store::delete_expired_driver_events(tx, before, retention::BATCH)));
    Ok(usize::try_from(delete.await?).unwrap_or(usize::MAX))
}
