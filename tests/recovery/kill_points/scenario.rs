//! The requests that lead to a call, and its expected end.

use ridematch::payments::model::ProviderOperation;
use serde_json::{Value, json};

use super::provider_state::ProviderState;
use crate::harness::process::{Process, RECOVERED_WITHIN};
use crate::harness::{Actor, HERE, THERE, id, until, within};

/// The amount of a refund, minor units.
const REFUND: i64 = 100;

/// A payment whose next request leads to the call.
pub struct Scenario {
    operation: ProviderOperation,
    rider: Actor,
    /// The caller of that request.
    actor: Actor,
    path: String,
    body: Value,
    /// `None` before the request that creates it.
    trip: Option<Value>,
}

/// Prepares `count` payments for a call.
pub async fn prepare(process: &Process, operation: ProviderOperation, count: usize) -> Vec<Scenario> {
    until("the process is the matcher", async || process.is_matcher().await.then_some(())).await;
    let mut scenarios = Vec::new();
    for _ in 0..count {
        scenarios.push(match operation {
            ProviderOperation::Create | ProviderOperation::Confirm => before_request(process, operation).await,
            ProviderOperation::Cancel => before_cancellation(process).await,
            ProviderOperation::Capture => before_completion(process).await,
            ProviderOperation::Refund => before_refund(process).await,
        });
    }
    scenarios
}

async fn before_request(process: &Process, operation: ProviderOperation) -> Scenario {
    let rider = process.actor("rider").await;
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    Scenario { operation, actor: rider.clone(), rider, path: "/v1/trips".to_owned(), body, trip: None }
}

async fn before_cancellation(process: &Process) -> Scenario {
    let rider = process.actor("rider").await;
    let trip = rider.request_trip().await;
    let trip = rider.until_state(id(&trip), "searching").await;
    let path = format!("/v1/trips/{}/cancel", id(&trip));
    Scenario {
        operation: ProviderOperation::Cancel,
        actor: rider.clone(),
        rider,
        path,
        body: json!({}),
        trip: Some(trip),
    }
}

async fn before_completion(process: &Process) -> Scenario {
    let (rider, driver) = (process.actor("rider").await, process.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.put_position(process, HERE).await.expect(200);
    driver.command(id(&trip), "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    let path = format!("/v1/trips/{}/complete", id(&trip));
    Scenario { operation: ProviderOperation::Capture, actor: driver, rider, path, body: json!({}), trip: Some(trip) }
}

async fn before_refund(process: &Process) -> Scenario {
    let completed = before_completion(process).await;
    completed.actor.post(&completed.path, &completed.body).await.expect(200);
    completed.actor.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    until("the fare is captured", async || {
        (completed.payment(&completed.rider).await["state"] == "captured").then_some(())
    })
    .await;
    let path = format!("/v1/payments/{}/refunds", completed.payment_id());
    let body = json!({"amount": {"amount": REFUND, "currency": "USD"}});
    Scenario { operation: ProviderOperation::Refund, actor: process.actor("ops").await, path, body, ..completed }
}

impl Scenario {
    /// Makes the request that leads to the call.
    pub async fn begin(&mut self) {
        let answer = self.actor.post(&self.path, &self.body).await;
        assert!(answer.status.is_success(), "{:#}", answer.json());
        self.trip.get_or_insert_with(|| answer.json());
    }

    fn trip(&self) -> &Value {
        self.trip.as_ref().unwrap()
    }

    pub fn payment_id(&self) -> &str {
        self.trip()["payment_id"].as_str().unwrap()
    }

    async fn payment(&self, rider: &Actor) -> Value {
        rider.get(&format!("/v1/payments/{}", self.payment_id())).await.expect(200)
    }

    /// The expected state, once another process has finished the call.
    fn end(&self) -> &'static str {
        match self.operation {
            ProviderOperation::Create | ProviderOperation::Confirm => "authorized",
            ProviderOperation::Capture | ProviderOperation::Refund => "captured",
            ProviderOperation::Cancel => "voided",
        }
    }

    /// Waits until the process has finished the call of the killed one.
    pub async fn until_ended(&self, process: &Process) -> Value {
        within(RECOVERED_WITHIN, &format!("{:?} has ended", self.operation), async || self.ended_payment(process).await)
            .await
    }

    /// Returns the payment, once it has the expected end.
    pub async fn ended_payment(&self, process: &Process) -> Option<Value> {
        let payment = self.payment(&self.rider.at(process)).await;
        let is_refunded = self.operation != ProviderOperation::Refund || payment["refunded"]["amount"] == REFUND;
        (payment["state"] == self.end() && is_refunded).then_some(payment)
    }

    /// Checks that the provider's end is right and equals ours: one intent, with one effect, and one refund at most.
    pub fn assert_end(&self, payment: &Value, state: &ProviderState) {
        let intent = state.only_intent();
        let price = self.trip()["price"]["amount"].as_i64().unwrap();
        let (status, capturable, received) = match self.operation {
            ProviderOperation::Create | ProviderOperation::Confirm => ("requires_capture", price, 0),
            ProviderOperation::Capture | ProviderOperation::Refund => ("succeeded", 0, price),
            ProviderOperation::Cancel => ("canceled", 0, 0),
        };
        assert_eq!(intent["status"], status, "{state:?}");
        assert_eq!((&intent["amount_capturable"], &intent["amount_received"]), (&json!(capturable), &json!(received)));
        assert_eq!(payment["captured"]["amount"], received);
        let refunds = usize::from(self.operation == ProviderOperation::Refund);
        assert_eq!((state.refunds.len(), state.refunded()), (refunds, REFUND * refunds as i64), "{state:?}");
    }
}

/// Cancels the trips that search for a driver, so that no hold is left.
pub async fn cancel_open_trips(process: &Process, scenarios: &[Scenario]) {
    for scenario in scenarios {
        if let ProviderOperation::Create | ProviderOperation::Confirm = scenario.operation {
            scenario.rider.at(process).command(id(scenario.trip()), "cancel").await.expect(200);
        }
    }
}
