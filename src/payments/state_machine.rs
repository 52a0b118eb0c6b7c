//! The state machine of payments, as pure functions.
//!
//! ```text
//!                 ┌─▶ declined          ┌─▶ auth_expired
//! authorizing ────┼─▶ authorized ───────┼─▶ capturing ──┬─▶ captured
//!                 │        │            │               └─▶ capture_failed
//!                 └────────┴─▶ voiding ─┴─▶ voided
//!                                  └──────▶ captured, if the provider has captured: a refund follows
//! ```
//!
//! Invariant: *a payment ends only after its intent has ended*, as `canceled` or `succeeded`. Until then a delayed call can still
//! arrive and change the intent. So a refused intent is cancelled before its payment becomes `declined` or `capture_failed`
//! (`docs/decisions/stale-calls.md`).
//!
//! The trip calls [`set_goal`]. The worker calls [`next`] for the next step and [`observe`] with its result. A call's answer and a
//! later look-up are the same kind of fact, an [`IntentObservation`].
//!
//! Invariant: *only an error that proves a hold uncapturable ends it*. After any other refusal of a capture or a cancellation the
//! intent decides, and the call is repeated (`provider::classify`).

pub mod refund;
pub mod resolve;
#[cfg(test)]
mod tests;

use chrono::TimeDelta;

use super::model::{DisputeState, Goal, Payment, PaymentPurpose, PaymentState, UnresolvedAttempt};
use crate::platform::clock::MachineTime;

/// How long a call is repeated under its key. Providers forget keys after 24 hours, and a repeat under a forgotten key is a new
/// request; the hour between covers clock differences and slow calls.
pub const KEY_LIFETIME: TimeDelta = TimeDelta::hours(23);

/// The status of the provider's intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStatus {
    /// Created, and not confirmed.
    Unconfirmed,
    /// The bank refused the payment method.
    MethodRefused,
    /// The bank wants the cardholder to authenticate.
    ActionRequired,
    /// The amount is reserved.
    Authorized,
    /// Money was captured.
    Succeeded,
    /// Ended without money.
    Canceled,
}

impl IntentStatus {
    /// All values.
    pub const ALL: [Self; 6] = [
        Self::Unconfirmed,
        Self::MethodRefused,
        Self::ActionRequired,
        Self::Authorized,
        Self::Succeeded,
        Self::Canceled,
    ];
}

/// The part of the provider's intent that decisions depend on. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntentSnapshot {
    /// The status.
    pub status: IntentStatus,
    /// The amount that can be captured.
    pub capturable: i64,
    /// The captured amount, refunds not deducted.
    pub received: i64,
    /// Why the bank refused.
    pub decline_code: Option<String>,
}

/// What a call showed about an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntentObservation {
    /// The intent as it is now.
    Snapshot(IntentSnapshot),
    /// The provider refused the call for good.
    Refused {
        /// The provider's reason.
        code: String,
        /// The intent after the refusal, if one exists.
        snapshot: Option<IntentSnapshot>,
    },
    /// The provider did not do it, for a reason that proves nothing about a later call.
    Rejected {
        /// The provider's reason.
        code: String,
        /// The intent after that.
        snapshot: IntentSnapshot,
    },
    /// The dispute of a captured payment's charge; `None` if it is not disputed.
    Disputes(Option<DisputeState>),
    /// No intent exists: none was requested, or a finished request did not create one.
    Absent,
}

/// The payment cannot take the goal: it has another goal than [`Goal::Hold`], or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoalRefused;

/// Returns the state of a payment once the trip sets `goal`.
///
/// # Errors
/// [`GoalRefused`]
pub fn set_goal(payment: &Payment, goal: Goal) -> Result<PaymentState, GoalRefused> {
    use PaymentState::{
        AuthExpired, Authorized, Authorizing, CaptureFailed, Captured, Capturing, Declined, Voided, Voiding,
    };
    match (payment.state, payment.goal, goal) {
        (_, _, Goal::Hold) | (_, Goal::Capture(_) | Goal::Release, _) => Err(GoalRefused),
        // The authorization is in progress; its result is judged by the new goal.
        (Authorizing, Goal::Hold, _) => Ok(Authorizing),
        (Authorized, Goal::Hold, goal) => Ok(authorized_state(goal)),
        (
            Capturing | Captured | Declined | Voiding | Voided | AuthExpired | CaptureFailed,
            Goal::Hold,
            Goal::Capture(_) | Goal::Release,
        ) => Err(GoalRefused),
    }
}

