#![allow(clippy::unwrap_used, reason = "tests")]

use super::ours::{Key, Refund as OurRefund, Trip};
use super::*;

/// A world in which one trip was paid, a part of it given back, and its rider told the truth.
struct World {
    ours: Ours,
    intents: Vec<Intent>,
    refunds: Vec<Refund>,
    record: BTreeMap<String, Asked>,
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn world() -> World {
    let metadata = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
    let ours = Ours {
        payments: vec![Payment {
            id: id(2),
            trip_id: id(1),
            purpose: "fare".into(),
            state: "captured".into(),
            currency: "USD".into(),
            captured: 1_000,
            intent_id: Some("pi_1".into()),
            attention: None,
        }],
        trips: vec![Trip { id: id(1), state: "completed".into(), total: Some(1_000), is_over: true }],
        refunds: vec![OurRefund {
            id: id(3),
            payment_id: id(2),
            state: "succeeded".into(),
            amount: 300,
            provider_id: Some("re_1".into()),
            attention: None,
        }],
        keys: BTreeMap::from([("k".to_owned(), Key { status: 201, body: b"trip".to_vec(), effects: 1 })]),
        unbalanced: Vec::new(),
        clearing: BTreeMap::from([("USD".to_owned(), 700)]),
        written_off: BTreeMap::new(),
    };
    let intents = vec![Intent {
        id: "pi_1".into(),
        status: "succeeded".into(),
        currency: "usd".into(),
        amount_received: 1_000,
        metadata: metadata("payment_id", name("pay", id(2))),
    }];
    let refunds = vec![Refund {
        id: "re_1".into(),
        status: "succeeded".into(),
        amount: 300,
        payment_intent: Some("pi_1".into()),
        metadata: metadata("refund_id", name("rfd", id(3))),
    }];
    let asked = Asked {
        what: "POST /v1/trips".into(),
        sent: 3,
        heard: 3,
        refusals: vec![],
        successes: vec![(201, digest(b"trip"))],
    };
    World { ours, intents, refunds, record: BTreeMap::from([("k".to_owned(), asked)]) }
}

/// What is found when the world is spoilt like this.
fn found(spoil: impl FnOnce(&mut World)) -> Vec<Kind> {
    let mut world = world();
    spoil(&mut world);
    let findings = compare(&world.ours, &world.intents, &world.refunds, &world.record);
    findings.0.into_iter().filter(|(_, finding)| finding.count > 0).map(|(kind, _)| kind).collect()
}

#[test]
fn an_honest_world_is_clean() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn money_that_was_taken_twice_is_found() {
    let twice = |world: &mut World| {
        let again = Intent { id: "pi_2".into(), ..world.intents[0].clone() };
        world.intents.push(again);
    };
    assert!(found(twice).contains(&Kind::DoubleCharge));
    assert!(found(|world| world.intents[0].metadata.clear()).contains(&Kind::DoubleCharge));
    assert!(found(|world| world.ours.trips[0].total = Some(600)).contains(&Kind::DoubleCharge));
}

#[test]
fn money_that_was_not_taken_is_found_unless_somebody_knows() {
    let unpaid = |world: &mut World| world.ours.trips[0].total = Some(1_001);
    assert_eq!(found(unpaid), [Kind::LostCharge]);
    let known = |world: &mut World| {
        unpaid(world);
        world.ours.payments[0].attention = Some("capture was refused".into());
    };
    assert_eq!(found(known), []);
    let forgiven = |world: &mut World| {
        unpaid(world);
        world.ours.written_off.insert(id(1), 1);
    };
    assert_eq!(found(forgiven), []);
    assert!(found(|world| world.intents.clear()).contains(&Kind::LostCharge));
}

#[test]
fn a_hold_that_nobody_needs_is_found() {
    let held = |world: &mut World| {
        let held = Intent {
            id: "pi_2".into(),
            status: "requires_capture".into(),
            amount_received: 0,
            ..world.intents[0].clone()
        };
        world.intents.push(held);
    };
    assert_eq!(found(held), [Kind::OrphanAuthorisation]);
}

#[test]
fn refunds_that_differ_are_found() {
    assert!(found(|world| world.refunds.push(world.refunds[0].clone())).contains(&Kind::WrongRefund));
    assert!(found(|world| world.refunds[0].amount = 200).contains(&Kind::WrongRefund));
    assert!(found(|world| world.ours.refunds[0].state = "failed".into()).contains(&Kind::WrongRefund));
    assert!(found(|world| world.ours.refunds.clear()).contains(&Kind::WrongRefund));
    assert_eq!(found(|world| world.ours.refunds[0].provider_id = None), [Kind::BooksDiffer]);
}

#[test]
fn a_ledger_that_does_not_add_up_is_found() {
    assert_eq!(found(|world| world.ours.unbalanced.push((id(9), "USD".into(), 1))), [Kind::UnbalancedPosting]);
    assert_eq!(found(|world| world.ours.clearing.clear()), [Kind::UnbalancedPosting]);
}

#[test]
fn broken_promises_are_found() {
    let asked = |change: fn(&mut Asked)| found(|world| world.record.values_mut().for_each(change));
    assert_eq!(asked(|asked| asked.successes.push((201, digest(b"another")))), [Kind::BrokenKey]);
    assert_eq!(asked(|asked| asked.successes[0].1 = digest(b"another")), [Kind::BrokenKey]);
    assert_eq!(asked(|asked| asked.refusals.push("idempotency_key_reused".into())), [Kind::BrokenKey]);
    let refused = |asked: &mut Asked| {
        asked.successes.clear();
        asked.refusals.push("invalid_transition".into());
    };
    assert_eq!(asked(refused), [Kind::BrokenKey]);
    let refused_once = |asked: &mut Asked| {
        asked.successes.clear();
        asked.refusals.push("invalid_transition".into());
        asked.heard = 1;
    };
    assert_eq!(asked(refused_once), [], "an earlier one was still under way");
    assert_eq!(asked(|asked| asked.successes.clear()), [], "nobody knows, and that is no lie");
    assert_eq!(found(|world| world.ours.keys.clear()), [Kind::BrokenKey]);
    assert_eq!(found(|world| world.ours.keys.values_mut().for_each(|key| key.effects = 2)), [Kind::BrokenKey]);
    assert_eq!(found(|world| world.ours.keys.values_mut().for_each(|key| key.effects = 0)), [Kind::BrokenKey]);
}
