//! A payment's webhooks in every order, each more than once: while our own call is not answered yet, in the middle of a life, and
//! long after its end. The end is always the same, and no end is ever left again.
//!
//! The events are the provider's own, caught on their way. A trigger notes every state that a payment or refund takes, so that
//! one that was wrong for a moment only is seen too.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "webhook_orders/mailbox.rs"]
mod mailbox;

use std::time::Duration;

use harness::hold::Side;
use harness::{Actor, App, HERE, Options, at_once, id, in_progress, until, within};
use mailbox::{Event, Mailbox};
use serde_json::{Value, json};

/// Notes what becomes of each payment and each refund.
const WATCH: &str = "
    create table steps (seq bigserial, payment_id uuid, old text, new text);
    create function note_step() returns trigger language plpgsql as $$ begin
        insert into steps (payment_id, old, new) values (
            coalesce(to_jsonb(new) ->> 'payment_id', to_jsonb(new) ->> 'id')::uuid, tg_table_name || ' ' || old.state,
            tg_table_name || ' ' || new.state);
        return null;
    end $$;
    create trigger note_step after update on payments for each row when (old.state <> new.state) execute function note_step();
    create trigger note_step after update on refunds for each row when (old.state <> new.state) execute function note_step();";

const AUTHORIZED: &str = "payment_intent.amount_capturable_updated";
const CAPTURED: &str = "payment_intent.succeeded";
const CANCELED: &str = "payment_intent.canceled";
const FAILED: &str = "payment_intent.payment_failed";
const REFUNDED: [&str; 2] = ["charge.refunded", "refund.updated"];

/// A whole life: authorised, captured, given back in two parts.
const WHOLE_LIFE: [&str; 6] = [AUTHORIZED, CAPTURED, REFUNDED[0], REFUNDED[1], REFUNDED[0], REFUNDED[1]];

struct World {
    app: App,
    mailbox: Mailbox,
    ops: Actor,
}

/// A payment somewhere in its life, and what the provider has told of it so far.
struct Life {
    rider: Actor,
    driver: Option<Actor>,
    trip: Value,
    intent: String,
    events: Vec<Event>,
}

impl Life {
    fn payment_id(&self) -> &str {
        self.trip["payment_id"].as_str().unwrap()
    }

    async fn payment(&self) -> Value {
        self.rider.get(&format!("/v1/payments/{}", self.payment_id())).await.expect(200)
    }

    async fn until(&self, state: &str) -> Value {
        until(&format!("the payment is {state}"), async || {
            let payment = self.payment().await;
            (payment["state"] == state).then_some(payment)
        })
        .await
    }
}

impl World {
    async fn new() -> Self {
        let mailbox = Mailbox::open().await;
        // Calls are held while events are told: they must not time out meanwhile.
        let (events_to, psp_timeout_ms) = (Some(mailbox.address), Some(25_000));
        let options = Options { sql: WATCH, events_to, psp_timeout_ms, ..Options::default() };
        let app = App::with(options).await;
        let ops = app.ops().await;
        Self { app, mailbox, ops }
    }

    /// The provider's name for a payment, once it has one.
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

    /// A trip that waits for a driver, or that the bank did not want.
    async fn asked(&self, method: &str, kinds: &[&str]) -> Life {
        let rider = self.app.rider().await;
        let trip = rider.request_trip_with(method).await;
        let intent = self.intent_of(&trip).await;
        let events = self.mailbox.about(&intent, kinds).await;
        Life { rider, driver: None, trip, intent, events }
    }

    async fn authorized(&self) -> Life {
        let life = self.asked("pm_card_visa", &[AUTHORIZED]).await;
        life.until("authorized").await;
        life
    }

    async fn declined(&self) -> Life {
        let life = self.asked("pm_card_chargeDeclined", &[FAILED]).await;
        life.until("declined").await;
        life
    }

    async fn canceled(&self) -> Life {
        let mut life = self.authorized().await;
        life.rider.act(id(&life.trip), "cancel").await.expect(200);
        life.until("voided").await;
        life.events = self.mailbox.about(&life.intent, &[AUTHORIZED, CANCELED]).await;
        life
    }

    async fn under_way(&self) -> Life {
        let (rider, driver) = (self.app.rider().await, self.app.driver_at(HERE).await);
        let trip = in_progress(&self.app, &rider, &driver).await;
        let intent = self.intent_of(&trip).await;
        let events = self.mailbox.about(&intent, &[AUTHORIZED]).await;
        Life { rider, driver: Some(driver), trip, intent, events }
    }

    async fn complete(&self, life: &Life) {
        let driver = life.driver.as_ref().unwrap();
        driver.act(id(&life.trip), "complete").await.expect(200);
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
    }