/// Returns the state of a payment whose amount is reserved.
fn authorized_state(goal: Goal) -> PaymentState {
    match goal {
        Goal::Hold => PaymentState::Authorized,
        Goal::Capture(_) => PaymentState::Capturing,
        Goal::Release => PaymentState::Voiding,
    }
}

/// The worker's next step for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentStep {
    /// Nothing to do.
    Idle,
    /// Create the intent; with the key of an earlier attempt that may still arrive.
    Create(Option<String>),
    /// Search the provider's list for an intent that one of the attempts between these times created.
    Find {
        /// The first attempt.
        since: MachineTime,
        /// The latest attempt.
        until: MachineTime,
    },
    /// Record that no intent exists. Makes no call.
    RecordAbsent,
    /// Confirm the intent.
    Confirm,
    /// Capture this many minor units.
    Capture(i64),
    /// Cancel the intent.
    Cancel,
    /// Get the intent.
    LookUp,
    /// List the disputes of a captured payment's charge.
    ReadDisputes,
}

/// Returns the next step.
///
/// A call with an unknown result is looked up before anything else. An unanswered create is repeated under its key, because it may
/// still be in flight; after an answer, or once the key is too old, the provider's list decides. An intent that is not listed is
/// created anew under a new key: an unconfirmed duplicate moves no money.
pub fn next(payment: &Payment, unresolved: Option<&UnresolvedAttempt>, now: MachineTime) -> PaymentStep {
    use PaymentState::{
        AuthExpired, Authorized, Authorizing, CaptureFailed, Captured, Capturing, Declined, Voided, Voiding,
    };
    let must_cancel = payment.goal == Goal::Release || payment.decline_code.is_some();
    match (payment.state, &payment.provider_intent_id, unresolved) {
        (Captured | Declined | Voided | AuthExpired | CaptureFailed, ..) => PaymentStep::Idle,
        (Authorizing, None, None) if must_cancel => PaymentStep::RecordAbsent,
        (Authorizing, None, None) => PaymentStep::Create(None),
        (Authorizing, None, Some(create)) if create.answered || now.since(create.since) >= KEY_LIFETIME => {
            PaymentStep::Find { since: create.since, until: create.last }
        }
        (Authorizing, None, Some(create)) => PaymentStep::Create(Some(create.key.clone())),
        (Authorizing | Authorized | Capturing | Voiding, _, Some(_)) => PaymentStep::LookUp,
        (Authorizing, Some(_), None) if must_cancel => PaymentStep::Cancel,
        (Authorizing, Some(_), None) => PaymentStep::Confirm,
        (Authorized, _, None) => PaymentStep::Idle,
        (Capturing, _, None) if must_cancel => PaymentStep::Cancel,
        (Capturing, _, None) => match payment.goal {
            Goal::Capture(amount) => PaymentStep::Capture(amount),
            // Refused by the constraint `state_follows_goal`.
            Goal::Hold | Goal::Release => PaymentStep::LookUp,
        },
        (Voiding, _, None) => PaymentStep::Cancel,
    }
}

