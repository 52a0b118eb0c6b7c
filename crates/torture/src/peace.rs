//! After the torture: time passes until every ride is over, and a person does what only a person may do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::types::Uuid;

use crate::BoxError;
use crate::books::{Ours, name};
use crate::clock::Stopwatch;
use crate::people::{OPERATORS, Person, Role, Town};
use crate::stack::Stack;

/// How long rides may take to end, with time passing as below. The longest wait of a ride is a search of ten minutes.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// Domain time passes in steps, so that nobody's deadline is passed over before it could be kept.
const STEP_S: i64 = 45;
const STEP_EVERY: Duration = Duration::from_millis(1_500);

/// The operator who is on duty now. All that is decided here is decided by one, under keys of their own.
pub(crate) fn operator(town: &Arc<Town>) -> Person {
    // The numbers below are taken.
    Person::new(town, Role::Ops, OPERATORS)
}

/// How long work may take to settle once everything is healed. A refund to which the provider has stored a 500 takes longest: it is
/// asked for again, with back-off, for five minutes, until a person has to look.
const SETTLES_WITHIN: Duration = Duration::from_secs(420);

/// How long a retry by a person may take to help.
const RETRY_HELPS_WITHIN: Duration = Duration::from_secs(20);

/// How often what is owed for one purpose of a trip is asked for anew by a person. A bank that always refuses is believed then.
const RETRIES_MAX: u32 = 3;

/// Lets time pass until every trip is over; those that are not, after a minute and a half.
///
/// # Errors
/// If the database or the services do not answer.
pub(crate) async fn come(stack: &Stack, operator: &mut Person) -> Result<Vec<String>, BoxError> {
    let waited = Stopwatch::start();
    loop {
        let open = open_trips(stack).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        if waited.elapsed() >= ENDS_WITHIN {
            return Ok(open.iter().map(|(id, state)| format!("{} is {state}", name("trip", *id))).collect());
        }
        // People end their own rides; the city is told to stop, and its rides under way are an operator's.
        if waited.elapsed() > ENDS_WITHIN / 6 {
            stack.city().stop().await;
            for (id, _) in open.iter().filter(|(_, state)| state == "in_progress") {
                operator.command(&format!("/v1/trips/{}/complete", name("trip", *id)), &json!({})).await;
            }
        }
        stack.clock(&json!({ "advance_s": STEP_S })).await?;
        tokio::time::sleep(STEP_EVERY).await;
    }
}

/// Waits until no work is open any more, and has an operator decide whatever waits for a person: try again first, and if that
/// does not help, close it, which writes a debt off. What is left when there is no more patience.
///
/// # Errors
/// If the database or the services do not answer.
pub(crate) async fn settle(stack: &Stack, operator: &mut Person) -> Result<Vec<String>, BoxError> {
    let mut tried: BTreeMap<Uuid, Stopwatch> = BTreeMap::new();
    let mut retries: BTreeMap<(Uuid, String), u32> = BTreeMap::new();
    let waited = Stopwatch::start();
    loop {
        let waiting = waiting(stack).await?;
        if (waiting.is_empty() && open_work(stack).await? == 0) || waited.elapsed() >= SETTLES_WITHIN {
            return Ok(waiting.into_iter().map(|one| format!("{}: {}", name(one.kind, one.id), one.why)).collect());
        }
        for Waiting { kind, id, of, .. } in waiting {
            let retries = retries.entry(of).or_default();
            let action = match tried.get(&id) {
                None if *retries < RETRIES_MAX => "retry",
                Some(since) if since.elapsed() < RETRY_HELPS_WITHIN => continue,
                None | Some(_) => "close",
            };
            let what = if kind == "pay" { "payments" } else { "refunds" };
            let body = json!({"action": action, "note": "torture: everything is healed"});
            // Without an answer it is decided again: what was not even tried must not be given up.
            if operator.once_more(&format!("/v1/ops/{what}/{}/resolve", name(kind, id)), &body).await.is_some() {
                *retries += u32::from(action == "retry");
                tried.insert(id, Stopwatch::start());
            }
        }
        tokio::time::sleep(STEP_EVERY).await;
    }
}

/// A payment or a refund that waits for a person.
struct Waiting {
    /// Its prefix.
    kind: &'static str,
    id: Uuid,
    /// What it is a try at: a purpose of a trip, or itself.
    of: (Uuid, String),
    why: String,
}

async fn open_trips(stack: &Stack) -> Result<Vec<(Uuid, String)>, BoxError> {
    let sql = "select id, state from trips where ended_at is null";
    Ok(sqlx::query_as(sql).fetch_all(&mut stack.database.session().await?).await?)
}

/// Pieces of work that are due, leased, back off, or wait to be understood.
async fn open_work(stack: &Stack) -> Result<i64, BoxError> {
    Ok(sqlx::query_scalar("select count(*) from open_work").fetch_one(&mut stack.database.session().await?).await?)
}

async fn waiting(stack: &Stack) -> Result<Vec<Waiting>, BoxError> {
    let ours = Ours::read(&mut stack.database.session().await?).await?;
    let payments = ours.payments.into_iter().filter_map(|one| {
        Some(Waiting { kind: "pay", id: one.id, of: (one.trip_id, one.purpose), why: one.attention? })
    });
    let refunds = ours.refunds.into_iter().filter_map(|one| {
        Some(Waiting { kind: "rfd", id: one.id, of: (one.id, "refund".to_owned()), why: one.attention? })
    });
    Ok(payments.chain(refunds).collect())
}
