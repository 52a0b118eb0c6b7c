//! What a payment may become, as pure functions over values.
//!
//! ```text
//!                 ┌─▶ declined          ┌─▶ auth_expired
//! authorizing ────┼─▶ authorized ───────┼─▶ capturing ──┬─▶ captured
//!                 │        │            │               └─▶ capture_failed
//!                 └────────┴─▶ voiding ─┴─▶ voided
//!                                  └──────▶ captured, when the provider says so: with a refund due
//! ```
//!
//! *A payment ends when its intent has ended*, and the provider's intents end in two ways: canceled, or succeeded. Until then a
//! call that was held up anywhere, by a stopped process or by the network, may still arrive and change it; afterwards none can.
//! So whatever the provider refuses is cancelled before it is called declined or failed (`docs/decisions/stale-calls.md`).
//!
//! Three questions are asked, each by somebody else: the trip asks what its wish does to a payment ([`want`]), the worker what
//! to do next ([`next`]), and then what the provider's answer means ([`learn`]). Whatever was called, the answer is the same
//! kind of fact, the provider's intent as it stands, so that an answer to a call and a look-up afterwards are learnt from alike.

pub mod refund;
pub mod resolve;
#[cfg(test)]
mod tests;

use chrono::TimeDelta;

use super::model::{Intent, Payment, Purpose, State, Unresolved};
use crate::platform::clock::MachineTime;

/// How long a call is repeated under its key. Providers forget keys after 24 hours, and a repeat under a forgotten key is a
/// new request; the hour between covers clocks that differ and calls that hang.
pub const KEY_USED_FOR: TimeDelta = TimeDelta::hours(23);

/// Where the provider's intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Made, and not confirmed.
    Unconfirmed,
    /// The bank refused the method.
    MethodRefused,
    /// The bank wants to see the cardholder.
    ActionRequired,
    /// The amount is reserved.
    Authorized,
    /// Money was taken.
    Succeeded,
    /// Over, without money.
    Canceled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unconfirmed,
        Self::MethodRefused,
        Self::ActionRequired,
        Self::Authorized,
        Self::Succeeded,
        Self::Canceled,
    ];
}

/// The provider's intent, as far as decisions depend on it. Amounts are minor units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands.
    pub status: Status,
    /// What could be captured.
    pub capturable: i64,
    /// What was taken, whatever went back since.
    pub received: i64,
    /// Why the bank refused, if it did.
    pub decline_code: Option<String>,
}

/// What the worker has learnt from the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The intent as it stands.
    Seen(Seen),
    /// A call was refused for good, and this is the intent after it, if there is one.
    Refused {
        /// The provider's reason.
        code: String,
        /// The intent.
        seen: Option<Seen>,
    },
    /// There is no intent: none was ever asked for, or a finished request did not make one.
    Absent,
}

/// A wish that a payment cannot follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// The state of a payment once the trip wants `wish` of it.
///
/// # Errors
/// [`Refused`] if the payment is not held: it has had another wish before, or has ended.
pub fn want(payment: &Payment, wish: Intent) -> Result<State, Refused> {
    match (payment.state, payment.intent, wish) {
        (_, _, Intent::Hold) => Err(Refused),
        // Its answer is on the way, and is judged by the new wish.
        (State::Authorizing, Intent::Hold, _) => Ok(State::Authorizing),
        (State::Authorized, Intent::Hold, wish) => Ok(held(wish)),
        // The whole grid is a test, so that a new state cannot hide here.
        _ => Err(Refused),
    }
}

/// The state of a payment whose amount is reserved.
fn held(intent: Intent) -> State {
    match intent {
        Intent::Hold => State::Authorized,
        Intent::Capture(_) => State::Capturing,
        Intent::Release => State::Voiding,
    }
}

/// What the worker does next for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// Make the intent; with the key of an earlier attempt that may not have arrived.
    Create(Option<String>),
    /// Look for the intent in the provider's list: a create was answered, and the answer did not say, or its key is too old.
    Find(MachineTime),
    /// There is nothing at the provider to release: no call is needed.
    Forget,
    /// Confirm it.
    Confirm,
    /// Capture so many minor units.
    Capture(i64),
    /// Cancel it.
    Cancel,
    /// Ask how it stands.
    LookUp,
}

