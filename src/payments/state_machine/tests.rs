mod ended;

use std::fmt::Write;

use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::payments::model::{PaymentPurpose, Refund, RefundState};
use crate::platform::money::{Currency, Money};

const AMOUNT: i64 = 1_000;
const GOALS: [Goal; 3] = [Goal::Hold, Goal::Capture(700), Goal::Release];

pub(super) fn payment(state: PaymentState, goal: Goal) -> Payment {
    let is_authorized = !matches!(state, PaymentState::Authorizing | PaymentState::Declined);
    Payment {
        id: Uuid::from_u128(1).into(),
        trip_id: Uuid::from_u128(2).into(),
        rider_id: Uuid::from_u128(3).into(),
        driver_id: None,
        replaces: None,
        purpose: PaymentPurpose::Fare,
        state,
        goal,
        amount: Money::new(AMOUNT, Currency::USD),
        authorized: if is_authorized { AMOUNT } else { 0 },
        captured: if state == PaymentState::Captured { 700 } else { 0 },
        refund_reserved: 0,
        refunded: 0,
        method: "pm_card_visa".to_owned(),
        provider_intent_id: Some("pi_1".to_owned()),
        decline_code: None,
        dispute: None,
        needs_review: None,
        failures: 3,
        lease_token: 1,
        version: 1,
        trace_id: None,
    }
}

fn snapshot(status: IntentStatus) -> IntentSnapshot {
    IntentSnapshot {
        status,
        capturable: if status == IntentStatus::Authorized { AMOUNT } else { 0 },
        received: if status == IntentStatus::Succeeded { 700 } else { 0 },
        decline_code: (status == IntentStatus::MethodRefused).then(|| "insufficient_funds".to_owned()),
    }
}

fn refused(snapshot: Option<IntentSnapshot>) -> IntentObservation {
    IntentObservation::Refused { code: "the_code".to_owned(), snapshot }
}

fn all_observations() -> Vec<(String, IntentObservation)> {
    let of = |status| (format!("{status:?}"), IntentObservation::Snapshot(snapshot(status)));
    let refused_and = |status| (format!("refused, {status:?}"), refused(Some(snapshot(status))));
    let special = [
        (
            "all captured",
            IntentObservation::Snapshot(IntentSnapshot { received: AMOUNT, ..snapshot(IntentStatus::Succeeded) }),
        ),
        (
            "too much captured",
            IntentObservation::Snapshot(IntentSnapshot { received: AMOUNT + 1, ..snapshot(IntentStatus::Succeeded) }),
        ),
        (
            "half captured",
            IntentObservation::Snapshot(IntentSnapshot { received: 350, ..snapshot(IntentStatus::Succeeded) }),
        ),
        (
            "half reserved",
            IntentObservation::Snapshot(IntentSnapshot { capturable: 500, ..snapshot(IntentStatus::Authorized) }),
        ),
        ("refused", refused(None)),
        ("absent", IntentObservation::Absent),
    ];
    let rejected_and = |status| {
        let observation = IntentObservation::Rejected { code: "the_code".to_owned(), snapshot: snapshot(status) };
        (format!("rejected, {status:?}"), observation)
    };
    let plain = IntentStatus::ALL.into_iter().map(of);
    let refusals = IntentStatus::ALL.into_iter().map(refused_and);
    let rejections = IntentStatus::ALL.into_iter().map(rejected_and);
    plain
        .chain(refusals)
        .chain(rejections)
        .chain(special.map(|(name, observation)| (name.to_owned(), observation)))
        .collect()
}

/// Describes how `after` differs from `before`.
pub(super) fn difference(before: &Payment, after: &Payment) -> String {
    let mut text = if after.state == before.state { "=".to_owned() } else { after.state.as_str().to_owned() };
    let mut note = |what: &str, changed: bool, value: String| {
        if changed {
            let _ = write!(text, ", {what} {value}");
        }
    };
    note("authorized", after.authorized != before.authorized, after.authorized.to_string());
    note("captured", after.captured != before.captured, after.captured.to_string());
    note("refund", after.refund_reserved != before.refund_reserved, after.refund_reserved.to_string());
    note("because", after.decline_code != before.decline_code, after.decline_code.clone().unwrap_or_default());
    note("NEEDS REVIEW", after.needs_review.is_some(), after.needs_review.clone().unwrap_or_default());
    text
}