    async fn captured(&self) -> Life {
        let mut life = self.under_way().await;
        self.complete(&life).await;
        life.until("captured").await;
        life.events = self.mailbox.about(&life.intent, &[AUTHORIZED, CAPTURED]).await;
        life
    }

    /// Asks for a refund; of everything if no amount is named.
    async fn ask_back(&self, life: &Life, cents: Option<i64>) {
        let body = cents.map_or(json!({}), |cents| json!({"amount": {"amount": cents, "currency": "USD"}}));
        self.ops.post(&format!("/v1/payments/{}/refunds", life.payment_id()), &body).await.expect(201);
    }

    async fn until_refunds_are_settled(&self, life: &Life) {
        until("the refunds are settled", async || {
            let payment = life.payment().await;
            let refunds = payment["refunds"].as_array().unwrap();
            refunds.iter().all(|refund| refund["state"] == "succeeded").then_some(())
        })
        .await;
    }

    async fn refunded(&self) -> Life {
        let mut life = self.captured().await;
        for cents in [Some(200), None] {
            self.ask_back(&life, cents).await;
            self.until_refunds_are_settled(&life).await;
        }
        life.events = self.mailbox.about(&life.intent, &WHOLE_LIFE).await;
        life.events.retain(|event| WHOLE_LIFE.contains(&event.kind.as_str()));
        life
    }

    /// Delivers these in every order, in each order twice, the second time backwards.
    async fn deliver_in_every_order(&self, events: &[Event]) {
        let orders = permutations(events.len());
        let lanes = orders.chunks(orders.len().div_ceil(LANES)).map(async |orders| {
            for order in orders {
                let told: Vec<Event> = order.iter().map(|n| events[*n].anew()).collect();
                for event in told.iter().chain(told.iter().rev()) {
                    event.deliver(&self.app).await;
                }
            }
        });
        at_once(lanes).await;
        self.until_handled().await;
    }

    /// Waits until whatever was received has been acted upon.
    async fn until_handled(&self) {
        within(HANDLED_WITHIN, "every event is handled", async || {
            let open = "select count(*) from provider_events where due_at is not null";
            (self.app.count(open).await == 0).then_some(())
        })
        .await;
    }

    /// The states that the payment and its refunds went through.
    async fn steps(&self, life: &Life) -> Vec<String> {
        let sql =
            "select split_part(new, ' ', 1) || ': ' || split_part(old, ' ', 2) || ' → ' || split_part(new, ' ', 2)
                   from steps join payments on payments.id = payment_id where trip_id = $1 order by seq";
        sqlx::query_scalar(sql).bind(uuid_of(id(&life.trip))).fetch_all(self.app.sql()).await.unwrap()
    }

    /// What anybody could notice.
    async fn everything(&self, life: &Life) -> (Value, i64, i64, Vec<String>) {
        let postings = self.app.count("select count(*) from ledger_postings").await;
        let sum = self.app.count("select coalesce(sum(abs(amount)), 0)::bigint from ledger_entries").await;
        (life.payment().await, postings, sum, self.steps(life).await)
    }
}

/// Thousands of events may wait for a busy machine.
const HANDLED_WITHIN: Duration = Duration::from_secs(120);

/// Orders that are delivered at the same time.
const LANES: usize = 8;

