//! An operator: refunds, in parts and more than there is, trips that are ended from outside, and what waits for a person.

use std::time::Duration;

use rand::RngExt;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::person::Person;

/// How often something is done.
const ACT_EVERY: Duration = Duration::from_millis(700);

/// Works until the last ride is over.
pub(crate) async fn live(mut me: Person) {
    while !me.town.is_over() {
        me.wait(ACT_EVERY).await;
        match me.dice.random_range(0..30) {
            0 => abort(&mut me).await,
            1 => decide(&mut me).await,
            _ => refund(&mut me).await,
        }
    }
}

/// A part of a payment, or what is left of it. Many are refused: there is nothing to give back, or not as much.
async fn refund(me: &mut Person) {
    let paid = me.town.paid();
    let Some(payment) = paid.choose(&mut me.dice) else { return };
    let body = match me.dice.random_range(0..8) {
        0 => json!({}),
        _ => json!({"amount": money(me.dice.random_range(1..400))}),
    };
    me.command(&format!("/v1/payments/{payment}/refunds"), &body).await;
}

/// A trip that is under way, with or without a charge.
async fn abort(me: &mut Person) {
    let trips = me.town.under_way();
    let Some(trip) = trips.choose(&mut me.dice) else { return };
    let body = if me.dice.random_bool(0.5) { json!({"charge": money(300)}) } else { json!({}) };
    me.command(&format!("/v1/trips/{trip}/abort"), &body).await;
}

/// About something that waits for a person: to try it again. Whether to give it up is decided when all is quiet.
async fn decide(me: &mut Person) {
    let Some(overview) = me.get("/v1/ops/reconciliation").await else { return };
    let waiting = overview.body["attention"]["items"].as_array().into_iter().flatten();
    let subjects: Vec<_> = waiting.filter_map(|item| item["subject"].as_str()).collect();
    let Some(subject) = subjects.choose(&mut me.dice) else { return };
    let path = match subject.split('_').next() {
        Some("pay") => format!("/v1/ops/payments/{subject}/resolve"),
        Some("rfd") => format!("/v1/ops/refunds/{subject}/resolve"),
        _ => return,
    };
    me.command(&path, &json!({"action": "retry", "note": "torture: try it again"})).await;
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}
