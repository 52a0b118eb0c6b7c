//! The state machines as data, for drawing. Derived from the code that decides, so that a drawing always agrees with it.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use crate::geo::EtaSource;
use crate::payments::model::{Goal, Payment, PaymentPurpose, PaymentState, RefundState};
use crate::payments::state_machine::refund::{self, ProviderRefundStatus};
use crate::payments::state_machine::resolve::{self, PaymentResolution, ResolveAction};
use crate::payments::state_machine::{IntentObservation, IntentSnapshot, IntentStatus, observe, set_goal};
use crate::platform::clock::DomainTime;
use crate::platform::money::Money;
use crate::pricing::model::CURRENCY;
use crate::trips::offer::{Decision, OfferStatus};
use crate::trips::{Offer, State as TripState};

/// A transition between two states.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// The state before.
    pub from: &'static str,
    /// The command, or the observation of the provider.
    pub by: String,
    /// The state after.
    pub to: &'static str,
}

/// A state machine.
#[derive(Debug)]
pub struct StateMachine {
    /// The object: `trip`, `offer`, `payment` or `refund`.
    pub name: &'static str,
    /// The initial state.
    pub initial: &'static str,
    /// Each state, and whether it is terminal.
    pub states: Vec<(&'static str, bool)>,
    /// The transitions.
    pub edges: BTreeSet<Edge>,
}

/// Returns the state machine of trips, from the legal transitions in the database: from, command, to. A test holds those equal to
/// `trips::state_machine`. Leaves out the creation of a trip.
pub fn trip(transitions: &[(String, String, String)]) -> StateMachine {
    let edge = |(from, command, to): &(String, String, String)| {
        let (from, to) = (TripState::parse(from)?, TripState::parse(to)?);
        Some(Edge { from: from.as_str(), by: command.clone(), to: to.as_str() })
    };
    StateMachine {
        name: "trip",
        initial: TripState::Requested.as_str(),
        states: TripState::ALL.iter().map(|state| (state.as_str(), state.is_over())).collect(),
        edges: transitions.iter().filter_map(edge).collect(),
    }
}

/// Returns the state machine of offers.
pub fn offer() -> StateMachine {
    let deadline = DomainTime::new(DateTime::UNIX_EPOCH);
    let times = [deadline + TimeDelta::seconds(-1), deadline];
    let mut edges = BTreeSet::new();
    for status in OfferStatus::ALL {
        for decision in Decision::ALL {
            let offer = offer_in(status, deadline);
            let ends = times.iter().filter_map(|now| offer.decide(decision, *now).ok());
            edges.extend(ends.map(|end| Edge {
                from: status.as_str(),
                by: format!("{decision:?}").to_lowercase(),
                to: end.status.as_str(),
            }));
        }
    }
    StateMachine {
        name: "offer",
        initial: OfferStatus::Pending.as_str(),
        states: OfferStatus::ALL.iter().map(|status| (status.as_str(), *status != OfferStatus::Pending)).collect(),
        edges,
    }
}

/// Returns the state machine of payments: every state reachable from a new one.
pub fn payment() -> StateMachine {
    let mut edges = BTreeSet::new();
    let mut reached = vec![new_payment()];
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
    StateMachine {
        name: "payment",
        initial: PaymentState::Authorizing.as_str(),
        states: PaymentState::ALL.iter().map(|state| (state.as_str(), state.is_terminal())).collect(),
        edges,
    }
}

/// Returns what a payment becomes by each action of the trip, the provider and an operator.
fn payment_steps(payment: &Payment) -> Vec<(String, Payment)> {
    let mut steps = Vec::new();
    for goal in [Goal::Capture(payment.amount.amount), Goal::Release] {
        if let Ok(state) = set_goal(payment, goal) {
            steps.push((format!("trip: {}", goal.kind()), Payment { state, goal, ..payment.clone() }));
        }
    }
    if payment.state.is_terminal() {
        return steps;
    }
    for (by, observation) in observations(payment.amount.amount) {
        let observed = observe(payment, &observation);
        steps.push((format!("provider: {by}"), Payment { needs_review: None, ..observed }));
    }
    let in_review = Payment { needs_review: Some("review".to_owned()), ..payment.clone() };
    if let Ok(PaymentResolution::Close(closed, _)) = resolve::payment(&in_review, ResolveAction::Close) {
        steps.push(("operator: close".to_owned(), closed));
    }
    let id = payment.provider_intent_id.clone().or_else(|| Some("pi".to_owned()));
    steps.push(("provider: created".to_owned(), Payment { provider_intent_id: id, ..payment.clone() }));
    steps
}

/// Returns every observation of a provider's intent, with its name.
fn observations(amount: i64) -> Vec<(String, IntentObservation)> {
    let snapshot = |status| {
        IntentObservation::Snapshot(IntentSnapshot {
            status,
            capturable: if status == IntentStatus::Authorized { amount } else { 0 },
            received: if status == IntentStatus::Succeeded { amount } else { 0 },
            decline_code: None,
        })
    };
    let snapshots = IntentStatus::ALL.into_iter().map(|status| (words(&format!("{status:?}")), snapshot(status)));
    let refused = IntentObservation::Refused { code: "refused".to_owned(), snapshot: None };
    snapshots.chain([("refused".to_owned(), refused), ("absent".to_owned(), IntentObservation::Absent)]).collect()
}

/// Returns the state machine of refunds.
pub fn refund() -> StateMachine {
    let statuses = [
        ProviderRefundStatus::Pending,
        ProviderRefundStatus::Succeeded,
        ProviderRefundStatus::Failed { code: "refused".to_owned() },
    ];
    let edges = RefundState::ALL.iter().flat_map(|from| {
        let ends = statuses.iter().map(|status| refund::state_after(*from, status)).filter(move |to| to != from);
        ends.map(|to| Edge { from: from.as_str(), by: format!("provider: {}", to.as_str()), to: to.as_str() })
    });
    StateMachine {
        name: "refund",
        initial: RefundState::Pending.as_str(),
        states: RefundState::ALL.iter().map(|state| (state.as_str(), *state == RefundState::Failed)).collect(),
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

fn offer_in(status: OfferStatus, expires_at: DomainTime) -> Offer {
    Offer {
        id: Uuid::nil().into(),
        trip_id: Uuid::nil().into(),
        driver_id: Uuid::nil().into(),
        status,
        pickup_distance_m: 0,
        pickup_eta_s: 0,
        eta_source: EtaSource::Estimate,
        withdrawn_because: None,
        created_at: expires_at,
        expires_at,
        decided_at: None,
        released_at: None,
    }
}

/// A new payment.
fn new_payment() -> Payment {
    Payment {
        id: Uuid::nil().into(),
        trip_id: Uuid::nil().into(),
        rider_id: Uuid::nil().into(),
        driver_id: None,
        purpose: PaymentPurpose::Fare,
        replaces: None,
        state: PaymentState::Authorizing,
        goal: Goal::Hold,
        amount: Money::new(1, CURRENCY),
        authorized: 0,
        captured: 0,
        refund_reserved: 0,
        refunded: 0,
        method: String::new(),
        provider_intent_id: None,
        decline_code: None,
        dispute: None,
        needs_review: None,
        failures: 0,
        lease_token: 0,
        version: 0,
        trace_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(machine: &StateMachine) -> String {
        machine.edges.iter().map(|edge| format!("{} -> {}, {}\n", edge.from, edge.to, edge.by)).collect()
    }

    #[test]
    fn offer_is_decided_once() {
        insta::assert_snapshot!(listed(&offer()), @r"
        pending -> accepted, accept
        pending -> declined, decline
        pending -> expired, expire
        pending -> withdrawn, withdraw
        ");
    }

    #[test]
    fn payment_reaches_its_goal() {
        insta::assert_snapshot!(listed(&payment()), @r"
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
    fn succeeded_refund_can_only_fail() {
        insta::assert_snapshot!(listed(&refund()), @r"
        pending -> failed, provider: failed
        pending -> succeeded, provider: succeeded
        succeeded -> failed, provider: failed
        ");
    }

    #[test]
    fn terminal_states_have_no_transition_and_every_state_is_reached() {
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
    fn creation_and_unknown_states_are_left_out() {
        let step = |from: &str, to: &str| (from.to_owned(), "go".to_owned(), to.to_owned());
        let steps = [step("none", "requested"), step("requested", "searching"), step("lost", "searching")];
        assert_eq!(listed(&trip(&steps)), "requested -> searching, go\n");
    }
}
