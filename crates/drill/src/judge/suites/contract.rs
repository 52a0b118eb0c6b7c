//! Idempotency keys, and the guards of trips before a driver is found.

use serde_json::json;

use super::{Suite, Wanted, quote};
use crate::load::{Call, Caller};

const SUITE: &str = "contract";

/// Runs the cases.
pub(super) async fn run(suite: &Suite) {
    tokio::join!(keys(suite), guards(suite), declined_card(suite));
}

async fn keys(suite: &Suite) {
    let (first, second) = (suite.caller("rider").await, suite.caller("rider").await);
    let quoted = first.send(&quote(0)).await;
    let shape = quoted.status == 201
        && quoted.body["price"]["amount"].as_i64().is_some_and(|amount| amount > 0)
        && quoted.body["price"]["currency"].is_string();
    suite.add(SUITE, "A quote has a price in minor units.", shape, &format!("{} {}", quoted.status, quoted.body));
    let request = |quote: &str, key: Option<&str>| {
        let body = json!({ "quote_id": quote, "payment_method": "pm_card_visa" });
        Call { key: key.map(str::to_owned), ..Call::new("POST /v1/trips", "").body(body) }
    };
    let id = quoted.text("id").to_owned();
    let missing = first.send(&request(&id, None)).await;
    suite.expect(
        SUITE,
        "A command without a key is refused.",
        &missing,
        Wanted::Problem(400, "idempotency_key_missing"),
    );
    let trip = first.send(&request(&id, Some("suite-1"))).await;
    suite.expect(SUITE, "A trip is created.", &trip, Wanted::Status(201));
    let again = first.send(&request(&id, Some("suite-1"))).await;
    let is_replay = again.status == 201 && again.digest == trip.digest;
    suite.add(
        SUITE,
        "A repeated command gets the stored bytes.",
        is_replay,
        &format!("{} {}", again.status, again.body),
    );
    let marked = last_was_replayed(&first);
    suite.add(SUITE, "A stored response is marked as replayed.", marked, "no Idempotent-Replayed: true");
    let other = first.send(&quote(0)).await;
    let reused = first.send(&request(other.text("id"), Some("suite-1"))).await;
    let wanted = Wanted::Problem(422, "idempotency_key_reused");
    suite.expect(SUITE, "A key with another body is refused.", &reused, wanted);
    let active = first.send(&request(other.text("id"), Some("suite-2"))).await;
    let wanted = Wanted::Problem(409, "active_trip_exists");
    suite.expect(SUITE, "A rider has one active trip.", &active, wanted);
    let theirs = second.send(&quote(0)).await;
    let unrelated = second.send(&request(theirs.text("id"), Some("suite-1"))).await;
    let is_own = unrelated.status == 201 && unrelated.text("id") != trip.text("id");
    let seen = format!("{} {}", unrelated.status, unrelated.body);
    suite.add("security", "The same key of another caller is unrelated.", is_own, &seen);
    for (mut rider, trip) in [(first, trip), (second, unrelated)] {
        rider.command("POST /v1/trips/{trip_id}/cancel", trip.text("id"), json!({})).await;
    }
}

/// Whether the caller's last response was a stored one.
fn last_was_replayed(caller: &Caller) -> bool {
    let recording = caller.context.recording();
    recording.requests.iter().rev().find(|request| request.caller == caller.name).is_some_and(|last| last.replayed)
}

async fn guards(suite: &Suite) {
    let (mut rider, trip) = suite.trip(1, "pm_card_visa").await;
    let id = trip.text("id").to_owned();
    let quote_id = trip.text("quote_id").to_owned();
    let has_pin = trip.text("pin").len() == 4;
    suite.add(SUITE, "The rider sees a PIN of four digits.", has_pin, &trip.body.to_string());
    let cancelled = rider.command("POST /v1/trips/{trip_id}/cancel", &id, json!({})).await;
    let is_cancelled = cancelled.status == 200 && cancelled.text("state") == "cancelled";
    let seen = format!("{} {}", cancelled.status, cancelled.body);
    suite.add(SUITE, "A rider cancels a search.", is_cancelled, &seen);
    let again = rider.command("POST /v1/trips/{trip_id}/cancel", &id, json!({})).await;
    suite.expect(SUITE, "A repeated cancellation has no second effect.", &again, Wanted::Status(200));
    let body = json!({ "quote_id": quote_id, "payment_method": "pm_card_visa" });
    let used = rider.command("POST /v1/trips", "", body).await;
    suite.expect(SUITE, "A quote makes one trip.", &used, Wanted::Problem(409, "quote_used"));
    let mut operator = suite.caller("ops").await;
    let aborted = operator.command("POST /v1/trips/{trip_id}/abort", &id, json!({})).await;
    let names_state = aborted.body["state"] == "cancelled" || aborted.body.to_string().contains("cancelled");
    suite.expect(SUITE, "A trip that is over cannot be aborted.", &aborted, Wanted::Problem(409, "invalid_transition"));
    suite.add(SUITE, "A refused transition names the current state.", names_state, &aborted.body.to_string());
    let events = rider.get("GET /v1/trips/{trip_id}/events", &id).await;
    let numbers: Vec<i64> =
        events.body["items"].as_array().into_iter().flatten().filter_map(|event| event["seq"].as_i64()).collect();
    let is_gapless = !numbers.is_empty() && numbers.iter().zip(1..).all(|(seq, wanted)| *seq == wanted);
    suite.add(SUITE, "Events of a trip are numbered without gaps.", is_gapless, &format!("{numbers:?}"));
    let receipt = rider.get("GET /v1/trips/{trip_id}/receipt", &id).await;
    let is_free = receipt.body["total"]["amount"] == 0;
    suite.add(SUITE, "A cancellation before the assignment is free.", is_free, &receipt.body.to_string());
    let state = |payment: &serde_json::Value| matches!(payment["state"].as_str(), Some("voided" | "declined"));
    let payment = suite.until(&rider, ("GET /v1/payments/{payment_id}", trip.text("payment_id")), state).await;
    suite.add(SUITE, "The hold of a cancelled trip is released.", state(&payment), &payment.to_string());
}

async fn declined_card(suite: &Suite) {
    let (rider, trip) = suite.trip(2, "pm_card_visa_chargeDeclined").await;
    let is_failed = |trip: &serde_json::Value| trip["state"] == "payment_failed";
    let trip = suite.until(&rider, ("GET /v1/trips/{trip_id}", trip.text("id")), is_failed).await;
    suite.add(SUITE, "A declined card fails the trip.", is_failed(&trip), &trip.to_string());
}
