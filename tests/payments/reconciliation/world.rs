//! The fixture of the reconciliation tests: a service with a paid ride and a cancelled one, and calls to the provider.
#![allow(dead_code, reason = "not every suite uses everything")]

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{API_VERSION, Actor, App, HERE, Options, PSP_SECRET, free_address, id, in_progress, until};

/// A service that receives no events of the provider: only reconciliation can find what is done there.
pub struct World {
    pub app: App,
    pub ops: Actor,
    /// The completed trip.
    pub ride: Value,
    /// Its payment, captured.
    pub paid: Value,
    /// The voided payment of a trip that was cancelled for free.
    pub voided: Value,
}

impl World {
    pub async fn new() -> Self {
        let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
        let (rider, ops) = (app.rider().await, app.ops().await);
        let driver = app.driver_at(HERE).await;
        let ride = in_progress(&app, &rider, &driver).await;
        let ride = driver.command(id(&ride), "complete").await.expect(200);
        let paid = until_payment(&ops, &ride, "captured").await;
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
        let trip = rider.request_trip().await;
        rider.until_state(id(&trip), "searching").await;
        rider.command(id(&trip), "cancel").await.expect(200);
        let voided = until_payment(&ops, &trip, "voided").await;
        app.assert_clean().await;
        // The tests falsify records that have ended.
        app.break_with(
            "alter table payments disable trigger ended_payment_keeps_its_state;
             alter table refunds disable trigger ended_refund_keeps_its_state",
        )
        .await;
        Self { app, ops, ride, paid, voided }
    }

    pub async fn stop(self) {
        self.app.stop().await;
    }

    pub async fn sql(&self, sql: &str) {
        self.app.break_with(sql).await;
    }

    /// Changes columns of a payment in our records, with the event that the change needs.
    pub async fn update(&self, payment: &Value, assignments: &str) {
        let sql = format!(
            "with before as (
                 select id, state, (select max(seq) from payment_events where payment_id = id) as seq from payments where id = {0}),
             changed as (
                 update payments set {assignments}, last_event = (select seq + 1 from before) where id = {0} returning *)
             insert into payment_events (payment_id, seq, kind, from_state, state, at, made_at)
             select changed.id, before.seq + 1, 'state_changed', before.state, changed.state, created_at, created_at
             from changed join before using (id)",
            uuid(payment)
        );
        self.sql(&sql).await;
    }

    /// Returns the provider's id of a payment's intent.
    pub async fn intent(&self, payment: &Value) -> String {
        let sql = format!("select provider_intent_id from payments where id = {}", uuid(payment));
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(self.app.sql()).await.unwrap()
    }

    /// Calls the provider's API directly, as from its dashboard.
    pub async fn at_provider(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Value {
        let request = self.app.http.request(method, format!("http://{}{path}", self.app.provider.address()));
        let answer =
            request.bearer_auth(PSP_SECRET).header("Stripe-Version", API_VERSION).form(form).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{path}: {body:#}");
        body
    }

    /// Creates another intent for `payment` at the provider.
    pub async fn second_intent(&self, payment: &Value, more: &[(&str, &str)]) -> String {
        let mut form = vec![
            ("amount", "1000"),
            ("currency", "usd"),
            ("payment_method", "pm_card_visa"),
            ("metadata[payment_id]", id(payment)),
        ];
        form.extend(more);
        id(&self.at_provider(Method::POST, "/v1/payment_intents", &form).await).to_owned()
    }

    pub async fn provider_status(&self, intent: &str) -> String {
        let path = format!("/v1/payment_intents/{intent}");
        self.at_provider(Method::GET, &path, &[]).await["status"].as_str().unwrap().to_owned()
    }

    /// Runs a comparison of all payments and waits for its end.
    pub async fn run(&self) -> Value {
        let run = self.ops.post("/v1/ops/reconciliation/runs", &json!({})).await.expect(201);
        self.until_run(&run).await
    }

    pub async fn until_run(&self, run: &Value) -> Value {
        let path = format!("/v1/ops/reconciliation/runs/{}", id(run));
        until("the run is over", async || {
            let run = self.ops.get(&path).await.expect(200);
            run["finished_at"].is_string().then_some(run)
        })
        .await
    }

    /// Returns the findings in this state, the latest first.
    pub async fn findings(&self, state: &str) -> Vec<Value> {
        let path = format!("/v1/ops/reconciliation/findings?limit=100&state={state}");
        self.ops.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
    }

    /// Returns kind, subject and rule of the open findings, sorted.
    pub async fn open(&self) -> Vec<(String, String, String)> {
        let text = |finding: &Value, member: &str| finding[member].as_str().unwrap().to_owned();
        let mut open: Vec<_> = self
            .findings("open")
            .await
            .iter()
            .map(|finding| (text(finding, "kind"), text(finding, "subject"), text(finding, "repair")))
            .collect();
        open.sort();
        open
    }

    /// Runs a comparison and checks that exactly these findings are open.
    pub async fn finds(&self, expected: &[(&str, &str, &str)]) -> Value {
        let run = self.run().await;
        assert_eq!(run["state"], "checked", "{run:#}");
        let open = self.open().await;
        let open: Vec<_> =
            open.iter().map(|(kind, subject, rule)| (kind.as_str(), subject.as_str(), rule.as_str())).collect();
        assert_eq!(open, expected, "{run:#}");
        run
    }

    /// Waits until runs find no difference, and checks that the finding of this kind was repaired by this rule.
    pub async fn repairs(&self, kind: &str, rule: &str) {
        until(&format!("{kind} is repaired"), async || {
            self.run().await;
            self.open().await.is_empty().then_some(())
        })
        .await;
        let found = self.findings("repaired").await.into_iter().find(|finding| finding["kind"] == kind);
        let found = found.unwrap_or_else(|| panic!("{kind} was not repaired"));
        let found = self.ops.get(&format!("/v1/ops/reconciliation/findings/{}", id(&found))).await.expect(200);
        assert_eq!((&found["repair"], &found["ended_at"].is_string()), (&json!(rule), &true), "{found:#}");
        assert_eq!(
            (&found["repairs"][0]["repair"], &found["repairs"][0]["outcome"]),
            (&json!(rule), &json!("succeeded"))
        );
    }

    /// Returns the payment as it is now.
    pub async fn payment(&self, payment: &Value) -> Value {
        self.ops.get(&format!("/v1/payments/{}", id(payment))).await.expect(200)
    }
}

/// Waits until a trip's fare payment is in this state.
async fn until_payment(ops: &Actor, trip: &Value, state: &str) -> Value {
    let path = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until(&format!("the payment is {state}"), async || {
        let payment = ops.get(&path).await.expect(200);
        (payment["state"] == state).then_some(payment)
    })
    .await
}

/// Returns one of our ids as an SQL literal.
pub fn uuid(resource: &Value) -> String {
    let text = id(resource);
    let id = match text.split_once('_').unwrap().0 {
        "pay" => ridematch::platform::ids::Id::uuid(text.parse::<ridematch::platform::ids::PaymentId>().unwrap()),
        _ => ridematch::platform::ids::Id::uuid(text.parse::<ridematch::platform::ids::TripId>().unwrap()),
    };
    format!("'{id}'")
}
