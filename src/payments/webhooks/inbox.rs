//! The inbox of the provider's events: an event is stored, answered, and handled afterwards.
//!
//! To handle an event is to make its payment due, and its refunds; the worker then asks the provider. An event of a type
//! `payment_intent.…` says nothing new about what has ended; any other can be about a dispute or a failed refund. An event can arrive before the intent is known,
//! while the `create` is answered and not yet committed, so it is retried. After that it is set aside for an operator: another system
//! uses the account, or we lost the intent.

use std::time::Duration;

use chrono::TimeDelta;

use super::InboundEvent;
use crate::payments::model::Hint;
use crate::payments::{commands, store};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::telemetry;
use crate::platform::wake::Wake;
use crate::platform::work::{RowBackoff, RunOutcome};

/// When an event with an unknown intent is retried; after the last retry it is set aside. A commit follows the provider's answer
/// within milliseconds; five minutes outlast a lease and the back-off after it.
const RETRY_SCHEDULE: [TimeDelta; 4] =
    [TimeDelta::seconds(1), TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(5)];

/// The maximum number of events handled in one run.
const BATCH_MAX: i64 = 64;

/// Stores an event. Returns whether it is new; a repeated event changes nothing.
///
/// # Errors
/// If the database fails.
pub async fn receive(tx: &mut Tx, event: &InboundEvent, now: MachineTime) -> Result<bool> {
    let is_new = store::insert_event(tx, event, now).await?;
    if is_new {
        tx.wake(Wake::ProviderEvents);
    }
    Ok(is_new)
}

/// Handles the due events, each in its own transaction.
///
/// # Errors
/// If the due events cannot be read. An event that fails is left for later and does not delay others.
pub async fn run_once(platform: &Platform, backoff: &RowBackoff<String>) -> Result<RunOutcome> {
    let now = platform.clock.machine();
    let due = platform
        .db
        .read(backoff.postponed(now), move |conn, postponed| {
            Box::pin(store::due_events(conn, now, postponed, BATCH_MAX))
        })
        .await?;
    let db = platform.db.waiting_briefly();
    let mut outcome = RunOutcome::default();
    for (event, cause) in due {
        let end = db.transaction(event.clone(), move |tx, event| Box::pin(handle(tx, event, now)));
        // Under the trace of the request that delivered it, and so is the work that it asks for.
        let end = telemetry::continue_trace("provider-events", (None, None), cause, end).await;
        outcome += backoff.record(platform, &event, end)?;
    }
    Ok(outcome)
}

/// Returns how long until an event is due, or until one that was left for later is tried again; `None` if no event waits.
///
/// # Errors
/// If the database fails.
pub async fn until_next(platform: &Platform, backoff: &RowBackoff<String>) -> Result<Option<Duration>> {
    let now = platform.clock.machine();
    let postponed = backoff.postponed(now);
    let due = platform.db.read(postponed, |conn, postponed| Box::pin(store::next_event_due(conn, postponed))).await?;
    let until_due = due.map(|due| due.since(now).to_std().unwrap_or_default());
    Ok(until_due.into_iter().chain(backoff.until_next(now)).min())
}

/// Updates the gauges of the inbox's table.
///
/// # Errors
/// If the database fails.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (due, set_aside) = platform.db.read((), |conn, ()| Box::pin(store::event_counts(conn))).await?;
    let kept = &platform.metrics.webhooks.events_kept;
    kept.with_label_values(&["waiting"]).set(due);
    kept.with_label_values(&["set_aside"]).set(set_aside);
    Ok(())
}

/// Handles an event under its row lock. Returns false if it is no longer due, or if another process handles it.
async fn handle(tx: &mut Tx, id: &str, now: MachineTime) -> Result<bool> {
    let Some(event) = store::lock_due_event(tx, id, now).await? else { return Ok(false) };
    if store::knows_intent(tx, &event.intent_id).await? {
        let hint = if event.kind.starts_with("payment_intent.") { Hint::Intent } else { Hint::Charge };
        commands::recheck_intent(tx, &event.intent_id, hint, now).await?;
        store::finish_event(tx, &event.id, now).await?;
        return Ok(true);
    }
    match usize::try_from(event.attempts).ok().and_then(|attempts| RETRY_SCHEDULE.get(attempts)) {
        Some(delay) => store::postpone_event(tx, &event.id, now + *delay).await?,
        None => {
            tracing::warn!(
                event = event.id,
                intent = event.intent_id,
                "no payment has this intent: the event is set aside"
            );
            store::set_aside_event(tx, &event.id, now).await?;
        }
    }
    Ok(true)
}
