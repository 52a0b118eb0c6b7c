//! The background work of trips: reactions to payments, deadlines, unresponsive and inactive drivers, and sync of the driver index.

pub mod index;
mod unresponsive;

pub use unresponsive::{Inactivity, unassign_unresponsive_once};

use std::time::Duration;

use super::commands::{self, Stamp};
use super::store;
use crate::platform::error::Result;
use crate::platform::ids::TripId;
use crate::platform::outbox::{self, Delivery};
use crate::platform::telemetry;
use crate::platform::work::{RowBackoff, RunOutcome};
use crate::platform::{Platform, db::Tx};

/// The most trips per run.
const BATCH_MAX: i64 = 100;

/// The outbox subscriber of trips.
pub const SUBSCRIBER: &str = "trips";

/// Reacts to a batch of outbox events, each with a stamp of its own.
///
/// # Errors
/// If the database fails.
pub async fn react_once(platform: &Platform) -> Result<RunOutcome> {
    let stamp = || Stamp::new(platform);
    outbox::run_once(platform, SUBSCRIBER, stamp, |tx, stamp, delivery| Box::pin(react(tx, stamp, delivery))).await
}

/// Returns the real time until the next outbox event; `None` if there is none.
///
/// # Errors
/// If the database fails.
pub async fn until_next_event(platform: &Platform) -> Result<Option<Duration>> {
    outbox::until_next(platform, SUBSCRIBER).await
}

async fn react(tx: &mut Tx, stamp: &Stamp, delivery: &Delivery) -> Result<()> {
    store::lock_at_once(tx, delivery.trip_id).await?;
    match delivery.topic.as_str() {
        "payment.authorized" => {
            let at = delivery.payload.get("authorized_at").and_then(|at| serde_json::from_value(at.clone()).ok());
            commands::payment_authorized(tx, delivery.trip_id, at.unwrap_or(stamp.machine_now), stamp).await
        }
        "payment.declined" => commands::payment_declined(tx, delivery.trip_id, stamp).await,
        _ => Ok(()),
    }
}

/// Applies passed deadlines.
///
/// # Errors
/// If the due trips cannot be read. A trip that fails is postponed and does not delay others.
pub async fn deadlines_once(platform: &Platform, backoff: &RowBackoff<TripId>) -> Result<RunOutcome> {
    let input = (platform.clock.domain(), backoff.postponed(platform.clock.machine()));
    let due = platform
        .db
        .read(input, |conn, (now, postponed)| Box::pin(store::due(conn, *now, postponed, BATCH_MAX)))
        .await?;
    let db = platform.db.waiting_briefly();
    let mut outcome = RunOutcome::default();
    for trip in due {
        let end = db.transaction((trip, Stamp::new(platform)), |tx, (trip, stamp)| {
            Box::pin(async move {
                store::lock_at_once(tx, *trip).await?;
                commands::apply_deadline(tx, *trip, stamp).await
            })
        });
        let end = telemetry::continue_trace("deadlines", (Some(trip), None), None, end).await;
        outcome += backoff.record(platform, &trip, end)?;
    }
    Ok(outcome)
}

/// Returns the real time until the next deadline, or until a postponed trip is tried again; `None` if there is none.
///
/// # Errors
/// If the database fails.
pub async fn until_next_deadline(platform: &Platform, backoff: &RowBackoff<TripId>) -> Result<Option<Duration>> {
    let now = platform.clock.machine();
    let postponed = backoff.postponed(now);
    let due = platform.db.read(postponed, |conn, postponed| Box::pin(store::next_due(conn, postponed))).await?;
    let until_due = due.map(|due| platform.clock.until(due));
    Ok(until_due.into_iter().chain(backoff.until_next(now)).min())
}
