//! What ends a hold, and what changes after the end: disputes, and refunds that fail later.

use super::*;

/// The mistake of one request is no reason to give up the money: only the intent's own state is.
#[test]
fn rejected_call_ends_no_hold() {
    for (state, goal) in [(PaymentState::Capturing, Goal::Capture(700)), (PaymentState::Voiding, Goal::Release)] {
        let before = payment(state, goal);
        let held = IntentObservation::Rejected { code: "c".to_owned(), snapshot: snapshot(IntentStatus::Authorized) };
        let after = observe(&before, &held);
        assert_eq!((after.state, &after.decline_code), (state, &None));
        assert_eq!(next(&after, None, at_s(0)), next(&before, None, at_s(0)), "the same call is repeated");
    }
}

#[test]
fn change_of_a_dispute_needs_review_once() {
    let captured = payment(PaymentState::Captured, Goal::Capture(700));
    let of = |payment: &Payment, dispute| observe(payment, &IntentObservation::Disputes(dispute));
    assert_eq!(of(&captured, None), Payment { failures: 0, ..captured.clone() });

    let open = of(&captured, Some(DisputeState::Open));
    assert_eq!((open.dispute, open.open_dispute()), (Some(DisputeState::Open), Some(DisputeState::Open)));
    assert!(open.needs_review.as_ref().is_some_and(|reason| reason.contains("disputed")), "{open:?}");
    let closed = Payment { needs_review: None, ..open };
    assert_eq!(of(&closed, Some(DisputeState::Open)), closed, "an operator has confirmed it");
    assert_eq!(of(&closed, None), closed, "the provider does not list it any more");

    let won = of(&closed, Some(DisputeState::Won));
    assert_eq!((won.open_dispute(), won.needs_review.is_some()), (None, true));
    let lost = of(&closed, Some(DisputeState::Lost));
    assert_eq!((lost.open_dispute(), lost.needs_review.is_some()), (Some(DisputeState::Lost), true));

    let short = Payment { needs_review: Some("700 captured, 800 wanted".to_owned()), ..captured };
    let both = of(&short, Some(DisputeState::Open)).needs_review.unwrap_or_default();
    assert!(both.starts_with("700 captured, 800 wanted; ") && both.contains("disputed"), "{both}");
}

#[test]
fn charge_with_several_disputes_has_the_most_severe_state() {
    use DisputeState::{Lost, Open, Won};
    for (disputes, expected) in [(&[][..], None), (&[Won, Lost, Open], Some(Open)), (&[Won, Lost], Some(Lost))] {
        assert_eq!(DisputeState::most_severe(disputes.iter().copied()), expected);
    }
}

/// Every state of a refund with every status at the provider.
#[test]
fn grid_of_refund_states_by_status() {
    use refund::{ProviderRefundStatus as Status, RefundObservation, RefundStep};
    let mut grid = String::new();
    for state in RefundState::ALL {
        for status in [Status::Pending, Status::Succeeded, Status::Failed { code: "lost_card".to_owned() }] {
            let before = refund(state, Some("re_1".to_owned()));
            let step = RefundStep::LookUp("re_1".to_owned());
            let seen = RefundObservation::Snapshot { id: "re_1".to_owned(), status: status.clone() };
            let (after, _) = refund::observe(&before, &step, &seen);
            let review = after.needs_review.unwrap_or_default();
            let _ = writeln!(
                grid,
                "{:<12}{:<32}{:<12}{review}",
                state.as_str(),
                format!("{status:?}"),
                after.state.as_str()
            );
        }
    }
    insta::assert_snapshot!(grid);
}
