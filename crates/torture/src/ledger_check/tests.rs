#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::records::{Refund as OurRefund, RefusedCall, StoredKey, Trip, WriteOff};
use super::*;
use crate::actors::digest;
use crate::provider::Refund;

/// Consistent records: one trip, paid and partly refunded.
struct World {
    ours: OurRecords,
    theirs: ProviderRecords,
    history: BTreeMap<String, KeyHistory>,
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn world() -> World {
    let metadata = |key: &str, value: String| BTreeMap::from([(key.to_owned(), value)]);
    let stored = StoredKey { key: "k".into(), status: 201, body: b"trip".to_vec(), effects: 1 };
    let ours = OurRecords {
        payments: vec![Payment {
            id: id(2),
            trip_id: id(1),
            purpose: "fare".into(),
            state: "captured".into(),
            payment_method: "pm_card_visa".into(),
            currency: "USD".into(),
            captured_amount: 1_000,
            provider_intent_id: Some("pi_1".into()),
            needs_review: None,
            dispute: None,
        }],
        trips: vec![Trip { id: id(1), state: "completed".into(), total: Some(1_000), is_over: true }],
        refunds: vec![OurRefund {
            id: id(3),
            payment_id: id(2),
            state: "succeeded".into(),
            amount: 300,
            provider_refund_id: Some("re_1".into()),
            failure_code: None,
            is_automatic: false,
            needs_review: None,
            posted: 300,
        }],
        refused: Vec::new(),
        keys: BTreeMap::from([("k".to_owned(), stored)]),
        unbalanced: Vec::new(),
        clearing: BTreeMap::from([("USD".to_owned(), 700)]),
        write_offs: Vec::new(),
    };
    let intents = vec![Intent {
        id: "pi_1".into(),
        status: "succeeded".into(),
        currency: "usd".into(),
        amount_received: 1_000,
        metadata: metadata("payment_id", type_id("pay", id(2))),
        cancellation_reason: None,
        latest_charge: Some("ch_1".into()),
        moved: ["authorized", "captured", "refunded"].map(String::from).into(),
    }];
    let refunds = vec![Refund {
        id: "re_1".into(),
        status: "succeeded".into(),
        amount: 300,
        payment_intent: Some("pi_1".into()),
        metadata: metadata("refund_id", type_id("rfd", id(3))),
    }];
    let history = KeyHistory {
        request: "POST /v1/trips".into(),
        sent: 3,
        answered: 3,
        refusals: vec![],
        successes: vec![(201, digest(b"trip"))],
    };
    let moved_by = BTreeSet::from(["confirm".to_owned(), "capture".to_owned(), "refund".to_owned()]);
    let theirs = ProviderRecords { intents, refunds, disputed: BTreeSet::new(), moved_by };
    World { ours, theirs, history: BTreeMap::from([("k".to_owned(), history)]) }
}

/// The kinds of violations that are found after a change.
fn found(change: impl FnOnce(&mut World)) -> Vec<ViolationKind> {
    let mut world = world();
    change(&mut world);
    let violations = compare(&world.ours, &world.theirs, &world.history);
    violations.0.into_iter().filter(|(_, summary)| summary.count > 0).map(|(kind, _)| kind).collect()
}

#[test]
fn consistent_records_have_no_violation() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn charging_twice_is_a_double_charge() {
    let twice = |world: &mut World| {
        let again = Intent { id: "pi_2".into(), ..world.theirs.intents[0].clone() };
        world.theirs.intents.push(again);
    };
    assert!(found(twice).contains(&ViolationKind::DoubleCharge));
    assert!(found(|world| world.theirs.intents[0].metadata.clear()).contains(&ViolationKind::DoubleCharge));
    assert!(found(|world| world.ours.trips[0].total = Some(600)).contains(&ViolationKind::DoubleCharge));
    let refunded = |is_automatic: bool| {
        found(|world| {
            world.ours.trips[0].total = Some(700);
            world.ours.refunds[0].is_automatic = is_automatic;
        })
    };
    assert_eq!(refunded(false), [ViolationKind::DoubleCharge], "an operator's refund does not make it right");
    assert_eq!(refunded(true), [], "the service refunded it by itself");
}

#[test]
fn charging_too_little_is_a_lost_charge_unless_it_waits_for_review() {
    let unpaid = |world: &mut World| world.ours.trips[0].total = Some(1_001);
    assert_eq!(found(unpaid), [ViolationKind::LostCharge]);
    let known = |world: &mut World| {
        unpaid(world);
        world.ours.payments[0].needs_review = Some("capture was refused".into());
    };
    assert_eq!(found(known), []);
    let failed = |world: &mut World| {
        unpaid(world);
        let declined =
            Payment { id: id(4), state: "declined".into(), captured_amount: 0, ..world.ours.payments[0].clone() };
        world.ours.payments.push(Payment { provider_intent_id: None, ..declined });
    };
    assert_eq!(found(failed), [ViolationKind::LostCharge], "a failed payment pays nothing");
    assert_eq!(
        found(|world| world.ours.trips[0].total = None),
        [ViolationKind::DoubleCharge, ViolationKind::LostCharge]
    );
    assert!(found(|world| world.theirs.intents.clear()).contains(&ViolationKind::LostCharge));
}

#[test]
fn write_off_without_a_decline_is_a_lost_charge() {
    let abandoned = |world: &mut World| {
        world.ours.trips[0].total = Some(1_001);
        let write_off = WriteOff { payment_id: id(2), trip_id: id(1), amount: 1, currency: "USD".into() };
        world.ours.write_offs.push(write_off);
    };
    assert_eq!(found(abandoned), [ViolationKind::LostCharge], "the card works");
    let bad_card = |world: &mut World| {
        abandoned(world);
        world.ours.payments[0].payment_method = "pm_card_chargeDeclined".into();
    };
    assert_eq!(found(bad_card), []);
    let declined = |world: &mut World| {
        abandoned(world);
        let declined = Intent {
            id: "pi_2".into(),
            status: "canceled".into(),
            amount_received: 0,
            moved: BTreeSet::new(),
            ..world.theirs.intents[0].clone()
        };
        world.theirs.intents.push(declined);
    };
    assert_eq!(found(declined), [], "the provider has the decline");
}

#[test]
fn hold_after_the_trip_is_an_orphan_authorization() {
    let held = |world: &mut World| {
        let held = Intent {
            id: "pi_2".into(),
            status: "requires_capture".into(),
            amount_received: 0,
            ..world.theirs.intents[0].clone()
        };
        world.theirs.intents.push(held);
    };
    assert_eq!(found(held), [ViolationKind::OrphanAuthorization]);
}

#[test]
fn differing_refunds_are_wrong_refunds() {
    assert!(
        found(|world| world.theirs.refunds.push(world.theirs.refunds[0].clone())).contains(&ViolationKind::WrongRefund)
    );
    assert!(found(|world| world.theirs.refunds[0].amount = 200).contains(&ViolationKind::WrongRefund));
    assert!(found(|world| world.ours.refunds[0].state = "failed".into()).contains(&ViolationKind::WrongRefund));
    assert!(found(|world| world.ours.refunds.clear()).contains(&ViolationKind::WrongRefund));
    assert_eq!(found(|world| world.ours.refunds[0].provider_refund_id = None), [ViolationKind::RecordsDiffer]);
}

#[test]
fn refused_call_that_moved_money_is_a_difference() {
    let refused = |key: &str| {
        let call = RefusedCall { provider_key: key.to_owned(), payment_id: id(2), operation: "capture".into() };
        found(|world| world.ours.refused.push(call))
    };
    assert_eq!(refused("capture"), [ViolationKind::RecordsDiffer]);
    assert_eq!(refused("capture-2"), [], "no money moved under this key");
}

#[test]
fn releasing_a_capturable_hold_is_a_lost_charge() {
    let abandoned = |world: &mut World| {
        let failed =
            Payment { id: id(4), state: "capture_failed".into(), captured_amount: 0, ..world.ours.payments[0].clone() };
        let canceled = Intent {
            id: "pi_2".into(),
            status: "canceled".into(),
            amount_received: 0,
            metadata: BTreeMap::from([("payment_id".to_owned(), type_id("pay", id(4)))]),
            moved: ["authorized", "released"].map(String::from).into(),
            ..world.theirs.intents[0].clone()
        };
        world.ours.payments.push(Payment { provider_intent_id: Some("pi_2".into()), ..failed });
        world.theirs.intents.push(canceled);
    };
    assert_eq!(found(abandoned), [ViolationKind::LostCharge]);
    let expired = |world: &mut World| {
        abandoned(world);
        world.theirs.intents[1].cancellation_reason = Some("automatic".into());
        world.theirs.intents[1].moved = ["authorized", "expired"].map(String::from).into();
    };
    assert_eq!(found(expired), [], "the bank released it");
    let voided = |world: &mut World| {
        abandoned(world);
        world.ours.payments[1].state = "voided".into();
    };
    assert_eq!(found(voided), [], "it was voided");
}

#[test]
fn failed_refund_that_was_never_refused_is_a_wrong_refund() {
    let failed = |code: &'static str| {
        move |world: &mut World| {
            let another = OurRefund {
                id: id(5),
                state: "failed".into(),
                provider_refund_id: None,
                failure_code: Some(code.into()),
                posted: 0,
                ..world.ours.refunds[0].clone()
            };
            world.ours.refunds.push(another);
        }
    };
    assert_eq!(found(failed("timeout")), [ViolationKind::WrongRefund]);
    assert_eq!(found(failed("closed_by_an_operator")), []);
    let refused = |world: &mut World| {
        failed("expired_or_canceled_card")(world);
        let metadata = BTreeMap::from([("refund_id".to_owned(), type_id("rfd", id(5)))]);
        let failed = Refund { id: "re_2".into(), status: "failed".into(), metadata, ..world.theirs.refunds[0].clone() };
        world.theirs.refunds.push(failed);
    };
    assert_eq!(found(refused), []);
}

