use std::fmt::Write;

use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::payments::model::{Purpose, Refund, RefundState};
use crate::platform::money::{Currency, Money};

const AMOUNT: i64 = 1_000;
const INTENTS: [Intent; 3] = [Intent::Hold, Intent::Capture(700), Intent::Release];

pub(super) fn payment(state: State, intent: Intent) -> Payment {
    let is_authorized = !matches!(state, State::Authorizing | State::Declined);
    Payment {
        id: Uuid::from_u128(1).into(),
        trip_id: Uuid::from_u128(2).into(),
        rider_id: Uuid::from_u128(3).into(),
        driver_id: None,
        replaces: None,
        purpose: Purpose::Fare,
        state,
        intent,
        amount: Money::new(AMOUNT, Currency::USD),
        authorized: if is_authorized { AMOUNT } else { 0 },
        captured: if state == State::Captured { 700 } else { 0 },
        refund_reserved: 0,
        refunded: 0,
        method: "pm_card_visa".to_owned(),
        provider_intent_id: Some("pi_1".to_owned()),
        decline_code: None,
        attention: None,
        failures: 3,
        lease_token: 1,
        version: 1,
    }
}

fn seen(status: Status) -> Seen {
    Seen {
        status,
        capturable: if status == Status::Authorized { AMOUNT } else { 0 },
        received: if status == Status::Succeeded { 700 } else { 0 },
        decline_code: (status == Status::MethodRefused).then(|| "insufficient_funds".to_owned()),
    }
}

fn refused(seen: Option<Seen>) -> News {
    News::Refused { code: "the_code".to_owned(), seen }
}

fn all_news() -> Vec<(String, News)> {
    let of = |status| (format!("{status:?}"), News::Seen(seen(status)));
    let refused_and = |status| (format!("refused, {status:?}"), refused(Some(seen(status))));
    let oddities = [
        ("all taken", News::Seen(Seen { received: AMOUNT, ..seen(Status::Succeeded) })),
        ("too much taken", News::Seen(Seen { received: AMOUNT + 1, ..seen(Status::Succeeded) })),
        ("half taken", News::Seen(Seen { received: 350, ..seen(Status::Succeeded) })),
        ("half reserved", News::Seen(Seen { capturable: 500, ..seen(Status::Authorized) })),
        ("refused", refused(None)),
        ("absent", News::Absent),
    ];
    let plain = Status::ALL.into_iter().map(of);
    let refusals = Status::ALL.into_iter().map(refused_and);
    plain.chain(refusals).chain(oddities.map(|(name, news)| (name.to_owned(), news))).collect()
}

/// A payment in a few words: what differs from how it was.
pub(super) fn told(before: &Payment, after: &Payment) -> String {
    let mut text = if after.state == before.state { "=".to_owned() } else { after.state.as_str().to_owned() };
    let mut note = |what: &str, changed: bool, value: String| {
        if changed {
            let _ = write!(text, ", {what} {value}");
        }
    };
    note("authorized", after.authorized != before.authorized, after.authorized.to_string());
    note("captured", after.captured != before.captured, after.captured.to_string());
    note("refund due", after.refund_reserved != before.refund_reserved, after.refund_reserved.to_string());
    note("because", after.decline_code != before.decline_code, after.decline_code.clone().unwrap_or_default());
    note("ATTENTION", after.attention.is_some(), after.attention.clone().unwrap_or_default());
    text
}

/// The states of a payment, and the two that `authorizing` has besides: nobody knows it yet, and it is about to be declined.
pub(super) fn payments() -> Vec<(String, Payment)> {
    let mut all = Vec::new();
    for intent in INTENTS {
        for &state in State::ALL {
            let name = format!("{} to {}", state.as_str(), intent.as_str());
            let plain = payment(state, intent);
            if state == State::Authorizing {
                let unasked = Payment { provider_intent_id: None, ..plain.clone() };
                let doomed = Payment { decline_code: Some("requires_action".to_owned()), ..plain.clone() };
                all.extend([(format!("{name}, not made yet"), unasked), (format!("{name}, doomed"), doomed)]);
            }
            all.push((name, plain));
        }
    }
    all
}

