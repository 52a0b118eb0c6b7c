use super::*;
use crate::payments::DisputeRecord;

fn id(n: u128) -> PaymentId {
    PaymentId::from(Uuid::from_u128(n))
}

/// A captured payment of a settled trip.
fn ours(n: u128) -> LocalPayment {
    LocalPayment {
        id: id(n),
        trip_id: TripId::from(Uuid::from_u128(n)),
        intent_id: Some(format!("pi_{n}")),
        state: PaymentState::Captured,
        currency: "USD".to_owned(),
        amount: 1_000,
        captured: 1_000,
        dispute: None,
        trip_total: 1_000,
        version: 5,
        settled: true,
        refunds: vec![],
    }
}

/// A payment of a free trip.
fn unpaid(n: u128, state: PaymentState) -> LocalPayment {
    LocalPayment { state, captured: if state == PaymentState::Captured { 1_000 } else { 0 }, trip_total: 0, ..ours(n) }
}

/// The provider's record of `ours(n)`.
fn theirs(n: u128) -> IntentRecord {
    at(n, IntentStage::Captured)
}

fn at(n: u128, stage: IntentStage) -> IntentRecord {
    IntentRecord {
        id: format!("pi_{n}"),
        payment_id: Some(id(n)),
        is_marked: true,
        stage,
        status: format!("{stage:?}").to_lowercase(),
        currency: "USD".to_owned(),
        amount: 1_000,
        amount_received: if stage == IntentStage::Captured { 1_000 } else { 0 },
    }
}

fn records(intents: &[IntentRecord]) -> ProviderRecords {
    ProviderRecords { intents: intents.to_vec(), ..ProviderRecords::default() }
}

fn refund(n: u128, state: RefundState) -> LocalRefund {
    LocalRefund { id: RefundId::from(Uuid::from_u128(n)), provider_id: Some(format!("re_{n}")), amount: 100, state }
}

fn provider_refund(n: u128, stage: RefundStage) -> RefundRecord {
    RefundRecord {
        id: format!("re_{n}"),
        refund_id: Some(RefundId::from(Uuid::from_u128(n))),
        intent_id: Some("pi_1".to_owned()),
        stage,
        amount: 100,
    }
}

/// Kind, subject and rule of each difference.
fn summary(differences: &[Difference]) -> Vec<(&'static str, &str, &'static str)> {
    differences.iter().map(|one| (one.kind.as_str(), one.subject.as_str(), one.repair.as_str())).collect()
}

/// The differences of one payment and one intent.
fn of_one(payment: LocalPayment, intent: IntentRecord) -> Vec<Difference> {
    compare(&[payment], &records(&[intent]))
}

/// The differences of one payment's refunds.
fn of_refunds(ours_: &[LocalRefund], theirs_: &[RefundRecord]) -> Vec<Difference> {
    let payment = LocalPayment { refunds: ours_.to_vec(), ..ours(1) };
    compare(&[payment], &ProviderRecords { refunds: theirs_.to_vec(), ..records(&[theirs(1)]) })
}

#[test]
fn equal_records_have_no_difference() {
    assert_eq!(compare(&[ours(1), ours(2)], &records(&[theirs(2), theirs(1)])), []);
    assert_eq!(compare(&[], &records(&[])), []);
}