#[test]
fn refund_that_failed_after_it_succeeded_is_reversed() {
    let fails = |posted: i64| {
        found(|world| {
            world.theirs.refunds[0].status = "failed".into();
            world.ours.refunds[0].state = "failed".into();
            world.ours.refunds[0].failure_code = Some("expired_or_canceled_card".into());
            world.ours.refunds[0].posted = posted;
            world.ours.clearing.insert("USD".to_owned(), 1_000 - posted);
        })
    };
    assert_eq!(fails(0), []);
    assert_eq!(fails(300), [ViolationKind::UnbalancedPosting], "its posting was not reversed");
    let unnoticed = found(|world| world.theirs.refunds[0].status = "failed".into());
    assert_eq!(unnoticed, [ViolationKind::UnbalancedPosting, ViolationKind::WrongRefund]);
    assert_eq!(found(|world| world.ours.refunds[0].posted = 600), [ViolationKind::UnbalancedPosting], "posted twice");
}

#[test]
fn dispute_is_known_on_both_sides() {
    let theirs = |world: &mut World| {
        world.theirs.disputed.insert("pi_1".to_owned());
    };
    assert_eq!(found(theirs), [ViolationKind::RecordsDiffer]);
    assert_eq!(found(|world| world.ours.payments[0].dispute = Some("open".into())), [ViolationKind::RecordsDiffer]);
    let refused = |world: &mut World| {
        let another = OurRefund {
            id: id(5),
            state: "failed".into(),
            provider_refund_id: None,
            failure_code: Some("charge_disputed".into()),
            posted: 0,
            ..world.ours.refunds[0].clone()
        };
        world.ours.refunds.push(another);
    };
    assert_eq!(found(refused), [ViolationKind::WrongRefund], "the charge is not disputed");
    let known = |world: &mut World| {
        theirs(world);
        refused(world);
        world.ours.payments[0].dispute = Some("open".into());
    };
    assert_eq!(found(known), [], "a disputed charge takes no refund");
}

