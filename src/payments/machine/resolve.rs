//! What an operator may decide about a payment or a refund that waits for a person: to try again, or to close it as it is.
//!
//! Two decisions are enough, because there are two reasons to wait. The worker has stopped where going on could do harm: somebody
//! looks at the provider, and has it go on or end. Or it has ended short of what is owed: it is asked for once more, or given up.
//! While calls still go on nothing can be closed, because one of them may be answered yet.

use crate::payments::model::{Intent, Payment, Refund, RefundState, State};

/// What an operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Try again: look at it once more, or ask for what is owed with a new payment or refund.
    Retry,
    /// Leave it: what is owed is written off, what is reserved for a refund is free again.
    Close,
}

impl Action {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Retry, Self::Close];

    /// Its name, in the database and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Close => "close",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Why a decision cannot be taken. Reads on from "It cannot be resolved like this: ".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotNow(pub &'static str);

const NOBODY_WAITS: NotNow = NotNow("it waits for nobody");
const STILL_TRIED: NotNow = NotNow("the provider is still being asked, and may answer yet; `retry` asks at once");

/// What becomes of a payment by an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// It is due: the worker looks at it again.
    Again(Payment),
    /// It stays what it is, and a new payment is to take so many minor units in its place.
    Asked(Payment, i64),
    /// It is over, and so many minor units of it are written off.
    Closed(Payment, i64),
}

/// Decides about a payment.
///
/// # Errors
/// [`NotNow`] if it waits for nobody, or the action does not fit.
pub fn payment(payment: &Payment, action: Action) -> Result<Resolved, NotNow> {
    if payment.attention.is_none() {
        return Err(NOBODY_WAITS);
    }
    let after = Payment { attention: None, failures: 0, ..payment.clone() };
    match (action, payment.state.is_terminal()) {
        (Action::Retry, false) => Ok(Resolved::Again(after)),
        // An intent of which we have no name was never confirmed, and moves no money whatever is answered yet.
        (Action::Close, false) if payment.failures > 0 && payment.provider_intent_id.is_some() => Err(STILL_TRIED),
        (Action::Close, false) => {
            let after = Payment { state: closed(payment), ..after };
            let owed = after.missing();
            Ok(Resolved::Closed(after, owed))
        }
        (Action::Retry, true) if payment.missing() == 0 => Err(NotNow("nothing of it is owed")),
        (Action::Retry, true) if payment.captured > 0 => {
            Err(NotNow("a part of it was taken, and a payment is taken once; the rest can be closed"))
        }
        (Action::Retry, true) => Ok(Resolved::Asked(after, payment.missing())),
        (Action::Close, true) => Ok(Resolved::Closed(after, payment.missing())),
    }
}

/// The end of a payment of which the provider gave no account.
fn closed(payment: &Payment) -> State {
    match (payment.intent, payment.state) {
        (Intent::Capture(_), _) => State::CaptureFailed,
        (Intent::Hold, State::Authorized) => State::AuthExpired,
        (Intent::Hold | Intent::Release, _) => State::Voided,
    }
}

/// What becomes of a refund by an operator's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundResolved {
    /// It is due: the worker looks at it, or asks for it again.
    Again(Refund),
    /// It stays failed, and another refund is made of the same amount.
    Anew(Refund),
    /// It is over, and what it reserved is free again.
    Freed(Refund),
    /// It stays failed, and nobody waits any more.
    Closed(Refund),
}

/// Decides about a refund. `is_answered`: whether the provider has answered the latest call, if with nothing that tells.
///
/// Another key is allowed where the first can do nothing any more: the worker has stopped, because it is too old; or the provider
/// has answered, and gives the same answer whenever it is used. What was never answered may still arrive, and keeps its key.
///
/// # Errors
/// [`NotNow`] if it waits for nobody, or the action does not fit.
pub fn refund(refund: &Refund, action: Action, is_answered: bool) -> Result<RefundResolved, NotNow> {
    if refund.attention.is_none() {
        return Err(NOBODY_WAITS);
    }
    let after = Refund { attention: None, failures: 0, ..refund.clone() };
    match (action, refund.state) {
        (Action::Retry, RefundState::Pending) => {
            let another_key = is_answered || refund.failures == 0;
            Ok(RefundResolved::Again(Refund { another_key, ..after }))
        }
        (Action::Close, RefundState::Pending) if refund.failures > 0 => Err(STILL_TRIED),
        (Action::Close, RefundState::Pending) => Ok(RefundResolved::Freed(Refund {
            state: RefundState::Failed,
            failure_code: Some("closed_by_an_operator".to_owned()),
            ..after
        })),
        (Action::Retry, RefundState::Failed) => Ok(RefundResolved::Anew(after)),
        (Action::Close, RefundState::Failed) => Ok(RefundResolved::Closed(after)),
        (_, RefundState::Succeeded) => Err(NOBODY_WAITS),
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
