//! A payment's events in every order, each repeated: before the answer to our own call, in the middle, and after the end. The end is
//! always the same, and a terminal state never changes.
//!
//! The events are the provider's own. A trigger records every state of a payment or refund, so that a temporarily wrong one is found
//! too.
#![allow(clippy::unwrap_used, reason = "tests")]

mod event_catcher;

use crate::fixtures::{cents, until_events_are_handled, until_payment};
use crate::harness::breakpoint::Side;
use crate::harness::{Actor, App, HERE, Options, at_once, id, in_progress, until};
use event_catcher::{Event, EventCatcher};
use serde_json::{Value, json};

/// Records the transitions of payments and refunds.
const RECORD_TRANSITIONS: &str = "
    create table transitions (seq bigserial, payment_id uuid, old text, new text);
    create function record_transition() returns trigger language plpgsql as $$ begin
        insert into transitions (payment_id, old, new) values (
            coalesce(to_jsonb(new) ->> 'payment_id', to_jsonb(new) ->> 'id')::uuid, tg_table_name || ' ' || old.state,
            tg_table_name || ' ' || new.state);
        return null;
    end $$;
    create trigger record_transition after update on payments for each row when (old.state <> new.state) execute function record_transition();
    create trigger record_transition after update on refunds for each row when (old.state <> new.state) execute function record_transition();";

const AUTHORIZED: &str = "payment_intent.amount_capturable_updated";
const CAPTURED: &str = "payment_intent.succeeded";
const CANCELED: &str = "payment_intent.canceled";
const FAILED: &str = "payment_intent.payment_failed";
const REFUNDED: [&str; 2] = ["charge.refunded", "refund.updated"];

/// The events of a payment that is authorized, captured, and refunded in two parts.
const ALL_EVENTS: [&str; 6] = [AUTHORIZED, CAPTURED, REFUNDED[0], REFUNDED[1], REFUNDED[0], REFUNDED[1]];

struct World {
    app: App,
    catcher: EventCatcher,
    ops: Actor,
}

/// A payment, and the events about it so far.
struct Subject {
    rider: Actor,
    driver: Option<Actor>,
    trip: Value,
    intent: String,
    events: Vec<Event>,
}

impl Subject {
    fn payment_id(&self) -> &str {
        self.trip["payment_id"].as_str().unwrap()
    }

    async fn payment(&self) -> Value {
        self.rider.get(&format!("/v1/payments/{}", self.payment_id())).await.expect(200)
    }

    async fn until(&self, state: &str) -> Value {
        until_payment(&self.rider, self.payment_id(), state).await
    }
}

impl World {
    async fn new() -> Self {
        let catcher = EventCatcher::open().await;
        // Calls are stopped while events are delivered, and must not time out.
        let (events_to, psp_timeout_ms) = (Some(catcher.address), Some(25_000));
        let options = Options { sql: RECORD_TRANSITIONS, events_to, psp_timeout_ms, ..Options::default() };
        let app = App::with(options).await;
        let ops = app.ops().await;
        Self { app, catcher, ops }
    }

    /// Returns a payment's intent, once it has one.
    async fn intent_of(&self, trip: &Value) -> String {
        until("there is an intent", async || {
            sqlx::query_scalar("select provider_intent_id from payments where trip_id = $1")
                .bind(uuid_of(id(trip)))
                .fetch_one(self.app.sql())
                .await
                .unwrap()
        })
        .await
    }

    /// Requests a trip with this payment method.
    async fn requested(&self, method: &str, kinds: &[&str]) -> Subject {
        let rider = self.app.rider().await;
        let trip = rider.request_trip_with(method).await;
        let intent = self.intent_of(&trip).await;
        let events = self.catcher.about(&intent, kinds).await;
        Subject { rider, driver: None, trip, intent, events }
    }

    async fn authorized(&self) -> Subject {
        let subject = self.requested("pm_card_visa", &[AUTHORIZED]).await;
        subject.until("authorized").await;
        subject
    }

    async fn declined(&self) -> Subject {
        let subject = self.requested("pm_card_chargeDeclined", &[FAILED]).await;
        subject.until("declined").await;
        subject
    }

    async fn canceled(&self) -> Subject {
        let mut subject = self.authorized().await;
        subject.rider.command(id(&subject.trip), "cancel").await.expect(200);
        subject.until("voided").await;
        subject.events = self.catcher.about(&subject.intent, &[AUTHORIZED, CANCELED]).await;
        subject
    }

    async fn in_progress(&self) -> Subject {
        let (rider, driver) = (self.app.rider().await, self.app.driver_at(HERE).await);
        let trip = in_progress(&self.app, &rider, &driver).await;
        let intent = self.intent_of(&trip).await;
        let events = self.catcher.about(&intent, &[AUTHORIZED]).await;
        Subject { rider, driver: Some(driver), trip, intent, events }
    }

    async fn complete(&self, subject: &Subject) {
        let driver = subject.driver.as_ref().unwrap();
        driver.command(id(&subject.trip), "complete").await.expect(200);
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    }