/// Each state of ours with each stage of the provider's, for the payment's own intent and for a second one.
#[test]
fn every_pair_of_states() {
    let mut grid = String::new();
    for own in [true, false] {
        grid += if own { "the payment's own intent\n" } else { "a second intent of the payment\n" };
        for state in PaymentState::ALL {
            for stage in IntentStage::ALL {
                let payment = unpaid(1, state);
                let named = if own { Some("pi_1") } else { Some("pi_0") };
                let payment = LocalPayment { intent_id: named.map(str::to_owned), ..payment };
                let found = compare(
                    &[payment],
                    &records(&[at(1, stage), IntentRecord { payment_id: Some(id(1)), ..at(0, IntentStage::Canceled) }]),
                );
                let found: Vec<_> = found
                    .iter()
                    .filter(|one| one.subject == "pi_1")
                    .map(|one| format!("{} ({})", one.kind.as_str(), one.repair.as_str()))
                    .collect();
                let found = if found.is_empty() { "-".to_owned() } else { found.join(", ") };
                grid += &format!("    {:<15}{:<13}{found}\n", state.as_str(), format!("{stage:?}"));
            }
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn every_amount_is_compared() {
    let found = of_one(ours(1), IntentRecord { amount_received: 900, ..theirs(1) });
    assert_eq!(summary(&found), [("amount_differs", "pi_1", "none")]);
    assert_eq!(
        (found[0].amounts, found[0].detail.as_str()),
        (Some((1_000, 900)), "captured 1000 here, 900 at the provider")
    );

    let found = of_one(ours(1), IntentRecord { amount: 1_100, ..theirs(1) });
    assert_eq!(summary(&found), [("amount_differs", "pi_1", "none")]);
    let found = of_one(LocalPayment { currency: "EUR".to_owned(), ..ours(1) }, IntentRecord { amount: 1, ..theirs(1) });
    assert_eq!(summary(&found), [("currency_differs", "pi_1", "none")], "amounts of two currencies are not compared");
}

#[test]
fn record_missing_on_one_side_is_a_difference() {
    let missing = compare(&[ours(1)], &records(&[]));
    assert_eq!(summary(&missing), [("missing_at_provider", "pi_1", "none")]);
    assert_eq!(summary(&compare(&[], &records(&[theirs(1)]))), [("unknown_to_us", "pi_1", "none")]);
    let unnamed = LocalPayment { intent_id: None, ..unpaid(1, PaymentState::Authorizing) };
    assert_eq!(summary(&of_one(unnamed, at(1, IntentStage::Held))), [("intent_missing_here", "pi_1", "none")]);
}

#[test]
fn foreign_intent_is_counted_and_is_no_difference() {
    let foreign_one = IntentRecord { payment_id: None, is_marked: false, ..at(2, IntentStage::Held) };
    let theirs_ = records(&[theirs(1), foreign_one.clone()]);
    let foreign = |ours: &[LocalPayment]| partition_foreign(ours, &theirs_).1.len();
    assert_eq!((compare(&[ours(1)], &theirs_), foreign(&[ours(1)])), (vec![], 1));
    // An intent that a payment of ours names is ours, whatever its metadata says.
    let ours_ = [ours(1), unpaid(2, PaymentState::Voided)];
    assert_eq!(summary(&compare(&ours_, &theirs_)), [("held_there_trip_over", "pi_2", "cancel_intent")]);
    assert_eq!(foreign(&ours_), 0);
    // An intent with an unreadable payment id was ours.
    let unreadable = records(&[IntentRecord { is_marked: true, ..foreign_one }]);
    assert_eq!(summary(&compare(&[], &unreadable)), [("unknown_to_us", "pi_2", "none")]);
}

#[test]
fn unsettled_payment_is_not_compared() {
    let unsettled = LocalPayment { settled: false, ..ours(1) };
    assert_eq!(of_one(unsettled.clone(), at(1, IntentStage::Held)), []);
    assert_eq!(compare(&[unsettled], &records(&[])), []);
}

#[test]
fn hold_is_released_only_if_no_money_is_owed() {
    let held = |payment| summary(&of_one(payment, at(1, IntentStage::Held)))[0].2;
    assert_eq!(held(unpaid(1, PaymentState::Voided)), "cancel_intent");
    assert_eq!(held(unpaid(1, PaymentState::Authorized)), "release");
    assert_eq!(held(LocalPayment { trip_total: 700, ..unpaid(1, PaymentState::Authorized) }), "none");
    assert_eq!(held(LocalPayment { trip_total: 700, ..unpaid(1, PaymentState::CaptureFailed) }), "none");
}

#[test]
fn refunds_are_compared_one_by_one() {
    use RefundStage as There;
    use RefundState as Here;
    let cases = [
        (Here::Succeeded, There::Succeeded, None),
        (Here::Failed, There::Failed, None),
        (Here::Pending, There::Pending, None),
        (Here::Pending, There::Succeeded, Some("look_again")),
        (Here::Pending, There::Failed, Some("look_again")),
        (Here::Succeeded, There::Failed, Some("look_again")),
        (Here::Succeeded, There::Pending, Some("none")),
        (Here::Failed, There::Succeeded, Some("none")),
    ];
    for (here, there, rule) in cases {
        let found = of_refunds(&[refund(1, here)], &[provider_refund(1, there)]);
        let expected: Vec<_> = rule.map(|rule| ("refund_state_differs", "re_1", rule)).into_iter().collect();
        assert_eq!(summary(&found), expected, "{here:?} here, {there:?} there");
    }
    let unnamed = LocalRefund { provider_id: None, ..refund(1, Here::Pending) };
    let found = of_refunds(std::slice::from_ref(&unnamed), &[provider_refund(1, There::Succeeded)]);
    assert_eq!(summary(&found), [("refund_state_differs", "re_1", "adopt_refund")]);
    assert_eq!(found[0].refund_id, Some(unnamed.id));
    assert_eq!(of_refunds(&[unnamed], &[]), [], "not made yet");

    let other = RefundRecord { amount: 90, ..provider_refund(1, There::Succeeded) };
    assert_eq!(
        summary(&of_refunds(&[refund(1, Here::Succeeded)], &[other])),
        [("refund_amount_differs", "re_1", "none")]
    );
    assert_eq!(summary(&of_refunds(&[refund(1, Here::Succeeded)], &[])), [("refund_missing_there", "re_1", "none")]);
    assert_eq!(
        summary(&of_refunds(&[], &[provider_refund(1, There::Pending)])),
        [("refund_missing_here", "re_1", "adopt_refund")]
    );
    assert_eq!(of_refunds(&[], &[provider_refund(1, There::Failed)]), [], "no money was refunded");
    // Two refunds of the provider for one of ours: the money was refunded twice.
    let twice = [
        provider_refund(1, There::Succeeded),
        RefundRecord { id: "re_2".to_owned(), ..provider_refund(1, There::Succeeded) },
    ];
    assert_eq!(
        summary(&of_refunds(&[refund(1, Here::Succeeded)], &twice)),
        [("refund_missing_here", "re_2", "adopt_refund")]
    );
}

#[test]
fn difference_of_a_changed_payment_is_dropped() {
    let differences = of_one(ours(1), IntentRecord { amount_received: 900, ..theirs(1) });
    assert_eq!(retain_unchanged(differences.clone(), &[ours(1)], &[ours(1)]), differences);
    let changed = LocalPayment { version: 6, ..ours(1) };
    assert_eq!(retain_unchanged(differences.clone(), &[ours(1)], &[changed]), []);
    let refunded = LocalPayment { refunds: vec![refund(1, RefundState::Pending)], ..ours(1) };
    assert_eq!(retain_unchanged(differences.clone(), &[ours(1)], &[refunded]), []);
    let unsettled = LocalPayment { settled: false, ..ours(1) };
    assert_eq!(retain_unchanged(differences, &[ours(1)], &[unsettled]), []);
}

#[test]
fn intent_newer_than_our_snapshot_is_no_difference() {
    let differences = compare(&[], &records(&[theirs(1)]));
    assert_eq!(retain_unchanged(differences.clone(), &[], &[ours(1)]), []);
    assert_eq!(retain_unchanged(differences, &[], &[]).len(), 1);
}

/// The records lag behind the provider, which decides: a look-up repairs them.
#[test]
fn every_state_of_a_dispute_is_compared() {
    let dispute = |n: u128, state| DisputeRecord { id: format!("du_{n}"), intent_id: Some("pi_1".to_owned()), state };
    let found = |here: Option<DisputeState>, there: &[DisputeRecord]| {
        let payment = LocalPayment { dispute: here, ..ours(1) };
        compare(&[payment], &ProviderRecords { disputes: there.to_vec(), ..records(&[theirs(1)]) })
    };
    for here in [None, Some(DisputeState::Open), Some(DisputeState::Won), Some(DisputeState::Lost)] {
        assert_eq!(found(here, &[]), [], "a run of recent payments may not list it");
        for there in DisputeState::ALL {
            let found = found(here, &[dispute(1, there)]);
            let expected = if here == Some(there) { vec![] } else { vec![("dispute_differs", "du_1", "look_again")] };
            assert_eq!(summary(&found), expected, "{here:?} here, {there} there");
            assert!(found.iter().all(|one| !one.kind.involves_money()), "the audit ignores it");
        }
    }
    let two = [dispute(2, DisputeState::Won), dispute(1, DisputeState::Open)];
    assert_eq!(summary(&found(Some(DisputeState::Won), &two)), [("dispute_differs", "du_1", "look_again")]);
    let unsettled = LocalPayment { settled: false, ..ours(1) };
    let theirs = ProviderRecords { disputes: two.to_vec(), ..records(&[theirs(1)]) };
    assert_eq!(compare(&[unsettled], &theirs), []);
}
