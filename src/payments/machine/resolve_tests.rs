use std::fmt::Write;

use super::*;
use crate::payments::machine::tests::{payment, payments, refund, told};
use crate::payments::model::Purpose;

/// What an operator's decision makes of a payment, in a few words.
fn decided(before: &Payment, action: Action) -> String {
    use Resolved::{Again, Asked, Closed};
    let decision = super::payment(before, action);
    if let Ok(Again(after) | Asked(after, _) | Closed(after, _)) = &decision {
        assert_eq!((after.failures, &after.attention), (0, &None), "whoever decides lets it begin anew");
    }
    match decision {
        Ok(Again(after)) => format!("due again, {}", told(before, &after)),
        Ok(Asked(after, amount)) => format!("{}, asks for {amount}", told(before, &after)),
        Ok(Closed(after, amount)) => format!("{}, writes off {amount}", told(before, &after)),
        Err(NotNow(why)) => format!("✗ {why}"),
    }
}

#[test]
fn what_an_operator_may_decide_about_every_payment() {
    use Action::{Close, Retry};
    assert_eq!(["retry", "close", "wait"].map(Action::named), [Some(Retry), Some(Close), None]);
    let mut grid = String::new();
    for (name, plain) in payments() {
        let waits = Payment { attention: Some("why".to_owned()), failures: 0, ..plain.clone() };
        let is_tried = Payment { failures: 12, ..waits.clone() };
        let is_tip = Payment { purpose: Purpose::Tip, ..waits.clone() };
        assert!(Action::ALL.iter().all(|action| super::payment(&plain, *action).is_err()), "{name}");
        let _ = writeln!(grid, "{name}");
        for (kind, payment) in [("waits", waits), ("still tried", is_tried), ("waits, a tip", is_tip)] {
            let [retry, close] = Action::ALL.map(|action| decided(&payment, action));
            let _ = writeln!(grid, "    {kind:<14}retry: {retry}\n    {:<14}close: {close}", "");
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn what_an_operator_may_decide_about_every_refund() {
    use RefundResolved::{Again, Anew, Closed, Freed};
    let decide = |refund: &Refund, action, is_answered| {
        let decision = super::refund(refund, action, is_answered);
        if let Ok(Again(after) | Anew(after) | Freed(after) | Closed(after)) = &decision {
            assert_eq!((after.failures, &after.attention), (0, &None), "whoever decides lets it begin anew");
        }
        match decision {
            Ok(Again(after)) if after.another_key => "due again, under another key".to_owned(),
            Ok(Again(_)) => "due again, under the same key".to_owned(),
            Ok(Anew(after)) => format!("another one, {}", after.state.as_str()),
            Ok(Freed(after)) => format!("{}, freed", after.state.as_str()),
            Ok(Closed(after)) => format!("{}, closed", after.state.as_str()),
            Err(NotNow(why)) => format!("✗ {why}"),
        }
    };
    let mut grid = String::new();
    for &state in RefundState::ALL {
        for (failures, is_answered) in [(0, false), (0, true), (12, false), (12, true)] {
            let refund = Refund { attention: Some("why".to_owned()), failures, ..refund(state, None) };
            let unasked = Refund { attention: None, ..refund.clone() };
            let answered = if is_answered { "answered" } else { "unanswered" };
            let _ = writeln!(grid, "{}, {failures} failures, {answered}", state.as_str());
            for action in Action::ALL {
                assert!(super::refund(&unasked, action, is_answered).is_err());
                let _ = writeln!(grid, "    {}: {}", action.as_str(), decide(&refund, action, is_answered));
            }
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn what_was_taken_in_part_is_not_asked_for_again() {
    let half =
        Payment { captured: 350, attention: Some("why".to_owned()), ..payment(State::Captured, Intent::Capture(700)) };
    let [retry, close] = Action::ALL.map(|action| decided(&half, action));
    assert_eq!(retry, "✗ a part of it was taken, and a payment is taken once; the rest can be closed");
    assert_eq!(close, "=, writes off 350");
}

#[test]
fn a_refund_that_is_given_up_says_by_whom() {
    let waits = Refund { attention: Some("why".to_owned()), ..refund(RefundState::Pending, None) };
    let Ok(RefundResolved::Freed(after)) = super::refund(&waits, Action::Close, true) else {
        panic!("nothing is tried any more")
    };
    assert_eq!(after.failure_code.as_deref(), Some("closed_by_an_operator"));
}