    async fn captured(&self) -> Subject {
        let mut subject = self.in_progress().await;
        self.complete(&subject).await;
        subject.until("captured").await;
        subject.events = self.catcher.about(&subject.intent, &[AUTHORIZED, CAPTURED]).await;
        subject
    }

    /// Requests a refund; of everything without an amount.
    async fn request_refund(&self, subject: &Subject, amount: Option<i64>) {
        let body = amount.map_or(json!({}), cents);
        self.ops.post(&format!("/v1/payments/{}/refunds", subject.payment_id()), &body).await.expect(201);
    }

    async fn until_refunds_are_settled(&self, subject: &Subject) {
        until("the refunds are settled", async || {
            let payment = subject.payment().await;
            let refunds = payment["refunds"].as_array().unwrap();
            refunds.iter().all(|refund| refund["state"] == "succeeded").then_some(())
        })
        .await;
    }

    async fn refunded(&self) -> Subject {
        let mut subject = self.captured().await;
        for amount in [Some(200), None] {
            self.request_refund(&subject, amount).await;
            self.until_refunds_are_settled(&subject).await;
        }
        subject.events = self.catcher.about(&subject.intent, &ALL_EVENTS).await;
        subject.events.retain(|event| ALL_EVENTS.contains(&event.kind.as_str()));
        subject
    }

    /// Delivers the events in every order, each order forward and backward.
    async fn deliver_in_every_order(&self, events: &[Event]) {
        let orders = permutations(events.len());
        let lanes = orders.chunks(orders.len().div_ceil(LANES)).map(async |orders| {
            for order in orders {
                let events: Vec<Event> = order.iter().map(|n| events[*n].repeated()).collect();
                for event in events.iter().chain(events.iter().rev()) {
                    event.deliver(&self.app).await;
                }
            }
        });
        at_once(lanes).await;
        until_events_are_handled(&self.app).await;
    }

    /// Returns the transitions of the payment and its refunds.
    async fn transitions(&self, subject: &Subject) -> Vec<String> {
        let sql =
            "select split_part(new, ' ', 1) || ': ' || split_part(old, ' ', 2) || ' → ' || split_part(new, ' ', 2)
                   from transitions join payments on payments.id = payment_id where trip_id = $1 order by seq";
        sqlx::query_scalar(sql).bind(uuid_of(id(&subject.trip))).fetch_all(self.app.sql()).await.unwrap()
    }

    /// Returns the payment, the ledger's size and sum, and the transitions.
    async fn observable(&self, subject: &Subject) -> (Value, i64, i64, Vec<String>) {
        let postings = self.app.count("select count(*) from ledger_postings").await;
        let sum = self.app.count("select coalesce(sum(abs(amount)), 0)::bigint from ledger_entries").await;
        (subject.payment().await, postings, sum, self.transitions(subject).await)
    }
}

/// Orders that are delivered concurrently.
const LANES: usize = 8;

/// Returns every order of `count` things.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    permutations(last).into_iter().flat_map(insert).collect()
}

fn uuid_of(trip_id: &str) -> uuid::Uuid {
    use ridematch::platform::ids::{Id, TripId};
    trip_id.parse::<TripId>().unwrap().uuid()
}

