//! A scenario in which every operation succeeds at least once.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::receiver::WebhookReceiver;
use crate::harness::{Actor, ApiResponse, App, HERE, WEBHOOK_SECRET, assigned, id, in_progress, until};

/// Makes every new refund need a review, so that an operator can resolve it.
pub const REFUNDS_NEED_REVIEW: &str = "
    create function park() returns trigger language plpgsql as $$
    begin new.due_at := null; new.needs_review := 'parked'; return new; end $$;
    create trigger park before insert on refunds for each row execute function park();";

pub async fn run(app: &App) {
    let (ops, receiver) = (app.ops().await, WebhookReceiver::start());
    let endpoint = receiver.register(&ops, &["trip.*"]).await;
    probes(app).await;
    let driver = app.driver_at(HERE).await;
    positions(app, &driver, &ops).await;
    let paid = ride(app, &driver, &ops).await;
    zones(app, &ops).await;
    refund(&ops, &paid).await;
    endings(app, &driver, &ops).await;
    unresolved_payment(app, &driver, &ops).await;
    ledger_and_reconciliation(app, &ops, &paid).await;
    endpoints(&ops, &endpoint).await;
    app.assert_clean().await;
    sandbox(app, &driver, &paid).await;
}

async fn probes(app: &App) {
    for path in ["/healthz", "/readyz", "/v1/sandbox/audit", "/v1/sandbox/clock"] {
        ApiResponse::of(app.http.get(app.url(path))).await.expect(200);
    }
    let event = json!({"id": "evt_1", "object": "event", "type": "payment_intent.succeeded",
                       "data": {"object": {"id": "pi_1", "object": "payment_intent"}}})
    .to_string();
    let now = ApiResponse::of(app.http.get(app.url("/v1/sandbox/clock"))).await.expect(200);
    let now: chrono::DateTime<chrono::Utc> = now["real"].as_str().unwrap().parse().unwrap();
    let signature = psp_sim::signature(WEBHOOK_SECRET, now.timestamp(), &event);
    let request = app.http.post(app.url("/v1/webhooks/psp")).header("Stripe-Signature", signature).body(event);
    ApiResponse::of(request.header("Content-Type", "application/json")).await.expect(200);
}

/// Single and batched positions, nearby drivers, and the driver's profile and streams.
async fn positions(app: &App, driver: &Actor, ops: &Actor) {
    let gateway = app.actor("gateway").await;
    let batch =
        json!([{"driver_id": driver.id, "position": {"lat": HERE.0, "lon": HERE.1}, "recorded_at": app.now().await}]);
    gateway.post_unkeyed("/v1/locations", &batch).await.expect(200);
    let near = ops.get(&format!("/v1/drivers/nearby?lat={}&lon={}&limit=5", HERE.0, HERE.1)).await.expect(200);
    assert!(near.to_string().contains(&driver.id), "{near:#}");
    driver.get("/v1/drivers/me").await.expect(200);
    driver.get("/v1/drivers/me/stream").await.expect(200);
    open_stream(driver, "/v1/drivers/me/events").await;
}

/// Opens a stream and checks its status.
async fn open_stream(actor: &Actor, path: &str) {
    let stream = actor.request(Method::GET, path).header("Accept", "text/event-stream");
    assert_eq!(ApiResponse::open(stream).await.status(), 200, "{path}");
}