/// The next step. `unresolved` is the call, if there is one, of which nobody knows what became of it.
///
/// Such a call is first found out about, never simply made again: confirm, capture and cancel by a look at the intent. A create
/// is repeated under its key while it may still be on its way, because one that is absent today may arrive tomorrow; once it was
/// answered, or its key is too old, the provider's list tells. An intent that is not in it is made anew, under a new key: nobody
/// confirms a second one, and unconfirmed it moves no money.
pub fn next(payment: &Payment, unresolved: Option<&Unresolved>, now: MachineTime) -> Step {
    let is_given_up = payment.intent == Intent::Release || payment.decline_code.is_some();
    match (payment.state, &payment.provider_intent_id, unresolved) {
        (State::Captured | State::Declined | State::Voided | State::AuthExpired | State::CaptureFailed, ..) => {
            Step::Rest
        }
        (State::Authorizing, None, None) if is_given_up => Step::Forget,
        (State::Authorizing, None, None) => Step::Create(None),
        (State::Authorizing, None, Some(create)) if create.answered || now.since(create.since) >= KEY_USED_FOR => {
            Step::Find(create.since)
        }
        (State::Authorizing, None, Some(create)) => Step::Create(Some(create.key.clone())),
        (State::Authorizing | State::Authorized | State::Capturing | State::Voiding, _, Some(_)) => Step::LookUp,
        (State::Authorizing, Some(_), None) if is_given_up => Step::Cancel,
        (State::Authorizing, Some(_), None) => Step::Confirm,
        (State::Authorized, _, None) => Step::Rest,
        (State::Capturing, _, None) if is_given_up => Step::Cancel,
        (State::Capturing, _, None) => match payment.intent {
            Intent::Capture(amount) => Step::Capture(amount),
            // The database refuses such a row.
            Intent::Hold | Intent::Release => Step::LookUp,
        },
        (State::Voiding, _, None) => Step::Cancel,
    }
}

/// The payment after `news` of it. A terminal state stays as it is, whatever comes.
///
/// What was taken and should not have been is reserved for a refund: whoever writes the payment writes the refund with it.
pub fn learn(payment: &Payment, news: &News) -> Payment {
    if payment.state.is_terminal() {
        return payment.clone();
    }
    let is_known = payment.provider_intent_id.is_some();
    match (news, payment.state) {
        (News::Seen(seen), _) => see(payment, seen),
        (News::Absent | News::Refused { seen: None, .. }, State::Authorizing)
            if !is_known && payment.intent == Intent::Release =>
        {
            ended(State::Voided, payment)
        }
        // It will be asked for anew. That may go on for a while, so the failures are not forgotten.
        (News::Absent, State::Authorizing) if !is_known => Payment { attention: None, ..payment.clone() },
        (News::Absent, _) => look_at(payment, "the provider has no intent for it".to_owned()),
        (News::Refused { code, seen: None }, State::Authorizing) if !is_known => declined(payment, code),
        (News::Refused { code, seen: None }, _) => {
            look_at(payment, format!("the provider does not show its intent: {code}"))
        }
        (News::Refused { code, seen: Some(seen) }, state) => match (state, seen.status) {
            (State::Authorizing, Status::Unconfirmed) | (State::Capturing, Status::Authorized) => doomed(payment, code),
            (State::Authorizing, Status::MethodRefused) => {
                doomed(payment, seen.decline_code.as_deref().unwrap_or(code))
            }
            _ => see(payment, seen),
        },
    }
}

/// The payment, now that the provider's intent was seen.
fn see(payment: &Payment, seen: &Seen) -> Payment {
    use State::{AuthExpired, Authorized, Authorizing, CaptureFailed, Captured, Capturing, Declined, Voided, Voiding};
    match (payment.state, seen.status) {
        (Captured | Declined | Voided | AuthExpired | CaptureFailed, _) => payment.clone(),
        (Authorizing | Authorized | Capturing | Voiding, Status::Succeeded) => captured(payment, seen),

        (Authorizing, Status::Unconfirmed) => heard(payment),
        (Authorizing, Status::MethodRefused) => {
            doomed(payment, seen.decline_code.as_deref().unwrap_or("payment_method_refused"))
        }
        (Authorizing, Status::ActionRequired) => doomed(payment, "requires_action"),
        (Authorizing | Authorized, Status::Authorized) => authorized(payment, seen),
        (Authorizing, Status::Canceled) => match payment.intent {
            Intent::Release => ended(Voided, payment),
            Intent::Hold | Intent::Capture(_) => declined(payment, "canceled"),
        },

        (Authorized, Status::Canceled) => lost(AuthExpired, payment),
        (Capturing, Status::Authorized) => heard(payment),
        (Capturing, Status::Canceled) => lost(CaptureFailed, payment),
        (Authorized | Capturing, Status::Unconfirmed | Status::MethodRefused | Status::ActionRequired) => {
            look_at(payment, format!("it was authorised, and the provider says {:?}", seen.status))
        }

        (Voiding, Status::Canceled) => ended(Voided, payment),
        // Whatever else there is has still to be cancelled.
        (Voiding, Status::Unconfirmed | Status::MethodRefused | Status::ActionRequired | Status::Authorized) => {
            heard(payment)
        }
    }
}

