//! After the last fault: domain time passes until every trip has ended, and an operator resolves what needs review.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use serde_json::json;
use sqlx::types::Uuid;

use crate::BoxError;
use crate::actors::{Actor, Context, OPERATORS, Response, Role};
use crate::ledger_check::{OurRecords, type_id};
use crate::stack::Stack;

/// How long trips may take to end. The longest wait of a trip is a search of ten minutes of domain time.
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// The domain clock advances in steps, so that no deadline passes before it can be kept.
const STEP_S: i64 = 45;
const STEP_EVERY: Duration = Duration::from_millis(1_500);

/// Returns the operator that makes all decisions from here on.
pub(crate) fn operator(context: &Arc<Context>) -> Actor {
    // Lower numbers are taken.
    Actor::new(context, Role::Ops, OPERATORS)
}

/// How long work may take to settle after the last fault. A refund with a stored 500 takes longest: it is retried with back-off for
/// five minutes, until it needs review.
const SETTLES_WITHIN: Duration = Duration::from_secs(420);

/// How long a retry may take to succeed.
const RETRY_HELPS_WITHIN: Duration = Duration::from_secs(20);

/// Retries for one purpose of a trip. After these, the bank's refusal is final.
const RETRIES_MAX: u32 = 3;

/// Runs of the reconciliation: one finds what was lost, the next that nothing is left, and one more if trips were unsettled.
const RECONCILIATIONS_MAX: u32 = 4;

/// How long a run may take.
const RECONCILES_WITHIN: Duration = Duration::from_secs(30);

/// Advances the domain clock until every trip has ended. Returns the trips that have not after a minute and a half.
///
/// # Errors
/// If the database or the services do not respond.
pub(crate) async fn end_trips(stack: &Stack, operator: &mut Actor) -> Result<Vec<String>, BoxError> {
    let waited = Stopwatch::start();
    loop {
        let open = open_trips(stack).await?;
        if open.is_empty() {
            return Ok(Vec::new());
        }
        if waited.elapsed() >= ENDS_WITHIN {
            return Ok(open.iter().map(|(id, state)| format!("{} is {state}", type_id("trip", *id))).collect());
        }
        // Actors end their own trips. The operator ends those of the city, which stops.
        if waited.elapsed() > ENDS_WITHIN / 6 {
            stack.city().stop().await;
            for (id, _) in open.iter().filter(|(_, state)| state == "in_progress") {
                operator.command(&format!("/v1/trips/{}/complete", type_id("trip", *id)), &json!({})).await;
            }
        }
        stack.set_clock(&json!({ "advance_s": STEP_S })).await?;
        tokio::time::sleep(STEP_EVERY).await;
    }
}

/// Waits until no work is open. The operator resolves what needs review: first with a retry, then by closing it, which writes off the
/// debt. Returns what still needs review after seven minutes.
///
/// # Errors
/// If the database or the services do not respond.
pub(crate) async fn resolve_open_work(stack: &Stack, operator: &mut Actor) -> Result<Vec<String>, BoxError> {
    let mut tried: BTreeMap<Uuid, Stopwatch> = BTreeMap::new();
    let mut retries: BTreeMap<(Uuid, String), u32> = BTreeMap::new();
    let waited = Stopwatch::start();
    loop {
        let waiting = reviews(stack).await?;
        if (waiting.is_empty() && open_work(stack).await? == 0) || waited.elapsed() >= SETTLES_WITHIN {
            return Ok(waiting
                .into_iter()
                .map(|one| format!("{}: {}", type_id(one.prefix, one.id), one.reason))
                .collect());
        }
        for Review { prefix, id, of, is_settled, .. } in waiting {
            let retries = retries.entry(of).or_default();
            let action = match tried.get(&id) {
                // Nothing of it is owed: the operator has seen the dispute.
                _ if is_settled => "close",
                None if *retries < RETRIES_MAX => "retry",
                Some(since) if since.elapsed() < RETRY_HELPS_WITHIN => continue,
                None | Some(_) => "close",
            };
            let what = if prefix == "pay" { "payments" } else { "refunds" };
            let body = json!({"action": action, "note": "torture: all faults are over"});
            // Without a response the decision is made again: nothing may be closed before a retry.
            if operator.command_once(&format!("/v1/ops/{what}/{}/resolve", type_id(prefix, id)), &body).await.is_some()
            {
                *retries += u32::from(action == "retry");
                tried.insert(id, Stopwatch::start());
            }
        }
        tokio::time::sleep(STEP_EVERY).await;
    }
}

/// Reconciles our records with the provider's until there is no difference, and settles the work that this makes: refunds and disputes
/// whose events were lost are looked at again. Returns what still needs review.
///
/// # Errors
/// If the database or the services do not respond.
pub(crate) async fn reconcile(
    stack: &Stack,
    operator: &mut Actor,
    mut needs_review: Vec<String>,
) -> Result<Vec<String>, BoxError> {
    for _ in 0..RECONCILIATIONS_MAX {
        let run = operator.command("/v1/ops/reconciliation/runs", &json!({"scope": "all"})).await;
        let Some(run) = run.filter(Response::is_success) else { continue };
        let path = format!("/v1/ops/reconciliation/runs/{}", run.text("id"));
        let waited = Stopwatch::start();
        let mut differences = None;
        while differences.is_none() && waited.elapsed() < RECONCILES_WITHIN {
            tokio::time::sleep(STEP_EVERY).await;
            let run = operator.get(&path).await.filter(|run| run.body["finished_at"].is_string());
            differences = run.and_then(|run| run.body["differences"].as_i64());
        }
        needs_review = resolve_open_work(stack, operator).await?;
        if differences == Some(0) {
            break;
        }
    }
    Ok(needs_review)
}

/// A payment or a refund that needs review.
struct Review {
    /// Of its TypeID.
    prefix: &'static str,
    id: Uuid,
    /// What it is an attempt at: a purpose of a trip, or itself.
    of: (Uuid, String),
    /// Whether it is a captured payment: what needs review is its dispute.
    is_settled: bool,
    reason: String,
}

async fn open_trips(stack: &Stack) -> Result<Vec<(Uuid, String)>, BoxError> {
    let sql = "select id, state from trips where ended_at is null";
    Ok(sqlx::query_as(sql).fetch_all(&mut stack.database.session().await?).await?)
}

/// Counts work that is due, leased, backing off, or unresolved.
async fn open_work(stack: &Stack) -> Result<i64, BoxError> {
    Ok(sqlx::query_scalar("select count(*) from open_work").fetch_one(&mut stack.database.session().await?).await?)
}

async fn reviews(stack: &Stack) -> Result<Vec<Review>, BoxError> {
    let ours = OurRecords::read(&mut stack.database.session().await?).await?;
    let payments = ours.payments.into_iter().filter_map(|one| {
        let (of, is_settled) = ((one.trip_id, one.purpose), one.state == "captured");
        Some(Review { prefix: "pay", id: one.id, of, is_settled, reason: one.needs_review? })
    });
    let refunds = ours.refunds.into_iter().filter_map(|one| {
        let of = (one.id, "refund".to_owned());
        Some(Review { prefix: "rfd", id: one.id, of, is_settled: false, reason: one.needs_review? })
    });
    Ok(payments.chain(refunds).collect())
}
