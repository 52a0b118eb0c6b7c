//! One ride from request to refund, with what must be refused on its way.

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{Suite, Wanted};
use crate::load::{ApiResponse, Call, Caller};

const SUITE: &str = "contract";

/// Seconds of an offer, and one more.
const PAST_AN_OFFER_S: u32 = 16;

/// Runs the cases, one after another.
pub(super) async fn run(suite: &Suite) {
    if ridden(suite).await.is_none() {
        suite.add(SUITE, "A driver at the pickup is offered the trip.", false, "there was no offer");
    }
    if expired(suite).await.is_none() {
        suite.add(SUITE, "A declined trip is offered to another driver.", false, "there was no offer");
    }
}

/// A driver that is online at a place.
async fn driver_at(suite: &Suite, number: u8) -> Caller {
    let driver = suite.caller("driver").await;
    let vehicle = json!({"available": true, "name": "Suite", "class": "standard", "plate": "SU 1"});
    let online = driver.send(&Call::new("PUT /v1/drivers/me/availability", "").body(vehicle)).await;
    suite.expect(SUITE, "A driver goes online.", &online, Wanted::Status(200));
    move_to(&driver, &Suite::place(number)).await;
    driver
}

/// Reports a position until the index has taken it.
async fn move_to(driver: &Caller, place: &Value) -> ApiResponse {
    let mut response = ApiResponse::default();
    for _ in 0..20 {
        let now = driver.context.domain_now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = json!({ "position": place, "recorded_at": now });
        response = driver.send(&Call::new("PUT /v1/drivers/me/location", "").body(body)).await;
        if matches!(response.text("verdict"), "accepted" | "duplicate") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    response
}

/// Waits for the driver's offer of a trip; keeps the position fresh meanwhile.
async fn offered(driver: &Caller, number: u8) -> Option<String> {
    for _ in 0..8 {
        move_to(driver, &Suite::place(number)).await;
        for _ in 0..8 {
            let profile = driver.get("GET /v1/drivers/me", "").await;
            if let Some(offer) = profile.body["offer"]["id"].as_str() {
                return Some(offer.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
    }
    None
}

async fn ridden(suite: &Suite) -> Option<()> {
    let mut driver = driver_at(suite, 6).await;
    let (mut rider, trip) = suite.trip(6, "pm_card_visa").await;
    let (id, pin) = (trip.text("id").to_owned(), trip.text("pin").to_owned());
    let offer = offered(&driver, 6).await?;
    let mut other = suite.caller("driver").await;
    let (accept, arrive) = ("POST /v1/offers/{offer_id}/accept", "POST /v1/trips/{trip_id}/arrive");
    let stolen = other.command(accept, &offer, json!({})).await;
    suite.expect("security", "Another driver's offer is a 404.", &stolen, Wanted::Problem(404, "not_found"));
    let accepted = driver.command(accept, &offer, json!({})).await;
    suite.expect(SUITE, "A live offer is accepted.", &accepted, Wanted::Status(200));
    let again = driver.command(accept, &offer, json!({})).await;
    suite.expect(SUITE, "Accepting again succeeds.", &again, Wanted::Status(200));
    let seen = driver.get("GET /v1/trips/{trip_id}", &id).await;
    let hides_pin = seen.status == 200 && seen.body.get("pin").is_none_or(Value::is_null);
    suite.add("security", "The driver does not see the PIN.", hides_pin, &format!("{} {}", seen.status, seen.body));
    let offline =
        driver.send(&Call::new("PUT /v1/drivers/me/availability", "").body(json!({"available": false}))).await;
    suite.expect(SUITE, "A driver on a trip stays online.", &offline, Wanted::Problem(409, "driver_on_trip"));
    let mut far = Suite::place(6);
    far["lat"] = json!(far["lat"].as_f64()? + 0.01);
    move_to(&driver, &far).await;
    let refused = driver.command(arrive, &id, json!({})).await;
    suite.expect(SUITE, "A driver arrives within 150 m only.", &refused, Wanted::Problem(409, "too_far_from_pickup"));
    move_to(&driver, &Suite::place(6)).await;
    let arrived = driver.command(arrive, &id, json!({})).await;
    suite.expect(SUITE, "A driver arrives at the pickup.", &arrived, Wanted::Status(200));
    let wrong = if pin == "0000" { "0001" } else { "0000" };
    let start = "POST /v1/trips/{trip_id}/start";
    let refused = driver.command(start, &id, json!({ "pin": wrong })).await;
    suite.expect(SUITE, "A wrong PIN is refused.", &refused, Wanted::Problem(409, "wrong_pin"));
    let started = driver.command(start, &id, json!({ "pin": pin })).await;
    suite.expect(SUITE, "The rider's PIN starts the trip.", &started, Wanted::Status(200));
    let cancelled = rider.command("POST /v1/trips/{trip_id}/cancel", &id, json!({})).await;
    let wanted = Wanted::Problem(409, "invalid_transition");
    suite.expect(SUITE, "A trip in progress cannot be cancelled.", &cancelled, wanted);
    let complete = "POST /v1/trips/{trip_id}/complete";
    let completed = driver.command(complete, &id, json!({})).await;
    suite.expect(SUITE, "The driver completes the trip.", &completed, Wanted::Status(200));
    let again = driver.command(complete, &id, json!({})).await;
    suite.expect(SUITE, "Completing again succeeds.", &again, Wanted::Status(200));
    paid(suite, &rider, &trip, &id).await;
    driver.send(&Call::new("PUT /v1/drivers/me/availability", "").body(json!({"available": false}))).await;
    Some(())
}

/// The money of the ridden trip.
async fn paid(suite: &Suite, rider: &Caller, trip: &ApiResponse, id: &str) {
    let payment = trip.text("payment_id");
    let is_captured = |payment: &Value| payment["state"] == "captured";
    let body = suite.until(rider, ("GET /v1/payments/{payment_id}", payment), is_captured).await;
    suite.add(SUITE, "The fare of a completed trip is captured.", is_captured(&body), &body.to_string());
    let receipt = rider.get("GET /v1/trips/{trip_id}/receipt", id).await.body;
    let adds_up = receipt["due"]["amount"] == 0 && receipt["total"] == receipt["captured"];
    suite.add(SUITE, "The receipt adds up.", adds_up, &receipt.to_string());
    let mut operator = suite.caller("ops").await;
    let refunds = "POST /v1/payments/{payment_id}/refunds";
    let total = receipt["total"]["amount"].as_i64().unwrap_or_default();
    let of = |amount: i64| json!({"amount": {"amount": amount, "currency": "USD"}});
    let refused = operator.command(refunds, payment, of(total + 1)).await;
    suite.expect(SUITE, "A refund does not exceed the capture.", &refused, Wanted::Problem(409, "not_refundable"));
    let refund = operator.command(refunds, payment, of(total.min(100))).await;
    suite.expect(SUITE, "A part is refunded.", &refund, Wanted::Status(201));
    let has_succeeded = |payment: &Value| payment["refunds"][0]["state"] == "succeeded";
    let body = suite.until(&operator, ("GET /v1/payments/{payment_id}", payment), has_succeeded).await;
    suite.add(SUITE, "A refund succeeds.", has_succeeded(&body), &body.to_string());
}

/// A decline, and an offer that is accepted too late.
async fn expired(suite: &Suite) -> Option<()> {
    let mut first = driver_at(suite, 7).await;
    let (mut rider, trip) = suite.trip(7, "pm_card_visa").await;
    let offer = offered(&first, 7).await?;
    let declined = first.command("POST /v1/offers/{offer_id}/decline", &offer, json!({})).await;
    suite.expect(SUITE, "An offer is declined.", &declined, Wanted::Status(200));
    let mut second = driver_at(suite, 7).await;
    let offer = offered(&second, 7).await?;
    let excluded = first.get("GET /v1/drivers/me", "").await.body["offer"].is_null();
    suite.add(SUITE, "A driver who declined is not asked again.", excluded, "the driver got a second offer");
    let operator = suite.caller("ops").await;
    let clock = Call::new("POST /v1/sandbox/clock", "").body(json!({ "advance_s": PAST_AN_OFFER_S }));
    operator.send(&clock).await;
    let _read = suite.context.read_clock().await;
    let late = second.command("POST /v1/offers/{offer_id}/accept", &offer, json!({})).await;
    suite.expect(SUITE, "An expired offer is gone.", &late, Wanted::Problem(410, "offer_expired"));
    rider.command("POST /v1/trips/{trip_id}/cancel", trip.text("id"), json!({})).await;
    for driver in [first, second] {
        driver.send(&Call::new("PUT /v1/drivers/me/availability", "").body(json!({"available": false}))).await;
    }
    Some(())
}
