//! What leads to a call, and what has to come of it in the end.

use serde_json::{Value, json};

use super::Operation;
use super::books::Seen;
use crate::harness::process::{Process, RECOVERED_WITHIN};
use crate::harness::{Actor, HERE, THERE, id, until, within};

/// Minor units that a refund gives back.
const REFUND: i64 = 100;

/// One payment, brought to where the next request leads to the call.
pub struct Story {
    operation: Operation,
    rider: Actor,
    /// Who makes that request.
    actor: Actor,
    path: String,
    body: Value,
    /// Not there before the request that makes it.
    trip: Option<Value>,
}

/// Brings so many payments to the brink of a call.
pub async fn prepare(process: &Process, operation: Operation, count: usize) -> Vec<Story> {
    until("the process is the matcher", async || process.is_matcher().await.then_some(())).await;
    let mut stories = Vec::new();
    for _ in 0..count {
        stories.push(match operation {
            Operation::Create | Operation::Confirm => about_to_ask(process, operation).await,
            Operation::Cancel => about_to_cancel(process).await,
            Operation::Capture => about_to_complete(process).await,
            Operation::Refund => about_to_refund(process).await,
        });
    }
    stories
}

async fn about_to_ask(process: &Process, operation: Operation) -> Story {
    let rider = process.actor("rider").await;
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    Story { operation, actor: rider.clone(), rider, path: "/v1/trips".to_owned(), body, trip: None }
}

async fn about_to_cancel(process: &Process) -> Story {
    let rider = process.actor("rider").await;
    let trip = rider.request_trip().await;
    let trip = rider.until_state(id(&trip), "searching").await;
    let path = format!("/v1/trips/{}/cancel", id(&trip));
    Story { operation: Operation::Cancel, actor: rider.clone(), rider, path, body: json!({}), trip: Some(trip) }
}

async fn about_to_complete(process: &Process) -> Story {
    let (rider, driver) = (process.actor("rider").await, process.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.act(id(&trip), "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    let path = format!("/v1/trips/{}/complete", id(&trip));
    Story { operation: Operation::Capture, actor: driver, rider, path, body: json!({}), trip: Some(trip) }
}

async fn about_to_refund(process: &Process) -> Story {
    let ridden = about_to_complete(process).await;
    ridden.actor.post(&ridden.path, &ridden.body).await.expect(200);
    ridden.actor.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    until("the fare is captured", async || (ridden.payment(&ridden.rider).await["state"] == "captured").then_some(()))
        .await;
    let path = format!("/v1/payments/{}/refunds", ridden.payment_id());
    let body = json!({"amount": {"amount": REFUND, "currency": "USD"}});
    Story { operation: Operation::Refund, actor: process.actor("ops").await, path, body, ..ridden }
}

impl Story {
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

    async fn payment(&self, whose: &Actor) -> Value {
        whose.get(&format!("/v1/payments/{}", self.payment_id())).await.expect(200)
    }

    /// The state in which the payment stays, the process that began it being dead.
    fn end(&self) -> &'static str {
        match self.operation {
            Operation::Create | Operation::Confirm => "authorized",
            Operation::Capture | Operation::Refund => "captured",
            Operation::Cancel => "voided",
        }
    }

    /// Waits until the new process has found out, and finished, what the dead one had begun.
    pub async fn until_over(&self, process: &Process) -> Value {
        within(RECOVERED_WITHIN, &format!("{:?} is over", self.operation), async || self.end_so_far(process).await)
            .await
    }

    /// The payment, if it is what it is to stay.
    pub async fn end_so_far(&self, process: &Process) -> Option<Value> {
        let payment = self.payment(&self.rider.facing(process)).await;
        let is_refunded = self.operation != Operation::Refund || payment["refunded"]["amount"] == REFUND;
        (payment["state"] == self.end() && is_refunded).then_some(payment)
    }

    /// Fails unless the provider's end is right, and the same as ours: one intent, held, taken or released once, and given back
    /// once.
    pub fn assert_end(&self, payment: &Value, seen: &Seen) {
        let intent = seen.only_intent();
        let promised = self.trip()["price"]["amount"].as_i64().unwrap();
        let (status, capturable, received) = match self.operation {
            Operation::Create | Operation::Confirm => ("requires_capture", promised, 0),
            Operation::Capture | Operation::Refund => ("succeeded", 0, promised),
            Operation::Cancel => ("canceled", 0, 0),
        };
        assert_eq!(intent["status"], status, "{seen:?}");
        assert_eq!((&intent["amount_capturable"], &intent["amount_received"]), (&json!(capturable), &json!(received)));
        assert_eq!(payment["captured"]["amount"], received);
        let refunds = usize::from(self.operation == Operation::Refund);
        assert_eq!((seen.refunds.len(), seen.refunded()), (refunds, REFUND * refunds as i64), "{seen:?}");
    }
}

/// Ends the trips that are waiting for a driver, so that nothing is left to be held.
pub async fn tidy_up(process: &Process, stories: &[Story]) {
    for story in stories {
        if let Operation::Create | Operation::Confirm = story.operation {
            story.rider.facing(process).act(id(story.trip()), "cancel").await.expect(200);
        }
    }
}