/// Returns the payment after an observation. A terminal state stays.
///
/// Money that was captured and not wanted becomes `refund_reserved`: the caller writes that refund with the payment.
pub fn observe(payment: &Payment, observation: &IntentObservation) -> Payment {
    use IntentObservation::{Absent, Disputes, Refused, Rejected, Snapshot};
    let without_intent = payment.state == PaymentState::Authorizing && payment.provider_intent_id.is_none();
    match observation {
        Disputes(dispute) => disputed(payment, *dispute),
        Snapshot(_) | Rejected { .. } | Refused { .. } | Absent if payment.state.is_terminal() => payment.clone(),
        Snapshot(snapshot) | Rejected { snapshot, .. } => apply_snapshot(payment, snapshot),
        Absent | Refused { snapshot: None, .. } if without_intent && payment.goal == Goal::Release => {
            ended(PaymentState::Voided, payment)
        }
        // The intent will be created anew. That may repeat, so the count of failures stays.
        Absent if without_intent => Payment { needs_review: None, ..payment.clone() },
        Absent => needs_review(payment, "the provider has no intent for it".to_owned()),
        Refused { code, snapshot: None } if without_intent => declined(payment, code),
        Refused { code, snapshot: None } => {
            needs_review(payment, format!("the provider does not show its intent: {code}"))
        }
        Refused { code, snapshot: Some(snapshot) } => match (payment.state, snapshot.status) {
            (PaymentState::Authorizing, IntentStatus::Unconfirmed)
            | (PaymentState::Capturing, IntentStatus::Authorized) => pending_cancellation(payment, code),
            (PaymentState::Authorizing, IntentStatus::MethodRefused) => {
                pending_cancellation(payment, snapshot.decline_code.as_deref().unwrap_or(code))
            }
            // Judged by the snapshot alone, state by state.
            _ => apply_snapshot(payment, snapshot),
        },
    }
}

/// Returns the payment once its intent is known to be as in `snapshot`.
fn apply_snapshot(payment: &Payment, snapshot: &IntentSnapshot) -> Payment {
    use IntentStatus as Status;
    use PaymentState::{
        AuthExpired, Authorized, Authorizing, CaptureFailed, Captured, Capturing, Declined, Voided, Voiding,
    };
    match (payment.state, snapshot.status) {
        (Captured | Declined | Voided | AuthExpired | CaptureFailed, _) => payment.clone(),
        (Authorizing | Authorized | Capturing | Voiding, Status::Succeeded) => captured(payment, snapshot),

        (Authorizing, Status::Unconfirmed) => answered(payment),
        (Authorizing, Status::MethodRefused) => {
            pending_cancellation(payment, snapshot.decline_code.as_deref().unwrap_or("payment_method_refused"))
        }
        (Authorizing, Status::ActionRequired) => pending_cancellation(payment, "requires_action"),
        (Authorizing | Authorized, Status::Authorized) => authorized(payment, snapshot),
        (Authorizing, Status::Canceled) => match payment.goal {
            Goal::Release => ended(Voided, payment),
            Goal::Hold | Goal::Capture(_) => declined(payment, "canceled"),
        },

        (Authorized, Status::Canceled) => authorization_lost(AuthExpired, payment),
        (Capturing, Status::Authorized) => answered(payment),
        (Capturing, Status::Canceled) => authorization_lost(CaptureFailed, payment),
        (Authorized | Capturing, Status::Unconfirmed | Status::MethodRefused | Status::ActionRequired) => {
            needs_review(payment, format!("it was authorized, and the provider says {:?}", snapshot.status))
        }

        (Voiding, Status::Canceled) => ended(Voided, payment),
        (Voiding, Status::Unconfirmed | Status::MethodRefused | Status::ActionRequired | Status::Authorized) => {
            answered(payment)
        }
    }
}

/// Returns the payment after a conclusive answer: no failures, no review.
fn answered(payment: &Payment) -> Payment {
    Payment { failures: 0, needs_review: None, ..payment.clone() }
}

fn ended(state: PaymentState, payment: &Payment) -> Payment {
    Payment { state, ..answered(payment) }
}

fn needs_review(payment: &Payment, reason: String) -> Payment {
    Payment { needs_review: Some(reason), ..answered(payment) }
}

/// Returns the payment after the loss of its authorization. It needs a review unless a replacement follows, or it is a tip.
fn authorization_lost(state: PaymentState, payment: &Payment) -> Payment {
    let after = ended(state, payment);
    if replacement(&after).is_some() || after.purpose == PaymentPurpose::Tip {
        return after;
    }
    let why = after.decline_code.as_ref().map(|code| format!(": {code}")).unwrap_or_default();
    let owed = after.missing();
    let owed = if owed > 0 { format!(", and {owed} of it are owed") } else { String::new() };
    needs_review(&after, format!("its authorization is gone{why}{owed}"))
}

