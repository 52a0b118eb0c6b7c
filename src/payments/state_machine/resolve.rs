//! What an operator may decide about a payment or a refund that needs review: `retry` or `close`.
//!
//! Two actions are enough, because a review has two reasons. Either the worker has stopped where another call could do harm, and
//! the operator lets it continue or ends it. Or the payment ended short of what is owed, and the debt is requested again or written
//! off. Nothing is closed while calls continue: one of them could still be answered.

use crate::payments::model::{Goal, Payment, PaymentState, Refund, RefundState};
use crate::platform::names::string_enum;

string_enum! {
    /// An operator's decision.
    pub enum ResolveAction {
        /// Check the provider once more, or request what is owed with a new payment or refund.
        Retry = "retry",
        /// Stop: write off what is owed, and free what is reserved for a refund.
        Close = "close",
    }
}

/// Why a decision is refused. Completes the sentence "Cannot resolve: …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotResolvable(pub &'static str);

const NO_REVIEW_NEEDED: NotResolvable = NotResolvable("it needs no review");
const CALLS_CONTINUE: NotResolvable =
    NotResolvable("calls to the provider continue, and one may be answered; `retry` calls at once");

/// The effect of a decision on a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentResolution {
    /// The payment becomes due, and the worker checks it.
    Retry(Payment),
    /// The payment stays, and a new one captures this many minor units in its place.
    Replace(Payment, i64),
    /// The payment ends, and this many minor units of it are written off.
    Close(Payment, i64),
}

/// Decides about a payment.
///
/// # Errors
/// [`NotResolvable`] if the payment needs no review, or the action does not apply.
pub fn payment(payment: &Payment, action: ResolveAction) -> Result<PaymentResolution, NotResolvable> {
    if payment.needs_review.is_none() {
        return Err(NO_REVIEW_NEEDED);
    }
    let after = Payment { needs_review: None, failures: 0, ..payment.clone() };
    match (action, payment.state.is_terminal()) {
        (ResolveAction::Retry, false) => Ok(PaymentResolution::Retry(after)),
        // An intent without a known id was never confirmed, and moves no money whatever is answered later.
        (ResolveAction::Close, false) if payment.failures > 0 && payment.provider_intent_id.is_some() => {
            Err(CALLS_CONTINUE)
        }
        (ResolveAction::Close, false) => {
            let after = Payment { state: closed_state(payment), ..after };
            let owed = after.missing();
            Ok(PaymentResolution::Close(after, owed))
        }
        (ResolveAction::Retry, true) if payment.missing() == 0 => Err(NotResolvable("nothing of it is owed")),
        (ResolveAction::Retry, true) if payment.captured > 0 => {
            Err(NotResolvable("a part of it was captured, and a payment is captured once; the rest can be closed"))
        }
        (ResolveAction::Retry, true) => Ok(PaymentResolution::Replace(after, payment.missing())),
        (ResolveAction::Close, true) => Ok(PaymentResolution::Close(after, payment.missing())),
    }
}

/// Returns the terminal state of a payment that is closed without a result from the provider.
fn closed_state(payment: &Payment) -> PaymentState {
    match (payment.goal, payment.state == PaymentState::Authorized) {
        (Goal::Capture(_), _) => PaymentState::CaptureFailed,
        (Goal::Hold, true) => PaymentState::AuthExpired,
        (Goal::Hold, false) | (Goal::Release, _) => PaymentState::Voided,
    }
}

/// The effect of a decision on a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundResolution {
    /// The refund becomes due, and the worker checks it or requests it again.
    Retry(Refund),
    /// The refund stays failed, and a new one of the same amount is made.
    Replace(Refund),
    /// The refund fails, and its amount can be refunded again.
    Fail(Refund),
    /// The refund stays failed, and needs no review any more.
    Close(Refund),
}

/// Decides about a refund. `is_answered`: whether the provider answered the latest call, though inconclusively.
///
/// A new key is allowed where the first one can have no effect any more: it is too old, or the provider has answered, and replays
/// that answer. An unanswered call can still arrive, so it keeps its key.
///
/// # Errors
/// [`NotResolvable`] if the refund needs no review, or the action does not apply.
pub fn refund(refund: &Refund, action: ResolveAction, is_answered: bool) -> Result<RefundResolution, NotResolvable> {
    if refund.needs_review.is_none() {
        return Err(NO_REVIEW_NEEDED);
    }
    let after = Refund { needs_review: None, failures: 0, ..refund.clone() };
    match (action, refund.state) {
        (ResolveAction::Retry, RefundState::Pending) => {
            let allow_new_key = is_answered || refund.failures == 0;
            Ok(RefundResolution::Retry(Refund { allow_new_key, ..after }))
        }
        (ResolveAction::Close, RefundState::Pending) if refund.failures > 0 => Err(CALLS_CONTINUE),
        (ResolveAction::Close, RefundState::Pending) => Ok(RefundResolution::Fail(Refund {
            state: RefundState::Failed,
            failure_code: Some("closed_by_an_operator".to_owned()),
            ..after
        })),
        (ResolveAction::Retry, RefundState::Failed) => Ok(RefundResolution::Replace(after)),
        (ResolveAction::Close, RefundState::Failed) => Ok(RefundResolution::Close(after)),
        (_, RefundState::Succeeded) => Err(NO_REVIEW_NEEDED),
    }
}

#[cfg(test)]
mod tests;
