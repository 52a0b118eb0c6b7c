//! Malformed and invalid requests: each gets its problem document.

use serde_json::json;

use super::{Suite, Wanted, quote};
use crate::load::Call;

const SUITE: &str = "contract";

/// Runs the cases.
pub(super) async fn run(suite: &Suite) {
    let rider = suite.caller("rider").await;
    let here = Suite::place(3);
    let invalid = [
        (
            "A latitude out of range is refused.",
            json!({"pickup": {"lat": 91, "lon": 0}, "dropoff": here}),
            422,
            "invalid_request",
        ),
        ("An unknown field is refused.", json!({"pickup": here, "dropoff": here, "color": 1}), 422, "invalid_request"),
        ("A missing field is refused.", json!({ "pickup": here }), 422, "invalid_request"),
    ];
    for (what, body, status, code) in invalid {
        let response = rider.send(&Call::new("POST /v1/quotes", "").body(body)).await;
        suite.expect(SUITE, what, &response, Wanted::Problem(status, code));
        let names_field = response.body["errors"].as_array().is_some_and(|errors| !errors.is_empty())
            || response.body["detail"].as_str().is_some_and(|detail| detail.contains('`'));
        suite.add(SUITE, "An invalid request names the field.", names_field, &response.body.to_string());
    }
    let wrong_id = rider.get("GET /v1/trips/{trip_id}", "drv_01jd3n4c2sf9v7x0b3m6q8w1ek").await;
    suite.expect(SUITE, "An id with another prefix is refused.", &wrong_id, Wanted::Problem(400, "invalid_id"));
    let unknown = rider.get("GET /v1/nothing", "").await;
    suite.expect(SUITE, "An unknown path is a 404.", &unknown, Wanted::Problem(404, "not_found"));
    let method = rider.send(&Call::new("DELETE /v1/quotes", "")).await;
    suite.expect(SUITE, "Another method is a 405.", &method, Wanted::Problem(405, "method_not_allowed"));
    let nearby = rider.get("GET /v1/drivers/nearby", "?lat=40.75&lon=-73.99").await;
    let has_items = nearby.status == 200 && nearby.body["items"].is_array();
    suite.add(SUITE, "Nearby drivers are listed.", has_items, &format!("{} {}", nearby.status, nearby.body));
    let too_many = rider.get("GET /v1/trips", "?limit=101").await;
    suite.expect(SUITE, "A page has at most 100 items.", &too_many, Wanted::Problem(422, "invalid_request"));
    let webhook = json!({"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi_1"}}});
    let forged = rider.send(&Call::new("POST /v1/webhooks/psp", "").body(webhook)).await;
    suite.expect(SUITE, "An unsigned provider event is refused.", &forged, Wanted::Problem(400, "signature_invalid"));
    for probe in ["GET /healthz", "GET /readyz"] {
        suite.expect(SUITE, &format!("{probe} answers."), &rider.get(probe, "").await, Wanted::Status(200));
    }
    let document = rider.get("GET /openapi.json", "").await;
    let is_whole = document.body["paths"].as_object().is_some_and(|paths| paths.len() >= 30);
    suite.add(SUITE, "The published document has all paths.", is_whole, "paths are missing");
    let priced = rider.send(&quote(3)).await;
    suite.expect(SUITE, "A price is given after refused requests.", &priced, Wanted::Status(201));
}
