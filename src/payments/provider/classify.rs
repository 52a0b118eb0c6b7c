//! What the end of a call says about the request, and about the provider.
//!
//! | end of the call | the request | the provider |
//! | --- | --- | --- |
//! | no connection, no TLS session, an untrusted certificate | not sent | failing |
//! | a time-out, a reset or a partial response after the request was sent | unknown, not answered | failing |
//! | 2xx that can be read | done | ok |
//! | 2xx that cannot, 3xx (never followed: the key is for this host only), 1xx | unknown, answered | failing |
//! | 401, 403: the key is wrong or lacks the permission | not sent | failing: every call is affected, and an operator must act |
//! | 409: the first request under this key is still running | unknown, not answered | ok |
//! | 429: rate limit, or a locked object | not sent | failing, for as long as `Retry-After` says |
//! | 4xx of type `card_error` or `invalid_request_error` | refused or rejected, see below | ok |
//! | 4xx of type `idempotency_error`: the key was used for another request, which is a bug of ours | unknown, answered | ok |
//! | another 4xx: a proxy's page, or an unknown type | unknown, answered | failing |
//! | 5xx | unknown, answered: the provider stores it under the key | failing, for as long as `Retry-After` says |
//!
//! Only an explicit refusal in the provider's protocol is a refusal. Everything else that is no success stays unknown, and is looked
//! up. An object with an unknown status is unknown as well (`wire`), and the provider is ok.
//!
//! A `card_error` or an `invalid_request_error` means:
//!
//! | call | code | the request |
//! | --- | --- | --- |
//! | capture | one of [`HOLD_IS_GONE`]: the money cannot be captured any more | refused |
//! | capture, cancel | any other: a mistake in the request, a lock, a limit, a problem of the account | rejected |
//! | create, confirm, refund, a read | any | refused |
//!
//! A refused create, confirm or refund can be made again by the rider or an operator. A hold that is given up is gone. So a refused
//! capture ends the hold only by a code that proves the end, and a rejected one is repeated while an operator looks into it.
//! `payment_intent_unexpected_state` proves nothing by itself: the intent is looked up, and its status decides.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::breaker::CallHealth;
use super::wire::{WireError, WireFailure};
use super::{ProviderResult, shortened};
use crate::payments::model::ProviderOperation;
use crate::platform::egress::{CallFailure, CallResponse};

const FAILING: CallHealth = CallHealth::Failing { retry_after: Duration::ZERO };

/// The codes that prove that a hold cannot be captured: the bank or the provider has ended the authorization.
const HOLD_IS_GONE: [&str; 2] = ["capture_charge_authorization_expired", "charge_expired_for_capture"];

/// What an error in the provider's protocol says about the request.
enum ErrorMeaning {
    Refused,
    Rejected,
    KeyOfAnotherRequest,
    Unrecognized,
}

/// Returns what an error of this type and code means. `operation`: `None` for a read.
fn meaning(operation: Option<ProviderOperation>, error: &WireError) -> ErrorMeaning {
    use ProviderOperation::{Cancel, Capture, Confirm, Create, Refund};
    match (operation, error.kind.as_deref(), error.code.as_deref()) {
        (_, Some("idempotency_error"), _) => ErrorMeaning::KeyOfAnotherRequest,
        (Some(Capture), Some("card_error" | "invalid_request_error"), Some(code)) if HOLD_IS_GONE.contains(&code) => {
            ErrorMeaning::Refused
        }
        (Some(Capture | Cancel), Some("card_error" | "invalid_request_error"), _) => ErrorMeaning::Rejected,
        (None | Some(Create | Confirm | Refund), Some("card_error" | "invalid_request_error"), _) => {
            ErrorMeaning::Refused
        }
        (_, Some(_) | None, _) => ErrorMeaning::Unrecognized,
    }
}

/// Returns what the end of a call says about the request, and about the provider. `operation`: `None` for a read.
pub(super) fn classify<T: DeserializeOwned>(
    operation: Option<ProviderOperation>,
    end: Result<CallResponse, CallFailure>,
) -> (ProviderResult<T>, CallHealth) {
    let response = match end {
        Ok(response) => response,
        Err(CallFailure::NotSent(why)) => return (ProviderResult::NotSent { why: shortened(&why) }, FAILING),
        Err(CallFailure::NoResponse(why)) => {
            return (ProviderResult::Unknown { answered: false, why: shortened(&why) }, FAILING);
        }
    };
    let status = response.status;
    let failing_for_now = CallHealth::Failing { retry_after: response.retry_after.unwrap_or_default() };
    match status {
        200..=299 => match serde_json::from_slice(&response.body) {
            Ok(object) => (ProviderResult::Done(object), CallHealth::Ok),
            // The position of the error, not the text: it may contain card data.
            Err(error) => {
                let what = format!("cannot be read from line {} column {}", error.line(), error.column());
                (answered(status, &what), FAILING)
            }
        },
        401 | 403 => {
            tracing::error!(status, "the provider rejects the secret key: check PSP_SECRET_KEY");
            (not_sent(status, "the provider rejects our key"), FAILING)
        }
        409 => {
            let why = format!("{status} the key is in use");
            (ProviderResult::Unknown { answered: false, why }, CallHealth::Ok)
        }
        429 => (not_sent(status, "too many requests"), failing_for_now),
        400..=499 => of_error(operation, &response),
        500..=599 => (answered(status, "from the provider"), failing_for_now),
        _ => (answered(status, "is not expected of an API"), FAILING),
    }
}

/// Returns what a response of 400 to 499 says.
fn of_error<T: DeserializeOwned>(
    operation: Option<ProviderOperation>,
    response: &CallResponse,
) -> (ProviderResult<T>, CallHealth) {
    let status = response.status;
    let Ok(WireFailure { error }) = serde_json::from_slice(&response.body) else {
        return (answered(status, "without a reason"), FAILING);
    };
    match meaning(operation, &error) {
        ErrorMeaning::Refused => {
            let (code, object) = reason(error);
            (ProviderResult::Refused { code, object }, CallHealth::Ok)
        }
        ErrorMeaning::Rejected => {
            let (code, object) = reason(error);
            (ProviderResult::Rejected { code, object }, CallHealth::Ok)
        }
        ErrorMeaning::KeyOfAnotherRequest => {
            tracing::error!(status, "an idempotency key was used for two different requests");
            (answered(status, "the key belongs to another request"), CallHealth::Ok)
        }
        ErrorMeaning::Unrecognized => (answered(status, &format!("of the unknown type {:?}", error.kind)), FAILING),
    }
}

/// Returns the code of an error, and the intent that it shows.
fn reason<T: DeserializeOwned>(error: WireError) -> (String, Option<T>) {
    let code = error.decline_code.or(error.code).or(error.kind).unwrap_or_default();
    (shortened(&code), error.payment_intent.and_then(|intent| serde_json::from_value(intent).ok()))
}

fn answered<T>(status: u16, what: &str) -> ProviderResult<T> {
    ProviderResult::Unknown { answered: true, why: shortened(&format!("{status} {what}")) }
}

fn not_sent<T>(status: u16, what: &str) -> ProviderResult<T> {
    ProviderResult::NotSent { why: format!("{status} {what}") }
}
