//! The state machines as data, for those who want to draw them. Pure, and asked of the machines themselves, so that no picture
//! can say anything else than what the service does.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use crate::payments::machine::{self as payment_machine, News, Seen, Status as Provider, refund, resolve};
use crate::payments::model::{Intent, Payment, Purpose, RefundState, State as PaymentState};
use crate::platform::clock::DomainTime;
use crate::platform::money::Money;
use crate::pricing::model::CURRENCY;
use crate::trips::offer::{Decision, Status as OfferStatus};
use crate::trips::{Offer, State as TripState};

/// One way from a state to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The state before.
    pub from: &'static str,
    /// What is done, or heard.
    pub by: String,
    /// The state after.
    pub to: &'static str,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    /// What goes through it.
    pub name: &'static str,
    /// Where it begins.
    pub initial: &'static str,
    /// Each state, and whether it is an end.
    pub states: Vec<(&'static str, bool)>,
    /// Each edge once.
    pub edges: BTreeSet<Edge>,
}

/// The machine of trips, from its legal steps as the database keeps them: from, command, to. A test of `trips` keeps those equal
/// to `trips::machine`. The first step, from nothing, is left out.
pub fn trip(steps: &[(String, String, String)]) -> Machine {
    let edge = |(from, command, to): &(String, String, String)| {
        let (from, to) = (TripState::parse(from)?, TripState::parse(to)?);
        Some(Edge { from: from.as_str(), by: command.clone(), to: to.as_str() })
    };
    Machine {
        name: "trip",
        initial: TripState::Requested.as_str(),
        states: TripState::ALL.iter().map(|state| (state.as_str(), state.is_over())).collect(),
        edges: steps.iter().filter_map(edge).collect(),
    }
}

/// The machine of offers.
pub fn offer() -> Machine {
    let deadline = DomainTime::new(DateTime::UNIX_EPOCH);
    let times = [deadline + TimeDelta::seconds(-1), deadline];
    let mut edges = BTreeSet::new();
    for status in OfferStatus::ALL {
        for decision in Decision::ALL {
            let offer = an_offer(status, deadline);
            let ends = times.iter().filter_map(|now| offer.decide(decision, *now).ok());
            edges.extend(ends.map(|end| Edge {
                from: status.as_str(),
                by: format!("{decision:?}").to_lowercase(),
                to: end.status.as_str(),
            }));
        }
    }
    Machine {
        name: "offer",
        initial: OfferStatus::Pending.as_str(),
        states: OfferStatus::ALL.iter().map(|status| (status.as_str(), *status != OfferStatus::Pending)).collect(),
        edges,
    }
}

/// The machine of payments: everything that can become of a new one.
pub fn payment() -> Machine {
    let mut edges = BTreeSet::new();
    let mut reached = vec![a_payment()];
    let mut next = 0;
    while let Some(before) = reached.get(next).cloned() {
        next += 1;
        for (by, after) in payment_steps(&before) {
            if after.state != before.state {
                edges.insert(Edge { from: before.state.as_str(), by, to: after.state.as_str() });
            }
            if !reached.contains(&after) {
                reached.push(after);
            }
        }
    }
    Machine {
        name: "payment",
        initial: PaymentState::Authorizing.as_str(),
        states: PaymentState::ALL.iter().map(|state| (state.as_str(), state.is_terminal())).collect(),
        edges,
    }
}

/// What the trip, the provider and an operator can do to a payment.
fn payment_steps(payment: &Payment) -> Vec<(String, Payment)> {
    let mut steps = Vec::new();
    for wish in [Intent::Capture(payment.amount.amount), Intent::Release] {
        if let Ok(state) = payment_machine::want(payment, wish) {
            steps.push((format!("trip: {}", wish.as_str()), Payment { state, intent: wish, ..payment.clone() }));
        }
    }
    if payment.state.is_terminal() {
        return steps;
    }
    for (by, news) in provider_news(payment.amount.amount) {
        let learnt = payment_machine::learn(payment, &news);
        steps.push((format!("provider: {by}"), Payment { attention: None, ..learnt }));
    }
    let waiting = Payment { attention: Some("somebody has to look".to_owned()), ..payment.clone() };
    if let Ok(resolve::Resolved::Closed(closed, _)) = resolve::payment(&waiting, resolve::Action::Close) {
        steps.push(("operator: close".to_owned(), closed));
    }
    let id = payment.provider_intent_id.clone().or_else(|| Some("pi".to_owned()));
    steps.push(("provider: created".to_owned(), Payment { provider_intent_id: id, ..payment.clone() }));
    steps
}

