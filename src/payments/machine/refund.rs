//! What a refund may become: `pending → succeeded | failed`.
//!
//! A refund is asked for under one key until it is known what became of it. Unlike a payment intent that nobody confirmed, a
//! second refund is money, so there is never a second key while the first one is in doubt.

use super::KEY_USED_FOR;
use crate::payments::model::{Refund, RefundState, Unresolved};
use crate::platform::clock::MachineTime;

/// Where the provider's refund stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// On its way; some methods take days.
    Pending,
    /// The money went back.
    Succeeded,
    /// It will not go back.
    Failed {
        /// The provider's reason.
        code: String,
    },
}

/// What the worker does next for a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Ask for it; with the key of an earlier attempt that may have arrived.
    Send(Option<String>),
    /// Look for it in the provider's list, and do this if it is not there.
    Find(Absent),
    /// Ask how it stands.
    LookUp(String),
}

/// What to do about a refund that the provider does not list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// Ask for it again under its key, in case it is on its way.
    Again(String),
    /// Ask for it under another key: an operator has allowed that.
    Anew,
    /// Leave it to a person.
    GiveUp,
}

/// The next step. `unresolved` are attempts of which nobody knows what became of them.
pub fn next(refund: &Refund, unresolved: Option<&Unresolved>, now: MachineTime) -> Step {
    match (refund.state, &refund.provider_refund_id, unresolved) {
        (RefundState::Succeeded | RefundState::Failed, ..) => Step::Rest,
        (RefundState::Pending, Some(id), _) => Step::LookUp(id.clone()),
        (RefundState::Pending, None, None) => Step::Send(None),
        (RefundState::Pending, None, Some(sent)) => {
            let is_spent = sent.answered || now.since(sent.since) >= KEY_USED_FOR;
            match (is_spent, refund.another_key) {
                // It may be on its way: whatever an operator allowed, there is no second key beside it.
                (false, _) => Step::Send(Some(sent.key.clone())),
                (true, true) => Step::Find(Absent::Anew),
                (true, false) if now.since(sent.since) >= KEY_USED_FOR => Step::Find(Absent::GiveUp),
                (true, false) => Step::Find(Absent::Again(sent.key.clone())),
            }
        }
    }
}

/// The state of a refund whose counterpart at the provider stands at `status`. A settled one stays as it is.
pub fn learn(state: RefundState, status: &Status) -> RefundState {
    match (state, status) {
        (RefundState::Succeeded | RefundState::Failed, _) => state,
        (RefundState::Pending, Status::Pending) => RefundState::Pending,
        (RefundState::Pending, Status::Succeeded) => RefundState::Succeeded,
        (RefundState::Pending, Status::Failed { .. }) => RefundState::Failed,
    }
}
