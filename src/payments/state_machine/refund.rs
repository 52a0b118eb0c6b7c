//! The state machine of refunds: `pending → succeeded | failed`, and `succeeded → failed`.
//!
//! A bank can return the money of a refund days after it succeeded, for example because the card was closed. The provider then shows
//! the refund as failed, and the rider has nothing.
//!
//! A refund keeps its key until its result is known. A second refund moves money, unlike an unconfirmed payment intent, so a second
//! key is never used while the first call is in doubt.

use super::KEY_LIFETIME;
use crate::payments::model::{Refund, RefundState, UnresolvedAttempt};
use crate::platform::clock::MachineTime;

/// The status of the provider's refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderRefundStatus {
    /// In progress; some payment methods take days.
    Pending,
    /// The money was returned.
    Succeeded,
    /// The money will not be returned.
    Failed {
        /// The provider's reason.
        code: String,
    },
}

/// What a call showed about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundObservation {
    /// The refund as it is now.
    Snapshot {
        /// The provider's id, `re_…`.
        id: String,
        /// The status.
        status: ProviderRefundStatus,
    },
    /// The provider refused the call for good.
    Refused(String),
    /// The provider does not list the refund.
    Unlisted,
    /// The refund's payment has no intent at the provider.
    NoIntent,
}

/// The worker's next step for a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundStep {
    /// Nothing to do.
    Idle,
    /// Record that the payment has no intent. Makes no call.
    RecordNoIntent,
    /// Request the refund; with the key of an earlier attempt that may have arrived.
    Send(Option<String>),
    /// Search the provider's list for the refund.
    Find(IfUnlisted),
    /// Get the refund with this provider id.
    LookUp(String),
}

/// What to do about a refund that the provider does not list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfUnlisted {
    /// Request it again under the same key, in case the first call is in flight.
    ResendSameKey(String),
    /// Request it under a new key, which an operator has allowed.
    SendNewKey,
    /// Leave it to an operator.
    Review,
}

/// Returns the next step.
pub fn next(refund: &Refund, unresolved: Option<&UnresolvedAttempt>, now: MachineTime) -> RefundStep {
    match (refund.state, &refund.provider_refund_id, unresolved) {
        (RefundState::Failed, ..) | (RefundState::Succeeded, None, _) => RefundStep::Idle,
        // It is due only after a hint.
        (RefundState::Succeeded, Some(id), _) => RefundStep::LookUp(id.clone()),
        (RefundState::Pending, ..) if refund.provider_intent_id.is_none() => RefundStep::RecordNoIntent,
        (RefundState::Pending, Some(id), _) => RefundStep::LookUp(id.clone()),
        (RefundState::Pending, None, None) => RefundStep::Send(None),
        (RefundState::Pending, None, Some(sent)) => {
            let is_too_old = now.since(sent.since) >= KEY_LIFETIME;
            match (sent.answered || is_too_old, refund.allow_new_key) {
                // The call may be in flight: no second key beside it, whatever an operator allowed.
                (false, _) => RefundStep::Send(Some(sent.key.clone())),
                (true, true) => RefundStep::Find(IfUnlisted::SendNewKey),
                (true, false) if is_too_old => RefundStep::Find(IfUnlisted::Review),
                (true, false) => RefundStep::Find(IfUnlisted::ResendSameKey(sent.key.clone())),
            }
        }
    }
}

/// Returns the refund after an observation made by `step`, and the step that follows at once. An observation that settles the step
/// clears earlier failures: they schedule a retry, which a refund that has ended must not have.
pub fn observe(before: &Refund, step: &RefundStep, observation: &RefundObservation) -> (Refund, Option<RefundStep>) {
    use RefundObservation::{NoIntent, Refused, Snapshot, Unlisted};
    let review = |reason: &str| Refund { needs_review: Some(reason.to_owned()), failures: 0, ..before.clone() };
    let resend = |key| (Refund { allow_new_key: false, ..before.clone() }, Some(RefundStep::Send(key)));
    let after = match (observation, step) {
        (Snapshot { id, status }, _) => apply_status(before, id, status),
        // Only a status ends or changes a refund that has ended; reconciliation finds one that the provider does not list.
        _ if before.state != RefundState::Pending => Refund { failures: 0, ..before.clone() },
        (Refused(code), RefundStep::Send(_)) => {
            with_failure(Refund { state: RefundState::Failed, failures: 0, ..before.clone() }, code)
        }
        (Refused(code), _) => review(&format!("the provider does not show it: {code}")),
        (Unlisted, RefundStep::Find(IfUnlisted::ResendSameKey(key))) => return resend(Some(key.clone())),
        (Unlisted, RefundStep::Find(IfUnlisted::SendNewKey)) => return resend(None),
        // A new key could return the money twice.
        (Unlisted, _) => review("it was sent, the provider does not list it, and its key is too old to be used again"),
        (NoIntent, _) => review("its payment has no intent at the provider"),
    };
    (after, None)
}

/// Returns the state of a refund with this status at the provider. A failed refund stays failed; a succeeded one can only fail.
pub fn state_after(state: RefundState, status: &ProviderRefundStatus) -> RefundState {
    match (state, status) {
        (RefundState::Failed, _)
        | (RefundState::Succeeded, ProviderRefundStatus::Pending | ProviderRefundStatus::Succeeded)
        | (RefundState::Pending, ProviderRefundStatus::Pending) => state,
        (RefundState::Pending, ProviderRefundStatus::Succeeded) => RefundState::Succeeded,
        (RefundState::Pending | RefundState::Succeeded, ProviderRefundStatus::Failed { .. }) => RefundState::Failed,
    }
}

fn apply_status(before: &Refund, id: &str, status: &ProviderRefundStatus) -> Refund {
    let after = Refund {
        state: state_after(before.state, status),
        provider_refund_id: Some(id.to_owned()),
        failures: 0,
        needs_review: None,
        ..before.clone()
    };
    match (before.state, status) {
        (RefundState::Failed, _) => Refund { failures: 0, ..before.clone() },
        (RefundState::Pending, ProviderRefundStatus::Failed { code }) => with_failure(after, code),
        (RefundState::Succeeded, ProviderRefundStatus::Failed { code }) => {
            let needs_review = Some(format!("the refund failed after it had succeeded: {code}"));
            Refund { needs_review, ..with_failure(after, code) }
        }
        (_, ProviderRefundStatus::Pending | ProviderRefundStatus::Succeeded) => after,
    }
}

/// Adds the reason of the failure. The rider is still owed the amount, so the refund needs a review.
fn with_failure(refund: Refund, code: &str) -> Refund {
    let needs_review = Some(format!("the refund failed: {code}"));
    Refund { failure_code: Some(code.to_owned()), needs_review, ..refund }
}