fn provider_news(amount: i64) -> Vec<(String, News)> {
    let seen = |status| Seen {
        status,
        capturable: if status == Provider::Authorized { amount } else { 0 },
        received: if status == Provider::Succeeded { amount } else { 0 },
        decline_code: None,
    };
    let seen = Provider::ALL.into_iter().map(|status| (words(&format!("{status:?}")), News::Seen(seen(status))));
    let refused = News::Refused { code: "refused".to_owned(), seen: None };
    seen.chain([("refused".to_owned(), refused), ("absent".to_owned(), News::Absent)]).collect()
}

/// The machine of refunds.
pub fn refund() -> Machine {
    let news =
        [refund::Status::Pending, refund::Status::Succeeded, refund::Status::Failed { code: "refused".to_owned() }];
    let edges = RefundState::ALL.iter().flat_map(|from| {
        let ends = news.iter().map(|status| refund::learn(*from, status)).filter(move |to| to != from);
        ends.map(|to| Edge { from: from.as_str(), by: format!("provider: {}", to.as_str()), to: to.as_str() })
    });
    Machine {
        name: "refund",
        initial: RefundState::Pending.as_str(),
        states: RefundState::ALL.iter().map(|state| (state.as_str(), *state != RefundState::Pending)).collect(),
        edges: edges.collect(),
    }
}

/// `MethodRefused` as `method refused`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn an_offer(status: OfferStatus, expires_at: DomainTime) -> Offer {
    Offer {
        id: Uuid::nil().into(),
        trip_id: Uuid::nil().into(),
        driver_id: Uuid::nil().into(),
        status,
        pickup_distance_m: 0,
        withdrawn_because: None,
        created_at: expires_at,
        expires_at,
        decided_at: None,
        released_at: None,
    }
}

/// A new payment, of any amount.
fn a_payment() -> Payment {
    Payment {
        id: Uuid::nil().into(),
        trip_id: Uuid::nil().into(),
        rider_id: Uuid::nil().into(),
        driver_id: None,
        purpose: Purpose::Fare,
        replaces: None,
        state: PaymentState::Authorizing,
        intent: Intent::Hold,
        amount: Money::new(1, CURRENCY),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: String::new(),
        provider_intent_id: None,
        decline_code: None,
        attention: None,
        failures: 0,
        lease_token: 0,
        version: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(machine: &Machine) -> String {
        machine.edges.iter().map(|edge| format!("{} -> {}, {}\n", edge.from, edge.to, edge.by)).collect()
    }

    #[test]
    fn an_offer_is_decided_once() {
        insta::assert_snapshot!(drawn(&offer()), @r"
        pending -> accepted, accept
        pending -> declined, decline
        pending -> expired, expire
        pending -> withdrawn, withdraw
        ");
    }

    #[test]
    fn a_payment_ends_as_its_intent_does() {
        insta::assert_snapshot!(drawn(&payment()), @r"
        authorized -> auth_expired, operator: close
        authorized -> auth_expired, provider: canceled
        authorized -> captured, provider: succeeded
        authorized -> capturing, trip: capture
        authorized -> voiding, trip: release
        authorizing -> capture_failed, operator: close
        authorizing -> voided, operator: close
        authorizing -> voided, provider: absent
        authorizing -> authorized, provider: authorized
        authorizing -> capturing, provider: authorized
        authorizing -> voiding, provider: authorized
        authorizing -> declined, provider: canceled
        authorizing -> voided, provider: canceled
        authorizing -> declined, provider: refused
        authorizing -> voided, provider: refused
        authorizing -> captured, provider: succeeded
        capturing -> capture_failed, operator: close
        capturing -> capture_failed, provider: canceled
        capturing -> captured, provider: succeeded
        voiding -> voided, operator: close
        voiding -> voided, provider: canceled
        voiding -> captured, provider: succeeded
        ");
    }

    #[test]
    fn a_refund_ends_once() {
        insta::assert_snapshot!(drawn(&refund()), @r"
        pending -> failed, provider: failed
        pending -> succeeded, provider: succeeded
        ");
    }

    #[test]
    fn nothing_leaves_an_end_and_every_state_is_reached() {
        for machine in [offer(), payment(), refund()] {
            let ends = |name| machine.states.iter().any(|(state, is_end)| *state == name && *is_end);
            assert!(!machine.edges.iter().any(|edge| ends(edge.from)), "{}", machine.name);
            for (state, _) in &machine.states {
                let is_reached = *state == machine.initial || machine.edges.iter().any(|edge| edge.to == *state);
                assert!(is_reached, "{}: {state}", machine.name);
            }
        }
    }

    #[test]
    fn a_step_from_nothing_or_from_a_state_that_is_none_is_no_edge() {
        let step = |from: &str, to: &str| (from.to_owned(), "go".to_owned(), to.to_owned());
        let steps = [step("none", "requested"), step("requested", "searching"), step("lost", "searching")];
        assert_eq!(drawn(&trip(&steps)), "requested -> searching, go\n");
    }
}
