//! Invalid amounts, currencies, signatures, timestamps, states and ids: each gets a problem document that names the fault, and changes
//! nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

mod signatures;

use crate::fixtures::until_payment;
use crate::harness::breakpoint::Side;
use crate::harness::{Actor, ApiResponse, App, HERE, id, in_progress, new_key, until};
use reqwest::Method;
use serde_json::{Value, json};

/// An invalid value, and the expected status, code, and pointer below the money's.
type Row = (&'static str, u16, &'static str, &'static str);

const AMOUNTS: &[Row] = &[
    ("-1", 422, "invalid_request", "/amount"),
    ("-9223372036854775808", 422, "invalid_request", "/amount"),
    ("-9223372036854775809", 422, "invalid_request", "/amount"),
    ("9223372036854775808", 422, "invalid_request", "/amount"),
    ("18446744073709551615", 422, "invalid_request", "/amount"),
    ("99999999999999999999999999999999999999999", 422, "invalid_request", "/amount"),
    ("1.15", 422, "invalid_request", "/amount"),
    ("1.0", 422, "invalid_request", "/amount"),
    ("0.999999999999999999999", 422, "invalid_request", "/amount"),
    ("1e2", 422, "invalid_request", "/amount"),
    ("1E+2", 422, "invalid_request", "/amount"),
    ("1e-2", 422, "invalid_request", "/amount"),
    ("-0", 422, "invalid_request", "/amount"),
    ("-0.0", 422, "invalid_request", "/amount"),
    ("\"100\"", 422, "invalid_request", "/amount"),
    ("\"1.15\"", 422, "invalid_request", "/amount"),
    ("\"\"", 422, "invalid_request", "/amount"),
    ("true", 422, "invalid_request", "/amount"),
    ("null", 422, "invalid_request", "/amount"),
    ("[100]", 422, "invalid_request", "/amount"),
    ("{\"amount\": 100}", 422, "invalid_request", "/amount"),
    ("100, \"amount\": 100", 422, "invalid_request", "/amount"),
    ("100, \"value\": 1", 422, "invalid_request", "/value"),
    ("1e400", 400, "malformed", "/amount"),
    ("01", 400, "malformed", "/amount"),
    ("+1", 400, "malformed", "/amount"),
    (".5", 400, "malformed", "/amount"),
    ("1.", 400, "malformed", "/amount"),
    ("0x10", 400, "malformed", ""),
    ("1_000", 400, "malformed", ""),
    ("1,000", 400, "malformed", ""),
    ("NaN", 400, "malformed", "/amount"),
    ("-Infinity", 400, "malformed", "/amount"),
    ("\u{661}", 400, "malformed", "/amount"),
];

const CURRENCIES: &[Row] = &[
    ("\"usd\"", 422, "invalid_request", "/currency"),
    ("\"Usd\"", 422, "invalid_request", "/currency"),
    ("\"US\"", 422, "invalid_request", "/currency"),
    ("\"USDX\"", 422, "invalid_request", "/currency"),
    ("\"USD \"", 422, "invalid_request", "/currency"),
    ("\"\"", 422, "invalid_request", "/currency"),
    ("\"$\"", 422, "invalid_request", "/currency"),
    ("\"US\\u0000\"", 422, "invalid_request", "/currency"),
    ("\"\u{ff35}\u{ff33}\u{ff24}\"", 422, "invalid_request", "/currency"),
    ("\"\u{dc}S\"", 422, "invalid_request", "/currency"),
    ("840", 422, "invalid_request", "/currency"),
    ("null", 422, "invalid_request", "/currency"),
    ("[\"USD\"]", 422, "invalid_request", "/currency"),
    // Valid currencies, but not the payment's: with two, no and three decimals, and the one for no currency.
    ("\"EUR\"", 422, "invalid_request", "/currency"),
    ("\"JPY\"", 422, "invalid_request", "/currency"),
    ("\"BHD\"", 422, "invalid_request", "/currency"),
    ("\"XXX\"", 422, "invalid_request", "/currency"),
];

/// The published maximum of a tip, minor units.
const TIP_MAX: i64 = 10_000;

/// Invalid values in the place of the money object.
const SHAPES: &[Row] = &[
    ("100", 422, "invalid_request", ""),
    ("1.15", 422, "invalid_request", ""),
    ("\"12.34 USD\"", 422, "invalid_request", ""),
    ("true", 422, "invalid_request", ""),
    ("[]", 422, "invalid_request", ""),
    ("[100, \"USD\"]", 422, "invalid_request", ""),
    ("{}", 422, "invalid_request", "/amount"),
    ("{\"amount\": 100}", 422, "invalid_request", "/currency"),
    ("{\"currency\": \"USD\"}", 422, "invalid_request", "/amount"),
];

/// A captured fare, and a ride in progress.
struct World {
    app: App,
    ops: Actor,
    rider: Actor,
    /// A captured payment, and its trip.
    paid: String,
    over: String,
    running: String,
}

impl World {
    async fn new() -> Self {
        let app = App::start().await;
        let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(HERE).await);
        let over = in_progress(&app, &rider, &driver).await;
        driver.command(id(&over), "complete").await.expect(200);
        let paid = over["payment_id"].as_str().unwrap().to_owned();
        until_payment(&ops, &paid, "captured").await;
        let running = id(&in_progress(&app, &app.rider().await, &driver).await).to_owned();
        Self { app, ops, rider, paid, over: id(&over).to_owned(), running }
    }

    /// Returns the routes that take money, with an authorized caller and the field.
    fn money_routes(&self) -> [MoneyRoute<'_>; 3] {
        [
            MoneyRoute { caller: &self.ops, path: format!("/v1/payments/{}/refunds", self.paid), field: "amount" },
            MoneyRoute { caller: &self.ops, path: format!("/v1/trips/{}/abort", self.running), field: "charge" },
            MoneyRoute { caller: &self.rider, path: format!("/v1/trips/{}/tip", self.over), field: "amount" },
        ]
    }

    /// Returns all rows about money, once no payment is being worked on.
    async fn all_rows(&self) -> Vec<String> {
        until("no payment is being worked on", async || {
            let open = "select (select count(*) from provider_events where due_at is not null)
                             + (select count(*) from payments where due_at is not null or leased_until is not null)";
            (self.app.count(open).await == 0).then_some(())
        })
        .await;
        let sql = "select to_jsonb(p)::text from payments p union all select to_jsonb(r)::text from refunds r
                   union all select to_jsonb(a)::text from payment_attempts a
                   union all select to_jsonb(e)::text from ledger_entries e
                   union all select to_jsonb(t)::text from trips t
                   union all select key from idempotency_keys order by 1";
        sqlx::query_scalar(sql).fetch_all(self.app.sql()).await.unwrap()
    }
}