/// Every order of `count` things.
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
fn every_order_is_there_once() {
    let orders: std::collections::BTreeSet<_> = permutations(6).into_iter().collect();
    assert_eq!((orders.len(), permutations(6).len()), (720, 720));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_a_whole_lifes_events_after_its_end() {
    let world = World::new().await;
    let life = world.refunded().await;
    assert_eq!(life.events.len(), WHOLE_LIFE.len(), "{:?}", life.events);
    let before = world.everything(&life).await;
    let ways =
        ["payments: authorizing → authorized", "payments: authorized → capturing", "payments: capturing → captured"];
    assert_eq!(before.3[..3], ways);
    assert_eq!(before.3[3..], ["refunds: pending → succeeded"; 2]);

    for event in life.events.iter().chain(life.events.iter().rev()) {
        event.deliver(&world.app).await;
    }
    world.deliver_in_every_order(&life.events).await;
    world.app.assert_clean().await;
    assert_eq!(world.everything(&life).await, before);
    world.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_two_events_say_of_a_payment_it_stays_what_it_is() {
    let world = World::new().await;
    let lives = [
        world.refunded().await,
        world.captured().await,
        world.canceled().await,
        world.declined().await,
        world.authorized().await,
    ];
    // What was told of each is told of each other one too.
    let mut told: Vec<&Event> = lives.iter().flat_map(|life| &life.events).collect();
    told.sort_by(|one, other| one.kind.cmp(&other.kind));
    told.dedup_by(|one, other| one.kind == other.kind);
    for kind in [AUTHORIZED, CAPTURED, CANCELED, FAILED, REFUNDED[0], REFUNDED[1]] {
        assert!(told.iter().any(|event| event.kind == kind), "{kind} was never told");
    }
    for life in &lives {
        let before = world.everything(life).await;
        let pairs = told.iter().flat_map(|one| told.iter().map(move |other| (one, other)));
        for (one, other) in pairs {
            let (one, other) = (one.told_of(&life.intent), other.told_of(&life.intent));
            for event in [&one, &other, &one] {
                event.deliver(&world.app).await;
            }
        }
        world.until_handled().await;
        world.app.assert_clean().await;
        assert_eq!(world.everything(life).await, before);
    }
    // And the one that had not ended goes on with its life.
    let [.., life] = &lives;
    life.rider.act(id(&life.trip), "cancel").await.expect(200);
    life.until("voided").await;
    world.app.assert_clean().await;
    world.app.stop().await;
}

/// Tells of what was done and of what was not, in every order, while the answer to our own call is on its way.
async fn tell_too_early(world: &World, life: &Life, kinds: &[&str], strangers: &[&Event]) {
    let own = world.mailbox.about(&life.intent, kinds).await;
    let latest: Vec<Event> = own.into_iter().filter(|event| kinds.contains(&event.kind.as_str())).collect();
    for event in &latest {
        event.deliver(&world.app).await;
    }
    let told = latest.iter().map(Event::anew).chain(strangers.iter().map(|event| event.told_of(&life.intent)));
    world.deliver_in_every_order(&told.take(4).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_overtake_the_answer_to_our_own_call() {
    let world = World::new().await;
    let (other, over) = (world.refunded().await, world.canceled().await);
    let told = |life: &Life, kind| life.events.iter().find(|event| event.kind == kind).unwrap().clone();
    let (taken, given, gone) = (&told(&other, CAPTURED), &told(&other, REFUNDED[0]), &told(&over, CANCELED));

    // Confirmed, and nobody has told us but the event.
    let answer = world.app.calls.hold("confirm", Side::After);
    let (rider, driver) = (world.app.rider().await, world.app.driver_at(HERE).await);
    let trip = rider.request_trip().await;
    let answer = answer.reached().await;
    let intent = world.intent_of(&trip).await;
    let mut life = Life { rider, driver: Some(driver), trip, intent, events: Vec::new() };
    tell_too_early(&world, &life, &[AUTHORIZED], &[taken, given, gone]).await;
    assert_eq!(life.payment().await["state"], "authorizing", "an event is no answer");
    answer.let_go();
    life.until("authorized").await;

    // Captured.
    let driver = life.driver.as_ref().unwrap();
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.send_position(&world.app, HERE).await;
    driver.act(id(&life.trip), "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{}/start", id(&life.trip)), &json!({"pin": life.trip["pin"]})).await.expect(200);
    let answer = world.app.calls.hold("capture", Side::After);
    world.complete(&life).await;
    let answer = answer.reached().await;
    tell_too_early(&world, &life, &[AUTHORIZED, CAPTURED], &[given, gone]).await;
    assert_eq!(life.payment().await["state"], "capturing");
    answer.let_go();
    life.until("captured").await;

    // Given back.
    let answer = world.app.calls.hold("refund", Side::After);
    world.ask_back(&life, Some(200)).await;
    let answer = answer.reached().await;
    tell_too_early(&world, &life, &[CAPTURED, REFUNDED[0], REFUNDED[1]], &[gone]).await;
    assert_eq!(life.payment().await["refunds"][0]["state"], "pending");
    answer.let_go();
    world.until_refunds_are_settled(&life).await;
    world.app.assert_clean().await;
    life.events = world.mailbox.about(&life.intent, &WHOLE_LIFE[..4]).await;
    world.deliver_in_every_order(&life.events).await;
    let expected = [
        "payments: authorizing → authorized",
        "payments: authorized → capturing",
        "payments: capturing → captured",
        "refunds: pending → succeeded",
    ];
    assert_eq!(world.steps(&life).await, expected);
    assert_eq!(life.payment().await["refunded"]["amount"], 200);

    // Called off.
    let life = world.authorized().await;
    let answer = world.app.calls.hold("cancel", Side::After);
    life.rider.act(id(&life.trip), "cancel").await.expect(200);
    let answer = answer.reached().await;
    tell_too_early(&world, &life, &[AUTHORIZED, CANCELED], &[taken, given]).await;
    assert_eq!(life.payment().await["state"], "voiding");
    answer.let_go();
    life.until("voided").await;
    let expected =
        ["payments: authorizing → authorized", "payments: authorized → voiding", "payments: voiding → voided"];
    assert_eq!(world.steps(&life).await, expected);
    world.app.assert_clean().await;
    world.app.stop().await;
}
