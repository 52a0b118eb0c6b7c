use std::fmt::Write;

use super::*;
use crate::payments::model::PaymentPurpose;
use crate::payments::state_machine::tests::{difference, payment, payments, refund};

/// Describes the effect of a decision on a payment.
fn decided(before: &Payment, action: ResolveAction) -> String {
    use PaymentResolution::{Close, Replace, Retry};
    let decision = super::payment(before, action);
    if let Ok(Retry(after) | Replace(after, _) | Close(after, _)) = &decision {
        assert_eq!((after.failures, &after.needs_review), (0, &None), "a decision resets failures and review");
    }
    match decision {
        Ok(Retry(after)) => format!("due, {}", difference(before, &after)),
        Ok(Replace(after, amount)) => format!("{}, new payment of {amount}", difference(before, &after)),
        Ok(Close(after, amount)) => format!("{}, writes off {amount}", difference(before, &after)),
        Err(NotResolvable(why)) => format!("✗ {why}"),
    }
}

#[test]
fn grid_of_decisions_by_payment_state() {
    use ResolveAction::{Close, Retry};
    assert_eq!(["retry", "close", "wait"].map(ResolveAction::parse), [Some(Retry), Some(Close), None]);
    let mut grid = String::new();
    for (name, plain) in payments() {
        let waiting = Payment { needs_review: Some("why".to_owned()), failures: 0, ..plain.clone() };
        let calls_continue = Payment { failures: 12, ..waiting.clone() };
        let tip = Payment { purpose: PaymentPurpose::Tip, ..waiting.clone() };
        assert!(ResolveAction::ALL.iter().all(|action| super::payment(&plain, *action).is_err()), "{name}");
        let _ = writeln!(grid, "{name}");
        for (kind, payment) in [("waiting", waiting), ("calling", calls_continue), ("waiting, tip", tip)] {
            let [retry, close] = ResolveAction::ALL.map(|action| decided(&payment, action));
            let _ = writeln!(grid, "    {kind:<14}retry: {retry}\n    {:<14}close: {close}", "");
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn grid_of_decisions_by_refund_state() {
    use RefundResolution::{Close, Fail, Replace, Retry};
    let decide = |refund: &Refund, action, is_answered| {
        let decision = super::refund(refund, action, is_answered);
        if let Ok(Retry(after) | Replace(after) | Fail(after) | Close(after)) = &decision {
            assert_eq!((after.failures, &after.needs_review), (0, &None), "a decision resets failures and review");
        }
        match decision {
            Ok(Retry(after)) if after.allow_new_key => "due, new key allowed".to_owned(),
            Ok(Retry(_)) => "due, same key".to_owned(),
            Ok(Replace(after)) => format!("{}, new refund", after.state),
            Ok(Fail(after)) => format!("{}, amount freed", after.state),
            Ok(Close(after)) => format!("{}, closed", after.state),
            Err(NotResolvable(why)) => format!("✗ {why}"),
        }
    };
    let mut grid = String::new();
    for state in RefundState::ALL {
        for (failures, is_answered) in [(0, false), (0, true), (12, false), (12, true)] {
            let refund = Refund { needs_review: Some("why".to_owned()), failures, ..refund(state, None) };
            let no_review = Refund { needs_review: None, ..refund.clone() };
            let answered = if is_answered { "answered" } else { "unanswered" };
            let _ = writeln!(grid, "{}, {failures} failures, {answered}", state.as_str());
            for action in ResolveAction::ALL {
                assert!(super::refund(&no_review, action, is_answered).is_err());
                let _ = writeln!(grid, "    {}: {}", action.as_str(), decide(&refund, action, is_answered));
            }
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn retry_of_a_partly_captured_payment_is_refused() {
    let half = Payment {
        captured: 350,
        needs_review: Some("why".to_owned()),
        ..payment(PaymentState::Captured, Goal::Capture(700))
    };
    let [retry, close] = ResolveAction::ALL.map(|action| decided(&half, action));
    assert_eq!(retry, "✗ a part of it was captured, and a payment is captured once; the rest can be closed");
    assert_eq!(close, "=, writes off 350");
}

#[test]
fn closed_pending_refund_has_the_failure_code_of_an_operator() {
    let waiting = Refund { needs_review: Some("why".to_owned()), ..refund(RefundState::Pending, None) };
    let Ok(RefundResolution::Fail(after)) = super::refund(&waiting, ResolveAction::Close, true) else {
        panic!("no calls continue")
    };
    assert_eq!(after.failure_code.as_deref(), Some("closed_by_an_operator"));
}
