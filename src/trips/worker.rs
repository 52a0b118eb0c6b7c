//! What trips do by themselves: react to news of payments, keep deadlines, notice silent drivers, and tell the index who is free.

use std::time::Duration;

use chrono::TimeDelta;
use uuid::Uuid;

use super::commands::{self, Stamp};
use super::machine::SILENT_AFTER;
use super::store;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::Result;
use crate::platform::ids::DriverId;
use crate::platform::outbox::{self, Delivery};
use crate::platform::{Platform, db::Tx};
use crate::supply::{self, Status, Supply};

/// Deadlines kept in one round at most.
const BATCH_MAX: i64 = 100;

/// The name under which trips subscribe to the outbox.
pub const SUBSCRIBER: &str = "trips";

/// Reacts to what is in the outbox. Returns how much there was.
///
/// # Errors
/// If the database does not answer.
pub async fn react_once(platform: &Platform) -> Result<usize> {
    let stamp = Stamp::new(platform);
    outbox::run_once(platform, SUBSCRIBER, stamp, |tx, stamp, delivery| Box::pin(react(tx, stamp, delivery))).await
}

async fn react(tx: &mut Tx, stamp: &Stamp, delivery: &Delivery) -> Result<()> {
    match delivery.topic.as_str() {
        "payment.authorized" => {
            let at = delivery.payload.get("authorized_at").and_then(|at| serde_json::from_value(at.clone()).ok());
            commands::payment_authorised(tx, delivery.trip_id, at.unwrap_or(stamp.machine_now), stamp).await
        }
        "payment.declined" => commands::payment_declined(tx, delivery.trip_id, stamp).await,
        _ => Ok(()),
    }
}

/// Does what is due by now. Returns how many trips were looked at.
///
/// # Errors
/// If the database does not answer.
pub async fn deadlines_once(platform: &Platform) -> Result<usize> {
    let now = platform.clock.domain();
    let due = platform.db.read(now, |conn, now| Box::pin(store::due(conn, *now, BATCH_MAX))).await?;
    for trip in &due {
        let input = (*trip, Stamp::new(platform));
        let end =
            platform.db.transaction(input, |tx, (trip, stamp)| Box::pin(commands::time_passed(tx, *trip, stamp))).await;
        if let Err(error) = end {
            tracing::warn!(%error, %trip, "a deadline could not be kept");
        }
    }
    Ok(due.len())
}

/// Real time until the next deadline; `None` if there is none.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next_deadline(platform: &Platform) -> Result<Option<Duration>> {
    let due = platform.db.read((), |conn, ()| Box::pin(store::next_due(conn))).await?;
    Ok(due.map(|due| platform.clock.until(due)))
}

/// Takes trips away from drivers who have not been heard of. Only the matcher hears them. Returns how many it was.
///
/// # Errors
/// If the database does not answer.
pub async fn silence_once(platform: &Platform, supply: &Supply) -> Result<usize> {
    if platform.leadership.epoch().is_none() {
        return Ok(0);
    }
    let before = platform.clock.domain() - SILENT_AFTER;
    let silent = platform.db.read(before, |conn, before| Box::pin(store::silent(conn, *before, BATCH_MAX))).await?;
    for (trip, driver) in &silent {
        let heard_at = supply.position(*driver).map(|known| known.received_at);
        let input = (*trip, *driver, heard_at, Stamp::new(platform));
        platform
            .db
            .transaction(input, |tx, (trip, driver, heard_at, stamp)| {
                Box::pin(commands::driver_silent(tx, (*trip, *driver), *heard_at, stamp))
            })
            .await?;
    }
    Ok(silent.len())
}

/// Tells the index about the drivers who changed: who is offline, free, engaged.
///
/// # Errors
/// If the database does not answer.
pub async fn tell_index(platform: &Platform, supply: &Supply, changed: Vec<Uuid>) -> Result<()> {
    let read = platform.db.read(changed.clone(), |conn, changed| Box::pin(store::statuses(conn, Some(changed))));
    supply.set_statuses(read.await?.into_iter().map(status));
    Ok(())
}

/// Loads the index anew: everybody's status, and the positions that are still fresh.
///
/// # Errors
/// If the database does not answer.
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
        (true, _) => Status::Engaged { class },
        (false, true) => Status::Free { class },
        (false, false) => Status::Offline,
    };
    (driver, status)
}