#[test]
fn permutations_are_complete_and_distinct() {
    let orders: std::collections::BTreeSet<_> = permutations(6).into_iter().collect();
    assert_eq!((orders.len(), permutations(6).len()), (720, 720));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_all_events_after_the_end_changes_nothing() {
    let world = World::new().await;
    let subject = world.refunded().await;
    assert_eq!(subject.events.len(), ALL_EVENTS.len(), "{:?}", subject.events);
    let before = world.observable(&subject).await;
    let transitions =
        ["payments: authorizing → authorized", "payments: authorized → capturing", "payments: capturing → captured"];
    assert_eq!(before.3[..3], transitions);
    assert_eq!(before.3[3..], ["refunds: pending → succeeded"; 2]);

    for event in subject.events.iter().chain(subject.events.iter().rev()) {
        event.deliver(&world.app).await;
    }
    world.deliver_in_every_order(&subject.events).await;
    world.app.assert_clean().await;
    assert_eq!(world.observable(&subject).await, before);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_two_events_leave_the_state_unchanged() {
    let world = World::new().await;
    let subjects = [
        world.refunded().await,
        world.captured().await,
        world.canceled().await,
        world.declined().await,
        world.authorized().await,
    ];
    // The events of each payment are delivered about each other one too.
    let mut all: Vec<&Event> = subjects.iter().flat_map(|subject| &subject.events).collect();
    all.sort_by(|one, other| one.kind.cmp(&other.kind));
    all.dedup_by(|one, other| one.kind == other.kind);
    for kind in [AUTHORIZED, CAPTURED, CANCELED, FAILED, REFUNDED[0], REFUNDED[1]] {
        assert!(all.iter().any(|event| event.kind == kind), "{kind} was never sent");
    }
    for subject in &subjects {
        let before = world.observable(subject).await;
        let pairs = all.iter().flat_map(|one| all.iter().map(move |other| (one, other)));
        for (one, other) in pairs {
            let (one, other) = (one.about_intent(&subject.intent), other.about_intent(&subject.intent));
            for event in [&one, &other, &one] {
                event.deliver(&world.app).await;
            }
        }
        until_events_are_handled(&world.app).await;
        world.app.assert_clean().await;
        assert_eq!(world.observable(subject).await, before);
    }
    // The payment that has not ended can continue.
    let [.., subject] = &subjects;
    subject.rider.command(id(&subject.trip), "cancel").await.expect(200);
    subject.until("voided").await;
    world.app.assert_clean().await;
    world.app.stop().await;
}

/// Delivers true and false events in every order before the answer to our own call.
async fn deliver_early(world: &World, subject: &Subject, kinds: &[&str], false_events: &[&Event]) {
    let own = world.catcher.about(&subject.intent, kinds).await;
    let latest: Vec<Event> = own.into_iter().filter(|event| kinds.contains(&event.kind.as_str())).collect();
    for event in &latest {
        event.deliver(&world.app).await;
    }
    let events =
        latest.iter().map(Event::repeated).chain(false_events.iter().map(|event| event.about_intent(&subject.intent)));
    world.deliver_in_every_order(&events.take(4).collect::<Vec<_>>()).await;
}

async fn start_ride(world: &World, subject: &Subject) {
    let driver = subject.driver.as_ref().unwrap();
    driver.send_position(&world.app, HERE).await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.send_position(&world.app, HERE).await;
    driver.command(id(&subject.trip), "arrive").await.expect(200);
    let start = format!("/v1/trips/{}/start", id(&subject.trip));
    driver.post(&start, &json!({"pin": subject.trip["pin"]})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_before_the_answer_to_our_call_change_nothing() {
    let world = World::new().await;
    let (other, ended) = (world.refunded().await, world.canceled().await);
    let sent = |subject: &Subject, kind| subject.events.iter().find(|event| event.kind == kind).unwrap().clone();
    let (captured, refunded, canceled) = (&sent(&other, CAPTURED), &sent(&other, REFUNDED[0]), &sent(&ended, CANCELED));

    // Confirm: only the event has arrived.
    let answer = world.app.calls.break_at("confirm", Side::After);
    let (rider, driver) = (world.app.rider().await, world.app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let answer = answer.reached().await;
    let intent = world.intent_of(&trip).await;
    let mut subject = Subject { rider, driver: Some(driver), trip, intent, events: Vec::new() };
    deliver_early(&world, &subject, &[AUTHORIZED], &[captured, refunded, canceled]).await;
    assert_eq!(subject.payment().await["state"], "authorizing", "an event is no answer to the call");
    answer.resume();
    subject.until("authorized").await;

    // Capture.
    start_ride(&world, &subject).await;
    let answer = world.app.calls.break_at("capture", Side::After);
    world.complete(&subject).await;
    let answer = answer.reached().await;
    deliver_early(&world, &subject, &[AUTHORIZED, CAPTURED], &[refunded, canceled]).await;
    assert_eq!(subject.payment().await["state"], "capturing");
    answer.resume();
    subject.until("captured").await;

    // Refund.
    let answer = world.app.calls.break_at("refund", Side::After);
    world.request_refund(&subject, Some(200)).await;
    let answer = answer.reached().await;
    deliver_early(&world, &subject, &[CAPTURED, REFUNDED[0], REFUNDED[1]], &[canceled]).await;
    assert_eq!(subject.payment().await["refunds"][0]["state"], "pending");
    answer.resume();
    world.until_refunds_are_settled(&subject).await;
    world.app.assert_clean().await;
    subject.events = world.catcher.about(&subject.intent, &ALL_EVENTS[..4]).await;
    world.deliver_in_every_order(&subject.events).await;
    let expected = [
        "payments: authorizing → authorized",
        "payments: authorized → capturing",
        "payments: capturing → captured",
        "refunds: pending → succeeded",
    ];
    assert_eq!(world.transitions(&subject).await, expected);
    assert_eq!(subject.payment().await["refunded"]["amount"], 200);

    // Cancel.
    let subject = world.authorized().await;
    let answer = world.app.calls.break_at("cancel", Side::After);
    subject.rider.command(id(&subject.trip), "cancel").await.expect(200);
    let answer = answer.reached().await;
    deliver_early(&world, &subject, &[AUTHORIZED, CANCELED], &[captured, refunded]).await;
    assert_eq!(subject.payment().await["state"], "voiding");
    answer.resume();
    subject.until("voided").await;
    let expected =
        ["payments: authorizing → authorized", "payments: authorized → voiding", "payments: voiding → voided"];
    assert_eq!(world.transitions(&subject).await, expected);
    world.app.assert_clean().await;
    world.app.stop().await;
}
