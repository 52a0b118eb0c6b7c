//! Who may do what: another caller's object does not exist.

use serde_json::json;

use super::{Suite, Wanted, quote};
use crate::load::Caller;

const SUITE: &str = "security";

/// Runs the cases.
pub(super) async fn run(suite: &Suite) {
    tokio::join!(roles(suite), others(suite));
}

async fn roles(suite: &Suite) {
    let nameless = Caller::without_token(&suite.context, super::GROUP, 0);
    let response = nameless.send(&quote(4)).await;
    suite.expect(SUITE, "A request without a token is refused.", &response, Wanted::Problem(401, "unauthenticated"));
    let (rider, driver) = (suite.caller("rider").await, suite.caller("driver").await);
    let response = rider.with_forged_token().send(&quote(4)).await;
    suite.expect(SUITE, "A forged token is refused.", &response, Wanted::Problem(401, "unauthenticated"));
    let rider = suite.caller("rider").await;
    for (caller, role, operation) in [
        (&driver, "driver", "POST /v1/quotes"),
        (&rider, "rider", "GET /v1/drivers/me"),
        (&rider, "rider", "GET /v1/ops/ledger"),
        (&driver, "driver", "GET /v1/ops/audit"),
    ] {
        let call = match operation {
            "POST /v1/quotes" => quote(4),
            operation => crate::load::Call::new(operation, ""),
        };
        let response = caller.send(&call).await;
        let what = format!("{operation} is refused to a {role}.");
        suite.expect(SUITE, &what, &response, Wanted::Problem(403, "forbidden"));
    }
}

async fn others(suite: &Suite) {
    let (mut owner, trip) = suite.trip(5, "pm_card_visa").await;
    let (trip_id, payment_id) = (trip.text("id"), trip.text("payment_id"));
    let (mut stranger, mut driver) = (suite.caller("rider").await, suite.caller("driver").await);
    for (operation, id) in [
        ("GET /v1/trips/{trip_id}", trip_id),
        ("GET /v1/trips/{trip_id}/events", trip_id),
        ("GET /v1/trips/{trip_id}/receipt", trip_id),
        ("GET /v1/trips/{trip_id}/driver", trip_id),
        ("GET /v1/payments/{payment_id}", payment_id),
    ] {
        let response = stranger.get(operation, id).await;
        let what = format!("{operation} of another rider is a 404.");
        suite.expect(SUITE, &what, &response, Wanted::Problem(404, "not_found"));
    }
    let response = stranger.command("POST /v1/trips/{trip_id}/cancel", trip_id, json!({})).await;
    suite.expect(SUITE, "Another rider cannot cancel.", &response, Wanted::Problem(404, "not_found"));
    let response = driver.command("POST /v1/trips/{trip_id}/complete", trip_id, json!({})).await;
    suite.expect(SUITE, "Another driver cannot complete.", &response, Wanted::Problem(404, "not_found"));
    let list = stranger.get("GET /v1/trips", "").await;
    let is_empty = list.body["items"].as_array().is_some_and(Vec::is_empty);
    suite.add(SUITE, "A list has only the caller's trips.", is_empty, &list.body.to_string());
    let quoted = owner.send(&quote(5)).await;
    let body = json!({ "quote_id": quoted.text("id"), "payment_method": "pm_card_visa" });
    let response = stranger.command("POST /v1/trips", "", body).await;
    suite.expect(SUITE, "Another rider's quote is a 404.", &response, Wanted::Problem(404, "not_found"));
    owner.command("POST /v1/trips/{trip_id}/cancel", trip_id, json!({})).await;
}
