use super::*;
use uuid::Uuid;

fn id(n: u128) -> PaymentId {
    PaymentId::from(Uuid::from_u128(n))
}

fn ours(n: u128) -> OurPayment {
    OurPayment {
        id: id(n),
        trip_id: TripId::from(Uuid::from_u128(n)),
        intent_id: Some(format!("pi_{n}")),
        currency: "USD".to_owned(),
        captured: 1_000,
        refunded: 0,
        version: 5,
        settled: true,
    }
}

fn theirs(n: u128) -> BookedIntent {
    BookedIntent {
        id: format!("pi_{n}"),
        payment_id: Some(id(n)),
        status: "succeeded".to_owned(),
        currency: "USD".to_owned(),
        amount: 1_000,
        amount_received: 1_000,
        amount_refunded: 0,
    }
}

fn held() -> String {
    "requires_capture".to_owned()
}

/// What the comparison of one payment with one intent says.
fn said(payment: OurPayment, intent: BookedIntent) -> Vec<String> {
    compare(&[payment], &[intent]).into_iter().map(|difference| difference.what).collect()
}

#[test]
fn equal_books_have_no_difference() {
    assert_eq!(compare(&[ours(1), ours(2)], &[theirs(2), theirs(1)]), []);
    assert_eq!(compare(&[], &[]), []);
}

#[test]
fn every_figure_is_compared() {
    assert_eq!(
        said(ours(1), BookedIntent { amount_received: 900, ..theirs(1) }),
        ["captured 1000 here, 900 at the provider"]
    );
    assert_eq!(said(OurPayment { refunded: 1, ..ours(1) }, theirs(1)), ["refunded 1 here, 0 at the provider"]);
    assert_eq!(
        said(ours(1), BookedIntent { status: held(), ..theirs(1) }),
        ["the authorisation is still open, and the trip is over"]
    );
    assert_eq!(
        said(OurPayment { currency: "EUR".to_owned(), ..ours(1) }, theirs(1)),
        ["in EUR here, in USD at the provider"]
    );
}

#[test]
fn both_sides_must_know_of_it() {
    let lost = compare(&[ours(1)], &[]);
    assert_eq!(lost.len(), 1);
    assert_eq!((lost[0].payment_id, lost[0].intent_id.as_deref()), (Some(id(1)), Some("pi_1")));

    let strange = compare(&[], &[theirs(1), BookedIntent { payment_id: None, ..theirs(2) }]);
    assert_eq!(strange.len(), 2);
    assert!(strange.iter().all(|difference| difference.trip_id.is_none()));
}

#[test]
fn what_is_under_way_is_not_judged() {
    let under_way = OurPayment { settled: false, ..ours(1) };
    assert_eq!(said(under_way.clone(), BookedIntent { amount_received: 7, status: held(), ..theirs(1) }), [""; 0]);
    assert_eq!(compare(&[under_way], &[]), []);
}

#[test]
fn a_second_intent_of_a_payment_counts_if_there_is_money_on_it() {
    let second = BookedIntent { id: "pi_other".to_owned(), amount_received: 0, ..theirs(1) };
    assert_eq!(compare(&[ours(1)], &[theirs(1), second.clone()]), []);
    let with_money = BookedIntent { status: held(), ..second };
    assert_eq!(compare(&[ours(1)], &[theirs(1), with_money]).len(), 1);
}

#[test]
fn a_difference_stands_only_if_our_side_did_not_move() {
    let refunded_meanwhile = BookedIntent { amount_refunded: 100, ..theirs(1) };
    let differences = compare(&[ours(1)], &[refunded_meanwhile]);
    assert_eq!(confirm(differences.clone(), &[ours(1)], &[ours(1)]), differences);

    let moved = OurPayment { refunded: 100, version: 6, ..ours(1) };
    assert_eq!(confirm(differences.clone(), &[ours(1)], &[moved]), []);
    let busy = OurPayment { settled: false, ..ours(1) };
    assert_eq!(confirm(differences, &[ours(1)], &[busy]), []);
}

#[test]
fn an_intent_younger_than_our_snapshot_is_no_difference() {
    let differences = compare(&[], &[theirs(1)]);
    assert_eq!(confirm(differences.clone(), &[], &[ours(1)]), []);
    assert_eq!(confirm(differences, &[], &[]).len(), 1);
}

#[test]
fn sums_are_kept_by_currency_and_never_wrap() {
    let all = sums([("USD", 1), ("EUR", 2), ("USD", 3)].into_iter());
    assert_eq!(all, Sums::from([("EUR".to_owned(), 2), ("USD".to_owned(), 4)]));
    assert_eq!(sums([("USD", i64::MAX), ("USD", 1)].into_iter())["USD"], i64::MAX);
}
