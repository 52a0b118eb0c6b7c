use super::*;

fn id(n: u128) -> PaymentId {
    PaymentId::from(Uuid::from_u128(n))
}

/// A payment that was captured, of a trip that is settled.
fn ours(n: u128) -> OurPayment {
    OurPayment {
        id: id(n),
        trip_id: TripId::from(Uuid::from_u128(n)),
        intent_id: Some(format!("pi_{n}")),
        state: State::Captured,
        currency: "USD".to_owned(),
        amount: 1_000,
        captured: 1_000,
        trip_total: 1_000,
        version: 5,
        settled: true,
        refunds: vec![],
    }
}

/// A payment that ended without money, or has not got there.
fn unpaid(n: u128, state: State) -> OurPayment {
    OurPayment { state, captured: if state == State::Captured { 1_000 } else { 0 }, trip_total: 0, ..ours(n) }
}

/// The provider's side of `ours(n)`.
fn theirs(n: u128) -> BookedIntent {
    at(n, Stage::Taken)
}

fn at(n: u128, stage: Stage) -> BookedIntent {
    BookedIntent {
        id: format!("pi_{n}"),
        payment_id: Some(id(n)),
        is_marked: true,
        stage,
        status: format!("{stage:?}").to_lowercase(),
        currency: "USD".to_owned(),
        amount: 1_000,
        amount_received: if stage == Stage::Taken { 1_000 } else { 0 },
    }
}

fn books(intents: &[BookedIntent]) -> ProviderBooks {
    ProviderBooks { intents: intents.to_vec(), refunds: vec![] }
}

fn refund(n: u128, state: RefundState) -> OurRefund {
    OurRefund { id: RefundId::from(Uuid::from_u128(n)), provider_id: Some(format!("re_{n}")), amount: 100, state }
}

fn booked(n: u128, stage: RefundStage) -> BookedRefund {
    BookedRefund {
        id: format!("re_{n}"),
        refund_id: Some(RefundId::from(Uuid::from_u128(n))),
        intent_id: Some("pi_1".to_owned()),
        stage,
        amount: 100,
    }
}

/// Kind, subject and rule of each difference.
fn told(differences: &[Difference]) -> Vec<(&'static str, &str, &'static str)> {
    differences.iter().map(|one| (one.kind.as_str(), one.subject.as_str(), one.repair.as_str())).collect()
}

/// What one payment and one intent differ in.
fn of_one(payment: OurPayment, intent: BookedIntent) -> Vec<Difference> {
    compare(&[payment], &books(&[intent]), None)
}

/// What one payment differs in by its refunds.
fn of_refunds(ours_: &[OurRefund], theirs_: &[BookedRefund]) -> Vec<Difference> {
    let payment = OurPayment { refunds: ours_.to_vec(), ..ours(1) };
    compare(&[payment], &ProviderBooks { intents: vec![theirs(1)], refunds: theirs_.to_vec() }, None)
}

#[test]
fn equal_books_have_no_difference() {
    assert_eq!(compare(&[ours(1), ours(2)], &books(&[theirs(2), theirs(1)]), None), []);
    assert_eq!(compare(&[], &books(&[]), None), []);
}

