//! An operator: partial and excessive refunds, aborted trips, and retries of what needs review.

use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::actor::Actor;

/// Between two actions.
const ACT_EVERY: Duration = Duration::from_millis(700);

/// Works until the last trip has ended.
pub(crate) async fn run(mut me: Actor) {
    while !me.context.is_over() {
        me.wait(ACT_EVERY).await;
        match me.random.random_range(0..30) {
            0 => abort(&mut me).await,
            1 => review(&mut me).await,
            _ => refund(&mut me).await,
        }
    }
}

/// Refunds a part of a payment, or the rest. Many requests are refused: there is not as much left.
async fn refund(me: &mut Actor) {
    let paid = me.context.paid();
    let Some(payment) = paid.choose(&mut me.random) else { return };
    let body = match me.random.random_range(0..8) {
        0 => json!({}),
        _ => json!({"amount": money(me.random.random_range(1..400))}),
    };
    me.command(&format!("/v1/payments/{payment}/refunds"), &body).await;
}

/// Aborts an active trip, with or without a charge.
async fn abort(me: &mut Actor) {
    let trips = me.context.active_trips();
    let Some(trip) = trips.choose(&mut me.random) else { return };
    let body = if me.random.random_bool(0.5) { json!({"charge": money(300)}) } else { json!({}) };
    me.command(&format!("/v1/trips/{trip}/abort"), &body).await;
}

/// Retries something that needs review. Closing it is left to [`crate::settle`].
async fn review(me: &mut Actor) {
    let Some(overview) = me.get("/v1/ops/reconciliation").await else { return };
    let waiting = overview.body["needs_review"]["items"].as_array().into_iter().flatten();
    let subjects: Vec<_> = waiting.filter_map(|item| item["subject"].as_str()).collect();
    let Some(subject) = subjects.choose(&mut me.random) else { return };
    let path = match subject.split('_').next() {
        Some("pay") => format!("/v1/ops/payments/{subject}/resolve"),
        Some("rfd") => format!("/v1/ops/refunds/{subject}/resolve"),
        _ => return,
    };
    me.command(&path, &json!({"action": "retry", "note": "torture: retry"})).await;
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}