/// A ride with a locked PIN, from request to receipt, with capture and tip.
async fn ride(app: &App, driver: &Actor, ops: &Actor) -> Value {
    let rider = app.rider().await;
    let trip = assigned(app, &rider, driver).await;
    let path = format!("/v1/trips/{}", id(&trip));
    for view in ["", "/events", "/driver", "/explain"] {
        rider.get(&format!("{path}{view}")).await.expect(200);
    }
    open_stream(&rider, &format!("{path}/events")).await;
    ops.get(&format!("{path}/explain")).await.expect(200);
    rider.get("/v1/trips?limit=1").await.expect(200);
    let offers = driver.get("/v1/offers").await.expect(200);
    driver.get(&format!("/v1/offers/{}", id(&offers["items"][0]))).await.expect(200);
    driver.send_position(app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    let wrong = if trip["pin"] == "0000" { "1111" } else { "0000" };
    for _ in 0..5 {
        driver.post(&format!("{path}/start"), &json!({"pin": wrong})).await.expect_problem(409, "wrong_pin");
    }
    driver.post(&format!("{path}/start"), &json!({"pin": trip["pin"]})).await.expect_problem(409, "pin_locked");
    ops.command(id(&trip), "pin/reset").await.expect(200);
    driver.post(&format!("{path}/start"), &json!({"pin": trip["pin"]})).await.expect(200);
    let trip = driver.command(id(&trip), "complete").await.expect(200);
    until_captured(&rider, &trip).await;
    rider.get(&format!("{}/events", payment_of(&trip))).await.expect(200);
    let timeline = format!("/v1/sandbox/timeline/{}", id(&trip));
    ApiResponse::of(app.http.get(app.url(&timeline))).await.expect(200);
    let quote = format!("/v1/sandbox/objects/{}", trip["quote_id"].as_str().unwrap());
    ApiResponse::of(app.http.get(app.url(&quote))).await.expect(200);
    let tip = json!({"amount": {"amount": 200, "currency": "USD"}});
    rider.post(&format!("{path}/tip"), &tip).await.expect(201);
    rider.get(&format!("{path}/receipt")).await.expect(200);
    let text =
        ApiResponse::of(rider.request(Method::GET, &format!("{path}/receipt")).header("Accept", "text/plain")).await;
    assert_eq!(text.status, 200);
    trip
}

/// Trending zones, and a surge that an operator sets and deletes.
async fn zones(app: &App, ops: &Actor) {
    app.service().run_zones().await.expect("the zone cycle");
    let trending = ops.get("/v1/zones/trending?limit=5").await.expect(200);
    let surge = format!("/v1/ops/surge/{}", trending["items"][0]["cell"].as_str().expect("a cell"));
    let expires_at =
        (app.now().await.parse::<chrono::DateTime<chrono::Utc>>().unwrap() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let set = json!({"multiplier_bp": 15_000, "expires_at": expires_at, "reason": "A concert."});
    ops.put(&surge, &set).await.expect(200);
    ops.get("/v1/ops/surge").await.expect(200);
    ApiResponse::of(ops.request(Method::DELETE, &surge)).await.expect(204);
}

fn payment_of(trip: &Value) -> String {
    format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap())
}

async fn until_captured(actor: &Actor, trip: &Value) {
    until("the fare is captured", async || {
        (actor.get(&payment_of(trip)).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
}

async fn refund(ops: &Actor, paid: &Value) {
    let cents = json!({"amount": {"amount": 100, "currency": "USD"}});
    let refund = ops.post(&format!("{}/refunds", payment_of(paid)), &cents).await.expect(201);
    let decision = json!({"action": "retry", "note": "The provider confirmed that the refund is possible."});
    ops.post(&format!("/v1/ops/refunds/{}/resolve", id(&refund)), &decision).await.expect(200);
    until("the refund has succeeded", async || {
        (ops.get(&payment_of(paid)).await.expect(200)["refunded"]["amount"] == 100).then_some(())
    })
    .await;
}

/// Other outcomes of a trip: declined offer and cancellation, no-show, abort by an operator.
async fn endings(app: &App, driver: &Actor, ops: &Actor) {
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/decline", id(&offer)), &json!({})).await.expect(200);
    rider.command(id(&trip), "cancel").await.expect(200);

    let trip = assigned(app, &rider, driver).await;
    driver.send_position(app, HERE).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    app.advance(301).await;
    driver.command(id(&trip), "no_show").await.expect(200);

    driver.send_position(app, HERE).await;
    let trip = in_progress(app, &rider, driver).await;
    ops.command(id(&trip), "abort").await.expect(200);
}

/// A payment whose intent is unknown to the provider until an operator resolves it.
async fn unresolved_payment(app: &App, driver: &Actor, ops: &Actor) {
    driver.send_position(app, HERE).await;
    let trip = in_progress(app, &app.rider().await, driver).await;
    let of_it = "where id = (select id from payments order by id desc limit 1)";
    let intent = format!("select provider_intent_id from payments {of_it}");
    let intent: String = sqlx::query_scalar(sqlx::AssertSqlSafe(intent)).fetch_one(app.sql()).await.unwrap();
    app.break_with(&format!("update payments set provider_intent_id = 'pi_nowhere' {of_it}")).await;
    driver.command(id(&trip), "complete").await.expect(200);
    until("the payment needs a review", async || {
        let queue = ops.get("/v1/ops/reconciliation").await.expect(200)["needs_review"]["items"].clone();
        queue.as_array().unwrap().iter().any(|one| one["subject"] == trip["payment_id"]).then_some(())
    })
    .await;
    app.break_with(&format!("update payments set provider_intent_id = '{intent}' {of_it}")).await;
    let decision = json!({"action": "retry", "note": "The intent exists at the provider."});
    let path = format!("/v1/ops/payments/{}/resolve", trip["payment_id"].as_str().unwrap());
    ops.post(&path, &decision).await.expect(200);
    until_captured(ops, &trip).await;
}

/// The ledger, and a reconciliation run that finds a missing cent.
async fn ledger_and_reconciliation(app: &App, ops: &Actor, paid: &Value) {
    let trip = format!("trip_id={}", id(paid));
    for path in
        [format!("/v1/ops/ledger?{trip}"), format!("/v1/ops/ledger/postings?{trip}"), "/v1/ops/audit".to_owned()]
    {
        ops.get(&path).await.expect(200);
    }
    app.audit().await;
    let a_cent =
        |sign: char| format!("update payments set captured_amount = captured_amount {sign} 1 where purpose = 'tip'");
    app.break_with(&a_cent('-')).await;
    let run = ops.post("/v1/ops/reconciliation/runs", &json!({})).await.expect(201);
    let path = format!("/v1/ops/reconciliation/runs/{}", id(&run));
    until("the run has finished", async || ops.get(&path).await.expect(200)["finished_at"].is_string().then_some(()))
        .await;
    ops.get("/v1/ops/reconciliation/runs").await.expect(200);
    let found = ops.get("/v1/ops/reconciliation/findings?state=open").await.expect(200)["items"][0].clone();
    let path = format!("/v1/ops/reconciliation/findings/{}", id(&found));
    ops.get(&path).await.expect(200);
    ops.post(&format!("{path}/resolve"), &json!({"note": "Corrected by hand."})).await.expect(200);
    app.break_with(&a_cent('+')).await;
}

/// Webhook endpoints and deliveries.
async fn endpoints(ops: &Actor, endpoint: &Value) {
    let path = format!("/v1/ops/webhook_endpoints/{}", id(endpoint));
    let deliveries = format!("{path}/deliveries");
    let delivered = until("a delivery has succeeded", async || {
        let page = ops.get(&deliveries).await.expect(200);
        page["items"].as_array().unwrap().iter().find(|delivery| delivery["state"] == "delivered").cloned()
    })
    .await;
    ops.post(&format!("/v1/ops/webhook_deliveries/{}/redeliver", id(&delivered)), &json!({})).await.expect(200);
    ops.get("/v1/ops/webhook_endpoints").await.expect(200);
    ops.get(&path).await.expect(200);
    for command in ["rotate_secret", "disable", "enable"] {
        ops.post(&format!("{path}/{command}"), &json!({})).await.expect(200);
    }
    ApiResponse::of(ops.request(Method::DELETE, &path)).await.expect(204);
}

/// The remaining operations of the sandbox; reset comes last.
async fn sandbox(app: &App, driver: &Actor, paid: &Value) {
    app.advance(0).await;
    let get = async |path: &str| ApiResponse::of(app.http.get(app.url(path))).await;
    let post = async |path: &str, body: Value| ApiResponse::of(app.http.post(app.url(path)).json(&body)).await;
    get("/v1/sandbox/state_machines").await.expect(200);
    get("/v1/sandbox/live").await.expect(200);

    let streets = app.url("/v1/sandbox/streets");
    let lines = json!({"type": "MultiLineString", "coordinates": [[[HERE.1, HERE.0], [HERE.1, HERE.0 + 0.01]]]});
    assert_eq!(ApiResponse::of(app.http.put(&streets).json(&lines)).await.status, 204);
    get("/v1/sandbox/streets").await.expect(200);
    let ends = format!("from_lat={0}&from_lon={1}&to_lat={0}&to_lon={1}", HERE.0, HERE.1);
    get(&format!("/v1/sandbox/route?{ends}")).await.expect(200);

    let faults = "/v1/sandbox/provider/faults";
    post(faults, json!({"faults": [{"on": "list", "kind": "latency", "ms": 1}]})).await.expect(200);
    get(faults).await.expect(200);
    ApiResponse::of(app.http.delete(app.url(faults))).await.expect(200);
    let view = |payment: &str| format!("/v1/sandbox/provider/payment_intents/{payment}");
    get(&view(paid["payment_id"].as_str().unwrap())).await.expect(200);
    driver.send_position(app, HERE).await;
    let held = assigned(app, &app.rider().await, driver).await;
    post(&format!("{}/expire", view(held["payment_id"].as_str().unwrap())), json!({})).await.expect(200);
    post("/v1/sandbox/reset", json!({})).await.expect(200);
}
