#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::ours::{Key, Refund as OurRefund, RefusedCall, Trip, WriteOff};
use super::*;
use crate::people::digest;
use crate::provider::Refund;

/// A world in which one trip was paid, a part of it given back, and its rider told the truth.
struct World {
    ours: Ours,
    theirs: Theirs,
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
            method: "pm_card_visa".into(),
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
            failure_code: None,
            is_its_own: false,
            attention: None,
        }],
        refused: Vec::new(),
        keys: BTreeMap::from([("k".to_owned(), Key { status: 201, body: b"trip".to_vec(), effects: 1 })]),
        unbalanced: Vec::new(),
        clearing: BTreeMap::from([("USD".to_owned(), 700)]),
        written_off: Vec::new(),
    };
    let intents = vec![Intent {
        id: "pi_1".into(),
        status: "succeeded".into(),
        currency: "usd".into(),
        amount_received: 1_000,
        metadata: metadata("payment_id", name("pay", id(2))),
        cancellation_reason: None,
        latest_charge: Some("ch_1".into()),
        moved: ["authorized", "captured", "refunded"].map(String::from).into(),
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
    let moved_by = BTreeSet::from(["confirm".to_owned(), "capture".to_owned(), "refund".to_owned()]);
    let theirs = Theirs { intents, refunds, moved_by };
    World { ours, theirs, record: BTreeMap::from([("k".to_owned(), asked)]) }
}

/// What is found when the world is spoilt like this.
fn found(spoil: impl FnOnce(&mut World)) -> Vec<Kind> {
    let mut world = world();
    spoil(&mut world);
    let findings = compare(&world.ours, &world.theirs, &world.record);
    findings.0.into_iter().filter(|(_, finding)| finding.count > 0).map(|(kind, _)| kind).collect()
}

#[test]
fn an_honest_world_is_clean() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn money_that_was_taken_twice_is_found() {
    let twice = |world: &mut World| {
        let again = Intent { id: "pi_2".into(), ..world.theirs.intents[0].clone() };
        world.theirs.intents.push(again);
    };
    assert!(found(twice).contains(&Kind::DoubleCharge));
    assert!(found(|world| world.theirs.intents[0].metadata.clear()).contains(&Kind::DoubleCharge));
    assert!(found(|world| world.ours.trips[0].total = Some(600)).contains(&Kind::DoubleCharge));
    let given_back = |is_its_own: bool| {
        found(|world| {
            world.ours.trips[0].total = Some(700);
            world.ours.refunds[0].is_its_own = is_its_own;
        })
    };
    assert_eq!(given_back(false), [Kind::DoubleCharge], "an operator was kind, and the charge is as wrong as before");
    assert_eq!(given_back(true), [], "it knew, and gave it back");
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
    let failed = |world: &mut World| {
        unpaid(world);
        let declined = Payment { id: id(4), state: "declined".into(), captured: 0, ..world.ours.payments[0].clone() };
        world.ours.payments.push(Payment { intent_id: None, ..declined });
    };
    assert_eq!(found(failed), [Kind::LostCharge], "that a payment has failed pays nothing");
    assert_eq!(found(|world| world.ours.trips[0].total = None), [Kind::DoubleCharge, Kind::LostCharge]);
    assert!(found(|world| world.theirs.intents.clear()).contains(&Kind::LostCharge));
}

#[test]
fn a_debt_is_given_up_only_where_a_bank_refused() {
    let given_up = |world: &mut World| {
        world.ours.trips[0].total = Some(1_001);
        let write_off = WriteOff { payment_id: id(2), trip_id: id(1), amount: 1, currency: "USD".into() };
        world.ours.written_off.push(write_off);
    };
    assert_eq!(found(given_up), [Kind::LostCharge], "its card is good");
    let bad_card = |world: &mut World| {
        given_up(world);
        world.ours.payments[0].method = "pm_card_chargeDeclined".into();
    };
    assert_eq!(found(bad_card), []);
    let declined = |world: &mut World| {
        given_up(world);
        let declined = Intent {
            id: "pi_2".into(),
            status: "canceled".into(),
            amount_received: 0,
            moved: BTreeSet::new(),
            ..world.theirs.intents[0].clone()
        };
        world.theirs.intents.push(declined);
    };
    assert_eq!(found(declined), [], "the provider knows of it");
}

#[test]
fn a_hold_that_nobody_needs_is_found() {
    let held = |world: &mut World| {
        let held = Intent {
            id: "pi_2".into(),
            status: "requires_capture".into(),
            amount_received: 0,
            ..world.theirs.intents[0].clone()
        };
        world.theirs.intents.push(held);
    };
    assert_eq!(found(held), [Kind::OrphanAuthorisation]);
}

#[test]
fn refunds_that_differ_are_found() {
    assert!(found(|world| world.theirs.refunds.push(world.theirs.refunds[0].clone())).contains(&Kind::WrongRefund));
    assert!(found(|world| world.theirs.refunds[0].amount = 200).contains(&Kind::WrongRefund));
    assert!(found(|world| world.ours.refunds[0].state = "failed".into()).contains(&Kind::WrongRefund));
    assert!(found(|world| world.ours.refunds.clear()).contains(&Kind::WrongRefund));
    assert_eq!(found(|world| world.ours.refunds[0].provider_id = None), [Kind::BooksDiffer]);
}

#[test]
fn a_call_that_was_refused_here_and_done_there_is_found() {
    let refused = |key: &str| {
        let call = RefusedCall { key: key.to_owned(), payment_id: id(2), operation: "capture".into() };
        found(|world| world.ours.refused.push(call))
    };
    assert_eq!(refused("capture"), [Kind::BooksDiffer]);
    assert_eq!(refused("capture-2"), [], "nothing moved under this key");
}

#[test]
fn a_hold_that_was_given_up_for_no_reason_is_found() {
    let given_up = |world: &mut World| {
        let failed =
            Payment { id: id(4), state: "capture_failed".into(), captured: 0, ..world.ours.payments[0].clone() };
        let canceled = Intent {
            id: "pi_2".into(),
            status: "canceled".into(),
            amount_received: 0,
            metadata: BTreeMap::from([("payment_id".to_owned(), name("pay", id(4)))]),
            moved: ["authorized", "released"].map(String::from).into(),
            ..world.theirs.intents[0].clone()
        };
        world.ours.payments.push(Payment { intent_id: Some("pi_2".into()), ..failed });
        world.theirs.intents.push(canceled);
    };
    assert_eq!(found(given_up), [Kind::LostCharge]);
    let expired = |world: &mut World| {
        given_up(world);
        world.theirs.intents[1].cancellation_reason = Some("automatic".into());
        world.theirs.intents[1].moved = ["authorized", "expired"].map(String::from).into();
    };
    assert_eq!(found(expired), [], "the bank has let it go");
    let voided = |world: &mut World| {
        given_up(world);
        world.ours.payments[1].state = "voided".into();
    };
    assert_eq!(found(voided), [], "nobody wanted it");
}

#[test]
fn a_refund_that_failed_and_was_never_refused_is_found() {
    let failed = |code: &'static str| {
        move |world: &mut World| {
            let another = OurRefund {
                id: id(5),
                state: "failed".into(),
                provider_id: None,
                failure_code: Some(code.into()),
                ..world.ours.refunds[0].clone()
            };
            world.ours.refunds.push(another);
        }
    };
    assert_eq!(found(failed("timeout")), [Kind::WrongRefund]);
    assert_eq!(found(failed("closed_by_an_operator")), []);
    let refused = |world: &mut World| {
        failed("expired_or_canceled_card")(world);
        let metadata = BTreeMap::from([("refund_id".to_owned(), name("rfd", id(5)))]);
        let failed = Refund { id: "re_2".into(), status: "failed".into(), metadata, ..world.theirs.refunds[0].clone() };
        world.theirs.refunds.push(failed);
    };
    assert_eq!(found(refused), []);
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
    let tip = |world: &mut World| {
        world.record.values_mut().for_each(|asked| asked.what = "rider-1 POST /v1/trips/trip_1/tip".into());
        world.ours.keys.values_mut().for_each(|key| key.effects = 0);
    };
    assert_eq!(found(tip), [Kind::BrokenKey], "a tip is an effect, too");
}