struct MoneyRoute<'a> {
    caller: &'a Actor,
    path: String,
    field: &'static str,
}

impl MoneyRoute<'_> {
    /// Sends this value in the place of the money.
    async fn send(&self, money: &str) -> ApiResponse {
        post(self.caller, &self.path, format!(r#"{{"{}": {money}}}"#, self.field)).await
    }

    async fn send_amount(&self, amount: i64) -> ApiResponse {
        self.send(&format!(r#"{{"amount": {amount}, "currency": "USD"}}"#)).await
    }

    /// Checks that this value is refused with the expected pointer.
    async fn assert_refuses(&self, money: &str, (_, status, code, below): Row) {
        let answer = self.send(money).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{} {money}", self.path);
        let problem = answer.expect_problem(status, code);
        let pointer = format!("/{}{below}", self.field);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{} {money}: {problem:#}", self.path);
        assert!(problem["errors"][0]["detail"].is_string());
    }
}

async fn post(caller: &Actor, path: &str, body: String) -> ApiResponse {
    let request = caller.request(Method::POST, path).header("Idempotency-Key", new_key());
    ApiResponse::of(request.header("Content-Type", "application/json").body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_amounts_currencies_and_shapes_are_refused() {
    let world = World::new().await;
    let before = world.all_rows().await;
    for route in world.money_routes() {
        for row in AMOUNTS {
            route.assert_refuses(&format!(r#"{{"amount": {}, "currency": "USD"}}"#, row.0), *row).await;
        }
        for row in CURRENCIES {
            route.assert_refuses(&format!(r#"{{"amount": 100, "currency": {}}}"#, row.0), *row).await;
        }
        for row in SHAPES {
            route.assert_refuses(row.0, *row).await;
        }
    }
    assert_eq!(world.all_rows().await, before);
    world.app.assert_clean().await;
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_and_excessive_amounts_are_refused() {
    let world = World::new().await;
    let captured = until_payment(&world.ops, &world.paid, "captured").await["captured"]["amount"].as_i64().unwrap();
    let before = world.all_rows().await;
    let [refund, abort, tip] = world.money_routes();
    let of_amount = async |route: &MoneyRoute<'_>, amount: i64| {
        let problem = route.send_amount(amount).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{}/amount", route.field), "{problem:#}");
    };
    // A refund and a tip must be positive; an abort may charge zero.
    of_amount(&refund, 0).await;
    of_amount(&tip, 0).await;
    for amount in [captured + 1, i64::MAX] {
        let refused = refund.send_amount(amount).await.expect_problem(409, "not_refundable");
        assert_eq!((&refused["state"], &refused["refundable"]["amount"]), (&json!("captured"), &json!(captured)));
        of_amount(&abort, amount).await;
    }
    for amount in [TIP_MAX + 1, i64::MAX] {
        of_amount(&tip, amount).await;
    }
    assert_eq!(world.all_rows().await, before);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_payment_methods_are_refused() {
    let world = World::new().await;
    let rider = world.app.rider().await;
    let quote = rider.quote(HERE, HERE).await;
    let long = format!("pm_{}", "x".repeat(253));
    let before = world.all_rows().await;
    // The last three are card numbers, which must never be accepted.
    let texts = [
        "",
        " ",
        "pm card",
        "pm_\u{0}",
        "pm_\n",
        "pm\u{e9}",
        &long,
        "4242424242424242",
        "4242-4242-4242-4242",
        "5555555555554444",
    ];
    for method in texts.map(Value::from).into_iter().chain([json!(1), json!(null), json!(["pm_card_visa"]), json!({})])
    {
        let body = json!({"quote_id": quote["id"], "payment_method": method});
        let refused = rider.post("/v1/trips", &body).await.expect_problem(422, "invalid_request");
        assert_eq!(refused["errors"][0]["pointer"], "/payment_method", "{method}");
    }
    assert_eq!(world.all_rows().await, before);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refund_of_an_uncaptured_payment_names_its_state() {
    let app = App::start().await;
    let ops = app.ops().await;
    let refused = async |payment: &Value, state: &str| {
        let path = format!("/v1/payments/{}/refunds", payment.as_str().unwrap());
        for body in [json!({}), json!({"amount": {"amount": 1, "currency": "USD"}})] {
            let refused = ops.post(&path, &body).await.expect_problem(409, "not_refundable");
            assert_eq!(
                (&refused["state"], &refused["refundable"]["amount"]),
                (&json!(state), &json!(0)),
                "{refused:#}"
            );
        }
    };
    let (first, second, third) = (app.rider().await, app.rider().await, app.rider().await);
    let call = app.calls.break_at("create", Side::Before);
    let trip = first.request_trip().await;
    let call = call.reached().await;
    refused(&trip["payment_id"], "authorizing").await;
    call.resume();
    first.until_state(id(&trip), "searching").await;
    refused(&trip["payment_id"], "authorized").await;

    let call = app.calls.break_at("cancel", Side::Before);
    first.command(id(&trip), "cancel").await.expect(200);
    let call = call.reached().await;
    refused(&trip["payment_id"], "voiding").await;
    call.resume();
    until_payment(&ops, trip["payment_id"].as_str().unwrap(), "voided").await;
    refused(&trip["payment_id"], "voided").await;

    let trip = second.request_trip_with("pm_card_chargeDeclined").await;
    second.until_state(id(&trip), "payment_failed").await;
    refused(&trip["payment_id"], "declined").await;

    let driver = app.driver_at(HERE).await;
    let trip = in_progress(&app, &third, &driver).await;
    let call = app.calls.break_at("capture", Side::Before);
    driver.command(id(&trip), "complete").await.expect(200);
    let call = call.reached().await;
    refused(&trip["payment_id"], "capturing").await;
    call.resume();
    until_payment(&ops, trip["payment_id"].as_str().unwrap(), "captured").await;
    let refunds = format!("/v1/payments/{}/refunds", trip["payment_id"].as_str().unwrap());
    ops.post(&refunds, &json!({})).await.expect(201);
    refused(&trip["payment_id"], "captured").await;
    let refused = ops.post(&format!("/v1/trips/{}/abort", id(&trip)), &json!({})).await;
    let refused = refused.expect_problem(409, "invalid_transition");
    assert_eq!((&refused["state"], &refused["allowed"]), (&json!("completed"), &json!([])), "{refused:#}");
    app.assert_clean().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_payment_ids_are_refused() {
    let world = World::new().await;
    let good = &world.paid;
    let upper = format!("pay_{}", good[4..].to_uppercase());
    let (short, long) = (&good[..good.len() - 1], format!("{good}0"));
    let (past_the_end, trip) = (format!("pay_8{}", &good[5..]), good.replace("pay_", "trip_"));
    let ids = [
        "pay",
        "pay_",
        "_",
        "%20",
        "%00",
        "pi_123",
        "null",
        "-1",
        "0",
        "*",
        "'%20or%201=1--",
        "%F0%9F%9A%95",
        "..%2f..%2fops",
        "018f2a3c-0000-7000-8000-000000000000",
        "pay_zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "pay_llllllllllllllllllllllllll",
        &upper,
        short,
        &long,
        &past_the_end,
        &trip,
        &format!("{good}%00"),
        &format!("%20{good}"),
        &good.to_uppercase(),
    ];
    let before = world.all_rows().await;
    for id in ids {
        let address = format!("/v1/payments/{id}");
        for answer in
            [world.ops.get(&address).await, post(&world.ops, &format!("{address}/refunds"), "{}".to_owned()).await]
        {
            let problem = answer.expect_problem(400, "invalid_id");
            assert_eq!(problem["errors"][0]["pointer"], "payment_id", "{id}: {problem:#}");
        }
    }
    // A valid id without a payment and a payment of another rider get the same response.
    let missing = "pay_01h455vb4pex5vsknk084sn02q";
    world.ops.get(&format!("/v1/payments/{missing}")).await.expect_problem(404, "not_found");
    post(&world.ops, &format!("/v1/payments/{missing}/refunds"), "{}".to_owned())
        .await
        .expect_problem(404, "not_found");
    world.app.rider().await.get(&format!("/v1/payments/{good}")).await.expect_problem(404, "not_found");
    world.rider.get(&format!("/v1/payments/{good}")).await.expect(200);
    assert_eq!(world.all_rows().await, before);
    world.app.stop().await;
}