#[test]
fn what_the_provider_says_to_every_state() {
    let mut grid = String::new();
    for (name, before) in payments() {
        let _ = writeln!(grid, "{name}");
        if before.state.is_terminal() {
            let unmoved = all_news().iter().all(|(_, news)| learn(&before, news) == before);
            let _ = writeln!(grid, "    {:<28}{}", "anything", if unmoved { "=" } else { "CHANGES" });
            continue;
        }
        for (news_name, news) in all_news() {
            let after = learn(&before, &news);
            let _ = writeln!(grid, "    {news_name:<28}{}", told(&before, &after));
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn an_answer_ends_what_troubled_the_calls_before_it() {
    let troubled = Payment {
        failures: 12,
        attention: Some("no use of 12 calls in a row".to_owned()),
        ..payment(State::Authorizing, Intent::Hold)
    };
    let authorized = learn(&troubled, &News::Seen(seen(Status::Authorized)));
    assert_eq!((authorized.state, authorized.failures, authorized.attention), (State::Authorized, 0, None));
    // It is asked for anew, which may go on for a while: whoever counts the failures goes on counting.
    let absent = learn(&Payment { provider_intent_id: None, ..troubled }, &News::Absent);
    assert_eq!((absent.state, absent.failures, absent.attention), (State::Authorizing, 12, None));
}

#[test]
fn a_method_is_refused_for_the_banks_reason_or_else_for_the_providers() {
    let refused_because = |decline_code: Option<&str>| {
        let seen = Seen { decline_code: decline_code.map(str::to_owned), ..seen(Status::MethodRefused) };
        learn(&payment(State::Authorizing, Intent::Hold), &refused(Some(seen))).decline_code
    };
    assert_eq!(refused_because(Some("insufficient_funds")).as_deref(), Some("insufficient_funds"));
    assert_eq!(refused_because(None).as_deref(), Some("the_code"));
}

#[test]
fn what_the_trip_wants_of_every_state() {
    let mut grid = String::new();
    for (name, before) in payments() {
        let [hold, capture, release] = INTENTS.map(|wish| want(&before, wish).map_or("✗", State::as_str));
        let _ = writeln!(grid, "{name:<40}hold: {hold:<16}capture: {capture:<16}release: {release}");
    }
    insta::assert_snapshot!(grid);
}

fn at_s(seconds: i64) -> MachineTime {
    MachineTime::new(DateTime::from_timestamp(seconds, 0).expect("in range"))
}

fn unresolved(answered: bool, since: MachineTime) -> Unresolved {
    Unresolved { key: "key".to_owned(), answered, since }
}

#[test]
fn what_the_worker_does_next_in_every_state() {
    let now = at_s(1_000_000);
    let open = [
        ("nothing unresolved", None),
        ("unanswered", Some(unresolved(false, now))),
        ("answered", Some(unresolved(true, now))),
        ("unanswered for 23 h", Some(unresolved(false, now - KEY_USED_FOR))),
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
        amount: 1,
        state,
        provider_refund_id,
        failure_code: None,
        attention: None,
        failures: 0,
        another_key: false,
        lease_token: 1,
    }
}

#[test]
fn what_the_worker_does_next_for_every_refund() {
    let now = at_s(1_000_000);
    let open = [
        ("nothing unresolved", None),
        ("unanswered", Some(unresolved(false, now))),
        ("answered", Some(unresolved(true, now))),
        ("answered 23 h ago", Some(unresolved(true, now - KEY_USED_FOR))),
    ];
    let mut grid = String::new();
    for &state in RefundState::ALL {
        for provider_refund_id in [None, Some("re_1".to_owned())] {
            let _ = writeln!(grid, "{}, {provider_refund_id:?}", state.as_str());
            let refund = refund(state, provider_refund_id);
            let allowed = Refund { another_key: true, ..refund.clone() };
            for (name, open) in &open {
                let [plain, allowed] = [&refund, &allowed].map(|refund| refund::next(refund, open.as_ref(), now));
                let _ = writeln!(grid, "    {name:<24}{:<32}another key allowed: {allowed:?}", format!("{plain:?}"));
            }
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn what_takes_the_place_of_a_payment_that_has_ended() {
    let mut grid = String::new();
    for (name, plain) in payments() {
        let of = |payment: &Payment| replacement(payment).map_or("-".to_owned(), |intent| format!("{intent:?}"));
        let second = Payment { replaces: Some(Uuid::from_u128(9).into()), ..plain.clone() };
        let tip = Payment { purpose: Purpose::Tip, ..plain.clone() };
        let _ = writeln!(grid, "{name:<40}{:<16}second: {:<10}tip: {}", of(&plain), of(&second), of(&tip));
    }
    insta::assert_snapshot!(grid);
}

fn any_news() -> impl Strategy<Value = News> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let seen = (status, 0..=AMOUNT + 1, 0..=AMOUNT + 1).prop_map(|(status, capturable, received)| Seen {
        status,
        capturable,
        received,
        decline_code: None,
    });
    prop_oneof![
        4 => seen.clone().prop_map(News::Seen),
        2 => prop::option::of(seen).prop_map(refused),
        1 => Just(News::Absent),
    ]
}

/// What happens to a payment: news, or a wish of the trip's.
fn any_life() -> impl Strategy<Value = Vec<Result<News, Intent>>> {
    let wish = prop::sample::select(INTENTS.to_vec());
    prop::collection::vec(prop_oneof![3 => any_news().prop_map(Ok), 1 => wish.prop_map(Err)], 0..12)
}

proptest! {
    #[test]
    fn a_terminal_state_never_regresses_and_no_sum_exceeds_its_bound(
        life in any_life(),
        is_known: bool,
        intent in prop::sample::select(INTENTS.to_vec()),
    ) {
        let mut now = payment(State::Authorizing, intent);
        now.provider_intent_id = now.provider_intent_id.filter(|_| is_known);
        for event in life {
            let before = now.clone();
            now = match event {
                Ok(news) => learn(&before, &news),
                Err(wish) => match want(&before, wish) {
                    Ok(state) => Payment { state, intent: wish, ..before.clone() },
                    Err(Refused) => before.clone(),
                },
            };
            if before.state.is_terminal() {
                prop_assert_eq!(&now, &before);
            }
            prop_assert!(now.authorized <= AMOUNT);
            prop_assert!(now.captured <= now.authorized);
            prop_assert!((0..=now.captured).contains(&now.refund_reserved));
            prop_assert_eq!(now.captured > 0, now.state == State::Captured);
        }
    }

    #[test]
    fn hearing_the_same_twice_changes_nothing(life in any_life(), last in any_news()) {
        let mut now = payment(State::Authorizing, Intent::Hold);
        for event in life {
            now = match event {
                Ok(news) => learn(&now, &news),
                Err(wish) => match want(&now, wish) {
                    Ok(state) => Payment { state, intent: wish, ..now },
                    Err(Refused) => now,
                },
            };
        }
        let once = learn(&now, &last);
        prop_assert_eq!(learn(&once, &last), once);
    }

    #[test]
    fn a_payment_with_an_intent_ends_only_when_that_has_ended(life in any_life(), intent in prop::sample::select(INTENTS.to_vec())) {
        let mut now = payment(State::Authorizing, intent);
        for event in life {
            let before = now.clone();
            now = match &event {
                Ok(news) => learn(&before, news),
                Err(wish) => match want(&before, *wish) {
                    Ok(state) => Payment { state, intent: *wish, ..before.clone() },
                    Err(Refused) => before.clone(),
                },
            };
            if now.state.is_terminal() && !before.state.is_terminal() {
                let seen = match event {
                    Ok(News::Seen(seen) | News::Refused { seen: Some(seen), .. }) => seen.status,
                    other => return Err(TestCaseError::fail(format!("ended by {other:?}"))),
                };
                prop_assert!(matches!(seen, Status::Canceled | Status::Succeeded), "ended while {:?}", seen);
            }
        }
    }

    #[test]
    fn a_released_payment_never_ends_with_our_having_the_money(life in prop::collection::vec(any_news(), 0..12)) {
        let mut now = payment(State::Authorizing, Intent::Release);
        for news in life {
            now = learn(&now, &news);
            prop_assert!(!matches!(now.state, State::Authorized | State::Capturing));
            prop_assert_eq!(now.captured, now.refund_reserved);
        }
    }
}