/// Returns the goal of the payment that replaces this one, if one does.
///
/// A payment that lost its authorization is replaced once: by a new hold, or by a capture of the debt. A replacement is not
/// replaced again.
pub fn replacement(payment: &Payment) -> Option<Goal> {
    use PaymentState::{
        AuthExpired, Authorized, Authorizing, CaptureFailed, Captured, Capturing, Declined, Voided, Voiding,
    };
    if payment.replaces.is_some() {
        return None;
    }
    match (payment.state, payment.goal) {
        (AuthExpired, Goal::Hold) => Some(Goal::Hold),
        (CaptureFailed, Goal::Capture(_)) if payment.missing() > 0 => Some(Goal::Capture(payment.missing())),
        (
            Authorizing | Authorized | Capturing | Captured | Declined | Voiding | Voided | AuthExpired | CaptureFailed,
            Goal::Hold | Goal::Capture(_) | Goal::Release,
        ) => None,
    }
}

/// Returns the payment that fails as soon as its intent is cancelled; until then a delayed call could succeed. The first reason
/// stays.
fn pending_cancellation(payment: &Payment, code: &str) -> Payment {
    let decline_code = payment.decline_code.clone().or_else(|| Some(code.to_owned()));
    Payment { decline_code, ..answered(payment) }
}

/// Returns the declined payment. What was to be captured stays a debt.
fn declined(payment: &Payment, code: &str) -> Payment {
    let after = Payment { state: PaymentState::Declined, ..pending_cancellation(payment, code) };
    let owed = after.missing();
    Payment { needs_review: (owed > 0).then(|| format!("declined, and {owed} of it are owed")), ..after }
}

fn authorized(payment: &Payment, snapshot: &IntentSnapshot) -> Payment {
    let (reserved, requested) = (snapshot.capturable, payment.amount.amount);
    if reserved != requested {
        return needs_review(payment, format!("{reserved} reserved, {requested} requested"));
    }
    let state = match payment.decline_code {
        Some(_) => PaymentState::Authorizing,
        None => authorized_state(payment.goal),
    };
    Payment { state, authorized: reserved, ..answered(payment) }
}

/// Returns the payment once the dispute of its charge is known. A change needs a review, beside an earlier reason.
fn disputed(payment: &Payment, dispute: Option<DisputeState>) -> Payment {
    let known = Payment { failures: 0, ..payment.clone() };
    if dispute == payment.dispute || payment.state != PaymentState::Captured {
        return known;
    }
    let reason = match dispute {
        // The provider keeps what it has listed.
        None => return known,
        Some(DisputeState::Open) => "its charge is disputed: respond at the provider",
        Some(DisputeState::Won) => "the dispute of its charge was won",
        Some(DisputeState::Lost) => "the dispute of its charge was lost",
    };
    let earlier = payment.needs_review.as_ref().filter(|_| payment.dispute.is_none());
    let needs_review = Some(earlier.map_or(reason.to_owned(), |earlier| format!("{earlier}; {reason}")));
    Payment { dispute, needs_review, ..known }
}

/// Returns the captured payment. An unwanted capture is refunded; during the trip an operator decides.
fn captured(payment: &Payment, snapshot: &IntentSnapshot) -> Payment {
    let received = snapshot.received;
    if !(1..=payment.amount.amount).contains(&received) {
        return needs_review(payment, format!("{received} captured, {} requested", payment.amount.amount));
    }
    let (to_refund, review) = match payment.goal {
        Goal::Capture(wanted) if received < wanted => (0, Some(format!("{received} captured, {wanted} wanted"))),
        Goal::Capture(wanted) => (received - wanted, None),
        Goal::Release => (received, None),
        Goal::Hold => (0, Some("captured before the trip asked for it".to_owned())),
    };
    Payment {
        state: PaymentState::Captured,
        authorized: payment.authorized.max(received),
        captured: received,
        refund_reserved: to_refund,
        decline_code: None,
        needs_review: review,
        ..answered(payment)
    }
}