/// The provider has answered: what troubled earlier calls is over.
fn heard(payment: &Payment) -> Payment {
    Payment { failures: 0, attention: None, ..payment.clone() }
}

fn ended(state: State, payment: &Payment) -> Payment {
    Payment { state, ..heard(payment) }
}

/// Its authorisation is gone. Unless another payment takes its place, or nobody owes it, a person has to look.
fn lost(state: State, payment: &Payment) -> Payment {
    let after = ended(state, payment);
    if replacement(&after).is_some() || after.purpose == Purpose::Tip {
        return after;
    }
    let why = after.decline_code.as_ref().map(|code| format!(": {code}")).unwrap_or_default();
    let owed = after.missing();
    let owed = if owed > 0 { format!(", and {owed} of it are owed") } else { String::new() };
    look_at(&after, format!("its authorisation is gone{why}{owed}"))
}

/// What is wanted of the payment that takes this one's place, if one does. One that lost its authorisation is replaced once: the
/// hold is made anew, or the debt is asked for. What takes a place is not replaced itself: then it is a person's.
pub fn replacement(payment: &Payment) -> Option<Intent> {
    match (payment.state, payment.intent, payment.replaces) {
        (State::AuthExpired, Intent::Hold, None) => Some(Intent::Hold),
        (State::CaptureFailed, Intent::Capture(_), None) if payment.missing() > 0 => {
            Some(Intent::Capture(payment.missing()))
        }
        _ => None,
    }
}

fn look_at(payment: &Payment, attention: String) -> Payment {
    Payment { attention: Some(attention), ..heard(payment) }
}

/// It will have failed as soon as its intent is cancelled: until then a call that is late could still succeed. The first reason
/// stays.
fn doomed(payment: &Payment, code: &str) -> Payment {
    let decline_code = payment.decline_code.clone().or_else(|| Some(code.to_owned()));
    Payment { decline_code, ..heard(payment) }
}

/// It is over, and nothing is reserved. What was to be captured is owed still.
fn declined(payment: &Payment, code: &str) -> Payment {
    let after = Payment { state: State::Declined, ..doomed(payment, code) };
    let owed = after.missing();
    Payment { attention: (owed > 0).then(|| format!("declined, and {owed} of it are owed")), ..after }
}

fn authorized(payment: &Payment, seen: &Seen) -> Payment {
    if seen.capturable != payment.amount.amount {
        return look_at(payment, format!("{} reserved, {} asked for", seen.capturable, payment.amount.amount));
    }
    let state = match payment.decline_code {
        Some(_) => State::Authorizing,
        None => held(payment.intent),
    };
    Payment { state, authorized: seen.capturable, ..heard(payment) }
}

/// Money was taken. What nobody wanted taken goes back; while the trip is under way a person decides.
fn captured(payment: &Payment, seen: &Seen) -> Payment {
    let received = seen.received;
    if !(1..=payment.amount.amount).contains(&received) {
        return look_at(payment, format!("{received} taken, {} asked for", payment.amount.amount));
    }
    let (due_back, attention) = match payment.intent {
        Intent::Capture(wanted) if received < wanted => (0, Some(format!("{received} taken, {wanted} wanted"))),
        Intent::Capture(wanted) => (received - wanted, None),
        Intent::Release => (received, None),
        Intent::Hold => (0, Some("taken while it was only to be held".to_owned())),
    };
    Payment {
        state: State::Captured,
        authorized: payment.authorized.max(received),
        captured: received,
        refund_reserved: due_back,
        decline_code: None,
        attention,
        ..heard(payment)
    }
}