#[test]
fn ledger_that_does_not_balance_is_an_unbalanced_posting() {
    assert_eq!(found(|world| world.ours.unbalanced.push((id(9), "USD".into(), 1))), [ViolationKind::UnbalancedPosting]);
    assert_eq!(found(|world| world.ours.clearing.clear()), [ViolationKind::UnbalancedPosting]);
}

#[test]
fn inconsistent_responses_under_a_key_are_a_broken_key() {
    let keys = |change: fn(&mut KeyHistory)| found(|world| world.history.values_mut().for_each(change));
    assert_eq!(keys(|keys| keys.successes.push((201, digest(b"another")))), [ViolationKind::BrokenKey]);
    assert_eq!(keys(|keys| keys.successes[0].1 = digest(b"another")), [ViolationKind::BrokenKey]);
    assert_eq!(keys(|keys| keys.refusals.push("idempotency_key_reused".into())), [ViolationKind::BrokenKey]);
    let refused = |keys: &mut KeyHistory| {
        keys.successes.clear();
        keys.refusals.push("invalid_transition".into());
    };
    assert_eq!(keys(refused), [ViolationKind::BrokenKey]);
    let refused_once = |keys: &mut KeyHistory| {
        keys.successes.clear();
        keys.refusals.push("invalid_transition".into());
        keys.answered = 1;
    };
    assert_eq!(keys(refused_once), [], "an earlier request was still in progress");
    assert_eq!(keys(|keys| keys.successes.clear()), [], "the outcome is unknown");
    assert_eq!(found(|world| world.ours.keys.clear()), [ViolationKind::BrokenKey]);
    assert_eq!(found(|world| world.ours.keys.values_mut().for_each(|key| key.effects = 2)), [ViolationKind::BrokenKey]);
    assert_eq!(found(|world| world.ours.keys.values_mut().for_each(|key| key.effects = 0)), [ViolationKind::BrokenKey]);
    let tip = |world: &mut World| {
        world.history.values_mut().for_each(|keys| keys.request = "rider-1 POST /v1/trips/trip_1/tip".into());
        world.ours.keys.values_mut().for_each(|key| key.effects = 0);
    };
    assert_eq!(found(tip), [ViolationKind::BrokenKey], "a tip is an effect, too");
}
