//! The inbox of the provider's events: stored in one insert, answered, and handled afterwards, by looking.
//!
//! Handling an event is to make the payment due that it is about: the payments' worker asks the provider then. An event may come
//! before we know the intent, whose `create` has been answered and not committed yet; it is tried again a few times. An intent
//! that nobody knows by then is somebody else's at the provider, or one that we lost; the event is set aside for a person.

use std::time::Duration;

use chrono::TimeDelta;

use super::Event;
use crate::payments::{commands, store};
use crate::platform::Platform;
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::wake::Wake;

/// How long to wait before an event is looked at again whose intent nobody knows. After the last one it is set aside. A commit
/// that follows the provider's answer takes milliseconds; five minutes outlast a lease and the back-off after it.
const PAUSES: [TimeDelta; 4] =
    [TimeDelta::seconds(1), TimeDelta::seconds(5), TimeDelta::seconds(30), TimeDelta::minutes(5)];

/// Events handled in one round at most.
const BATCH_MAX: usize = 64;

/// Stores an event. Says whether it is new: one that is here already was or will be handled, and nothing is to be done.
///
/// # Errors
/// If the database does not answer.
pub async fn receive(tx: &mut Tx, event: &Event, now: MachineTime) -> Result<bool> {
    let is_new = store::insert_event(tx, event, now).await?;
    if is_new {
        tx.wake(Wake::ProviderEvents);
    }
    Ok(is_new)
}

/// Handles the events that are due, each in a transaction of its own. Returns how many it was.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(platform: &Platform) -> Result<usize> {
    for count in 0..BATCH_MAX {
        let now = platform.clock.machine();
        if !platform.db.transaction((), move |tx, ()| Box::pin(handle_next(tx, now))).await? {
            return Ok(count);
        }
    }
    Ok(BATCH_MAX)
}

/// How long until an event is due; `None` if none waits.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next(platform: &Platform) -> Result<Option<Duration>> {
    let due = platform.db.read((), |conn, ()| Box::pin(store::next_event_due(conn))).await?;
    let now = platform.clock.machine();
    Ok(due.map(|due| due.since(now).to_std().unwrap_or_default()))
}

/// Brings the gauges of the inbox up to date, for `GET /metrics`.
///
/// # Errors
/// If the database does not answer.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (due, set_aside) = platform.db.read((), |conn, ()| Box::pin(store::event_counts(conn))).await?;
    let kept = &platform.metrics.webhooks.events_kept;
    kept.with_label_values(&["waiting"]).set(due);
    kept.with_label_values(&["set_aside"]).set(set_aside);
    Ok(())
}

/// Handles the event that has waited longest, if one is due. Its row is locked for as long, so that no two handle it.
async fn handle_next(tx: &mut Tx, now: MachineTime) -> Result<bool> {
    let Some(event) = store::lock_due_event(tx, now).await? else { return Ok(false) };
    if store::knows_intent(tx, &event.intent).await? {
        commands::hint(tx, &event.intent, now).await?;
        store::finish_event(tx, &event.id, now).await?;
        return Ok(true);
    }
    match usize::try_from(event.attempts).ok().and_then(|attempts| PAUSES.get(attempts)) {
        Some(pause) => store::put_off_event(tx, &event.id, now + *pause).await?,
        None => {
            tracing::warn!(event = event.id, intent = event.intent, "nobody knows this intent: the event is set aside");
            store::set_aside_event(tx, &event.id, now).await?;
        }
    }
    Ok(true)
}