/// Each of our states with each of the provider's, for the payment's own intent and for a second one.
#[test]
fn the_whole_grid() {
    let mut grid = String::new();
    for own in [true, false] {
        grid += if own { "the payment's own intent\n" } else { "a second intent of the payment\n" };
        for state in State::ALL {
            for stage in Stage::ALL {
                let payment = unpaid(1, *state);
                let named = if own { Some("pi_1") } else { Some("pi_0") };
                let payment = OurPayment { intent_id: named.map(str::to_owned), ..payment };
                let found = compare(
                    &[payment],
                    &books(&[at(1, stage), BookedIntent { payment_id: Some(id(1)), ..at(0, Stage::Canceled) }]),
                    None,
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
fn every_figure_is_compared() {
    let found = of_one(ours(1), BookedIntent { amount_received: 900, ..theirs(1) });
    assert_eq!(told(&found), [("amount_differs", "pi_1", "none")]);
    assert_eq!(
        (found[0].figures, found[0].what.as_str()),
        (Some((1_000, 900)), "captured 1000 here, 900 at the provider")
    );

    let found = of_one(ours(1), BookedIntent { amount: 1_100, ..theirs(1) });
    assert_eq!(told(&found), [("amount_differs", "pi_1", "none")]);
    let found = of_one(OurPayment { currency: "EUR".to_owned(), ..ours(1) }, BookedIntent { amount: 1, ..theirs(1) });
    assert_eq!(told(&found), [("currency_differs", "pi_1", "none")], "amounts of two currencies are not compared");
}

#[test]
fn both_sides_must_know_of_it() {
    let lost = compare(&[ours(1)], &books(&[]), None);
    assert_eq!(told(&lost), [("missing_at_provider", "pi_1", "none")]);
    assert_eq!(told(&compare(&[], &books(&[theirs(1)]), None)), [("unknown_to_us", "pi_1", "none")]);
    let nameless = OurPayment { intent_id: None, ..unpaid(1, State::Authorizing) };
    assert_eq!(told(&of_one(nameless, at(1, Stage::Held))), [("intent_missing_here", "pi_1", "none")]);
}

#[test]
fn what_somebody_else_made_is_counted_and_no_difference() {
    let foreign_one = BookedIntent { payment_id: None, is_marked: false, ..at(2, Stage::Held) };
    let theirs_ = books(&[theirs(1), foreign_one.clone()]);
    let foreign = |ours: &[OurPayment]| apart(ours, &theirs_).1.len();
    assert_eq!((compare(&[ours(1)], &theirs_, None), foreign(&[ours(1)])), (vec![], 1));
    // One that a payment of ours names is ours, whatever it says of itself.
    let ours_ = [ours(1), unpaid(2, State::Voided)];
    assert_eq!(told(&compare(&ours_, &theirs_, None)), [("held_there_trip_over", "pi_2", "cancel_intent")]);
    assert_eq!(foreign(&ours_), 0);
    // One whose mark was spoilt was ours once.
    let spoilt = books(&[BookedIntent { is_marked: true, ..foreign_one }]);
    assert_eq!(told(&compare(&[], &spoilt, None)), [("unknown_to_us", "pi_2", "none")]);
}

#[test]
fn what_is_under_way_is_not_judged() {
    let under_way = OurPayment { settled: false, ..ours(1) };
    assert_eq!(of_one(under_way.clone(), at(1, Stage::Held)), []);
    assert_eq!(compare(&[under_way], &books(&[]), None), []);
}

#[test]
fn a_hold_is_released_only_if_nobody_may_want_the_money() {
    let held = |payment| told(&of_one(payment, at(1, Stage::Held)))[0].2;
    assert_eq!(held(unpaid(1, State::Voided)), "cancel_intent");
    assert_eq!(held(unpaid(1, State::Authorized)), "release");
    assert_eq!(held(OurPayment { trip_total: 700, ..unpaid(1, State::Authorized) }), "none");
    assert_eq!(held(OurPayment { trip_total: 700, ..unpaid(1, State::CaptureFailed) }), "none");
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
        (Here::Succeeded, There::Failed, Some("none")),
        (Here::Succeeded, There::Pending, Some("none")),
        (Here::Failed, There::Succeeded, Some("none")),
    ];
    for (here, there, rule) in cases {
        let found = of_refunds(&[refund(1, here)], &[booked(1, there)]);
        let expected: Vec<_> = rule.map(|rule| ("refund_state_differs", "re_1", rule)).into_iter().collect();
        assert_eq!(told(&found), expected, "{here:?} here, {there:?} there");
    }
    let nameless = OurRefund { provider_id: None, ..refund(1, Here::Pending) };
    let found = of_refunds(std::slice::from_ref(&nameless), &[booked(1, There::Succeeded)]);
    assert_eq!(told(&found), [("refund_state_differs", "re_1", "adopt_refund")]);
    assert_eq!(found[0].refund_id, Some(nameless.id));
    assert_eq!(of_refunds(&[nameless], &[]), [], "it was not made yet");

    let other = BookedRefund { amount: 90, ..booked(1, There::Succeeded) };
    assert_eq!(told(&of_refunds(&[refund(1, Here::Succeeded)], &[other])), [("refund_amount_differs", "re_1", "none")]);
    assert_eq!(told(&of_refunds(&[refund(1, Here::Succeeded)], &[])), [("refund_missing_there", "re_1", "none")]);
    assert_eq!(told(&of_refunds(&[], &[booked(1, There::Pending)])), [("refund_missing_here", "re_1", "adopt_refund")]);
    assert_eq!(of_refunds(&[], &[booked(1, There::Failed)]), [], "no money went back");
    // Two of theirs for one of ours: money went back twice.
    let twice = [booked(1, There::Succeeded), BookedRefund { id: "re_2".to_owned(), ..booked(1, There::Succeeded) }];
    assert_eq!(
        told(&of_refunds(&[refund(1, Here::Succeeded)], &twice)),
        [("refund_missing_here", "re_2", "adopt_refund")]
    );
}

#[test]
fn a_difference_stands_only_if_our_side_did_not_move() {
    let differences = of_one(ours(1), BookedIntent { amount_received: 900, ..theirs(1) });
    assert_eq!(confirm(differences.clone(), &[ours(1)], &[ours(1)]), differences);
    let moved = OurPayment { version: 6, ..ours(1) };
    assert_eq!(confirm(differences.clone(), &[ours(1)], &[moved]), []);
    let refunded = OurPayment { refunds: vec![refund(1, RefundState::Pending)], ..ours(1) };
    assert_eq!(confirm(differences.clone(), &[ours(1)], &[refunded]), []);
    let busy = OurPayment { settled: false, ..ours(1) };
    assert_eq!(confirm(differences, &[ours(1)], &[busy]), []);
}

#[test]
fn an_intent_younger_than_our_snapshot_is_no_difference() {
    let differences = compare(&[], &books(&[theirs(1)]), None);
    assert_eq!(confirm(differences.clone(), &[], &[ours(1)]), []);
    assert_eq!(confirm(differences, &[], &[]).len(), 1);
}

#[test]
fn a_recent_run_passes_over_intents_of_older_payments() {
    let found = compare(&[ours(9)], &books(&[theirs(1), theirs(7), theirs(9)]), Some(id(5)));
    assert_eq!(told(&found), [("unknown_to_us", "pi_7", "none")]);
}