/// Returns a payment for each state and goal. `authorizing` has two more: without an intent, and with a pending cancellation.
pub(super) fn payments() -> Vec<(String, Payment)> {
    let mut all = Vec::new();
    for goal in GOALS {
        for state in PaymentState::ALL {
            let name = format!("{state} to {}", goal.kind());
            let plain = payment(state, goal);
            if state == PaymentState::Authorizing {
                let without_intent = Payment { provider_intent_id: None, ..plain.clone() };
                let pending_cancellation =
                    Payment { decline_code: Some("requires_action".to_owned()), ..plain.clone() };
                all.extend([
                    (format!("{name}, without intent"), without_intent),
                    (format!("{name}, pending cancellation"), pending_cancellation),
                ]);
            }
            all.push((name, plain));
        }
    }
    all
}

#[test]
fn grid_of_observations_by_state() {
    let mut grid = String::new();
    for (name, before) in payments() {
        let _ = writeln!(grid, "{name}");
        if before.state.is_terminal() {
            let is_unchanged = all_observations().iter().all(|(_, one)| observe(&before, one) == before);
            let _ = writeln!(grid, "    {:<28}{}", "anything", if is_unchanged { "=" } else { "CHANGES" });
            continue;
        }
        for (observation_name, observation) in all_observations() {
            let after = observe(&before, &observation);
            let _ = writeln!(grid, "    {observation_name:<28}{}", difference(&before, &after));
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn conclusive_answer_resets_failures_and_review() {
    let failing = Payment {
        failures: 12,
        needs_review: Some("12 calls in a row without a result".to_owned()),
        ..payment(PaymentState::Authorizing, Goal::Hold)
    };
    let authorized = observe(&failing, &IntentObservation::Snapshot(snapshot(IntentStatus::Authorized)));
    assert_eq!((authorized.state, authorized.failures, authorized.needs_review), (PaymentState::Authorized, 0, None));
    // The intent is created anew. That may repeat, so the count of failures stays.
    let absent = observe(&Payment { provider_intent_id: None, ..failing }, &IntentObservation::Absent);
    assert_eq!((absent.state, absent.failures, absent.needs_review), (PaymentState::Authorizing, 12, None));
}

#[test]
fn refused_method_has_the_reason_of_the_bank_before_the_providers() {
    let refused_because = |decline_code: Option<&str>| {
        let snapshot =
            IntentSnapshot { decline_code: decline_code.map(str::to_owned), ..snapshot(IntentStatus::MethodRefused) };
        observe(&payment(PaymentState::Authorizing, Goal::Hold), &refused(Some(snapshot))).decline_code
    };
    assert_eq!(refused_because(Some("insufficient_funds")).as_deref(), Some("insufficient_funds"));
    assert_eq!(refused_because(None).as_deref(), Some("the_code"));
}

#[test]
fn grid_of_goals_by_state() {
    let mut grid = String::new();
    for (name, before) in payments() {
        let [hold, capture, release] = GOALS.map(|goal| set_goal(&before, goal).map_or("✗", PaymentState::as_str));
        let _ = writeln!(grid, "{name:<44}hold: {hold:<16}capture: {capture:<16}release: {release}");
    }
    insta::assert_snapshot!(grid);
}

fn at_s(seconds: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(seconds, 0).expect("in range"))
}

fn unresolved(answered: bool, since: MachineTime) -> UnresolvedAttempt {
    UnresolvedAttempt { key: "key".to_owned(), answered, since, last: since + TimeDelta::minutes(5) }
}

#[test]
fn grid_of_next_steps_by_payment_state() {
    let now = at_s(1_000_000);
    let open = [
        ("nothing unresolved", None),
        ("unanswered", Some(unresolved(false, now))),
        ("answered", Some(unresolved(true, now))),
        ("unanswered for 23 h", Some(unresolved(false, now - KEY_LIFETIME))),
    ];
    let mut grid = String::new();
    for (name, payment) in payments() {
        let _ = writeln!(grid, "{name}");
        for (open_name, open) in &open {
            let _ = writeln!(grid, "    {open_name:<24}{:?}", next(&payment, open.as_ref(), now));
        }
    }
    insta::assert_snapshot!(grid);
}

pub(super) fn refund(state: RefundState, provider_refund_id: Option<String>) -> Refund {
    Refund {
        id: Uuid::from_u128(1).into(),
        payment_id: Uuid::from_u128(2).into(),
        trip_id: Uuid::from_u128(3).into(),
        provider_intent_id: Some("pi_1".to_owned()),
        amount: 1,
        state,
        provider_refund_id,
        failure_code: None,
        needs_review: None,
        failures: 0,
        allow_new_key: false,
        lease_token: 1,
        trace_id: None,
    }
}

#[test]
fn grid_of_next_steps_by_refund_state() {
    let now = at_s(1_000_000);
    let open = [
        ("nothing unresolved", None),
        ("unanswered", Some(unresolved(false, now))),
        ("answered", Some(unresolved(true, now))),
        ("answered 23 h ago", Some(unresolved(true, now - KEY_LIFETIME))),
    ];
    let mut grid = String::new();
    for state in RefundState::ALL {
        for provider_refund_id in [None, Some("re_1".to_owned())] {
            let _ = writeln!(grid, "{}, {provider_refund_id:?}", state.as_str());
            let refund = refund(state, provider_refund_id);
            let allowed = Refund { allow_new_key: true, ..refund.clone() };
            for (name, open) in &open {
                let [plain, allowed] = [&refund, &allowed].map(|refund| refund::next(refund, open.as_ref(), now));
                let _ = writeln!(grid, "    {name:<24}{:<32}new key allowed: {allowed:?}", format!("{plain:?}"));
            }
        }
    }
    insta::assert_snapshot!(grid);
}

/// Failures schedule a retry. A refund that waits for nothing has none, or its row could not be saved.
#[test]
fn refund_observation_that_leads_to_no_step_clears_failures() {
    use refund::{IfUnlisted, ProviderRefundStatus as Status, RefundObservation as Seen, RefundStep as Step};

    let before = Refund { failures: 3, ..refund(RefundState::Pending, None) };
    let snapshot = |status| Seen::Snapshot { id: "re_1".to_owned(), status };
    let failed = Status::Failed { code: "lost".to_owned() };
    let key = || "key".to_owned();
    for observation in [
        snapshot(Status::Pending),
        snapshot(Status::Succeeded),
        snapshot(failed),
        Seen::Refused("charge_disputed".to_owned()),
        Seen::Unlisted,
        Seen::NoIntent,
    ] {
        for step in [
            Step::RecordNoIntent,
            Step::Send(None),
            Step::Send(Some(key())),
            Step::Find(IfUnlisted::ResendSameKey(key())),
            Step::Find(IfUnlisted::SendNewKey),
            Step::Find(IfUnlisted::Review),
            Step::LookUp("re_1".to_owned()),
        ] {
            let (after, next) = refund::observe(&before, &step, &observation);
            assert!(next.is_some() || after.failures == 0, "{observation:?} after {step:?}: {after:?}");
        }
    }
}

#[test]
fn grid_of_replacements_by_state() {
    let mut grid = String::new();
    for (name, plain) in payments() {
        let of = |payment: &Payment| replacement(payment).map_or("-".to_owned(), |goal| format!("{goal:?}"));
        let second = Payment { replaces: Some(Uuid::from_u128(9).into()), ..plain.clone() };
        let tip = Payment { purpose: PaymentPurpose::Tip, ..plain.clone() };
        let _ = writeln!(grid, "{name:<44}{:<16}second: {:<10}tip: {}", of(&plain), of(&second), of(&tip));
    }
    insta::assert_snapshot!(grid);
}

fn any_observation() -> impl Strategy<Value = IntentObservation> {
    let status = prop::sample::select(IntentStatus::ALL.to_vec());
    let snapshot = (status, 0..=AMOUNT + 1, 0..=AMOUNT + 1).prop_map(|(status, capturable, received)| IntentSnapshot {
        status,
        capturable,
        received,
        decline_code: None,
    });
    prop_oneof![
        4 => snapshot.clone().prop_map(IntentObservation::Snapshot),
        2 => prop::option::of(snapshot).prop_map(refused),
        1 => Just(IntentObservation::Absent),
    ]
}

/// A sequence of observations, and of goals that the trip sets.
fn any_history() -> impl Strategy<Value = Vec<Result<IntentObservation, Goal>>> {
    let goal = prop::sample::select(GOALS.to_vec());
    prop::collection::vec(prop_oneof![3 => any_observation().prop_map(Ok), 1 => goal.prop_map(Err)], 0..12)
}

proptest! {
    #[test]
    fn terminal_state_never_changes_and_amounts_stay_within_bounds(
        history in any_history(),
        is_known: bool,
        goal in prop::sample::select(GOALS.to_vec()),
    ) {
        let mut now = payment(PaymentState::Authorizing, goal);
        now.provider_intent_id = now.provider_intent_id.filter(|_| is_known);
        for event in history {
            let before = now.clone();
            now = match event {
                Ok(observation) => observe(&before, &observation),
                Err(goal) => match set_goal(&before, goal) {
                    Ok(state) => Payment { state, goal, ..before.clone() },
                    Err(GoalRefused) => before.clone(),
                },
            };
            if before.state.is_terminal() {
                prop_assert_eq!(&now, &before);
            }
            prop_assert!(now.authorized <= AMOUNT);
            prop_assert!(now.captured <= now.authorized);
            prop_assert!((0..=now.captured).contains(&now.refund_reserved));
            prop_assert_eq!(now.captured > 0, now.state == PaymentState::Captured);
        }
    }

    #[test]
    fn repeated_observation_changes_nothing(history in any_history(), last in any_observation()) {
        let mut now = payment(PaymentState::Authorizing, Goal::Hold);
        for event in history {
            now = match event {
                Ok(observation) => observe(&now, &observation),
                Err(goal) => match set_goal(&now, goal) {
                    Ok(state) => Payment { state, goal, ..now },
                    Err(GoalRefused) => now,
                },
            };
        }
        let once = observe(&now, &last);
        prop_assert_eq!(observe(&once, &last), once);
    }

    #[test]
    fn payment_with_an_intent_ends_only_after_the_intent(history in any_history(), goal in prop::sample::select(GOALS.to_vec())) {
        let mut now = payment(PaymentState::Authorizing, goal);
        for event in history {
            let before = now.clone();
            now = match &event {
                Ok(observation) => observe(&before, observation),
                Err(goal) => match set_goal(&before, *goal) {
                    Ok(state) => Payment { state, goal: *goal, ..before.clone() },
                    Err(GoalRefused) => before.clone(),
                },
            };
            if now.state.is_terminal() && !before.state.is_terminal() {
                let status = match event {
                    Ok(IntentObservation::Snapshot(it) | IntentObservation::Refused { snapshot: Some(it), .. }) => it.status,
                    other => return Err(TestCaseError::fail(format!("ended by {other:?}"))),
                };
                prop_assert!(matches!(status, IntentStatus::Canceled | IntentStatus::Succeeded), "ended while {status:?}");
            }
        }
    }

    #[test]
    fn released_payment_keeps_no_money(history in prop::collection::vec(any_observation(), 0..12)) {
        let mut now = payment(PaymentState::Authorizing, Goal::Release);
        for observation in history {
            now = observe(&now, &observation);
            prop_assert!(!matches!(now.state, PaymentState::Authorized | PaymentState::Capturing));
            prop_assert_eq!(now.captured, now.refund_reserved);
        }
    }
}
