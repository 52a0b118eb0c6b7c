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
//! | 4xx of type `card_error` or `invalid_request_error` | refused | ok |
//! | 4xx of type `idempotency_error`: the key was used for another request, which is a bug of ours | unknown, answered | ok |
//! | another 4xx: a proxy's page, or an unknown type | unknown, answered | failing |
//! | 5xx | unknown, answered: the provider stores it under the key | failing, for as long as `Retry-After` says |
//!
//! Only an explicit refusal in the provider's protocol is a refusal. Everything else that is no success stays unknown, and is looked
//! up. An object with an unknown status is unknown as well (`wire`), and the provider is ok.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::breaker::CallHealth;
use super::wire::WireFailure;
use super::{ProviderResult, shortened};
use crate::platform::egress::{CallFailure, CallResponse};

const FAILING: CallHealth = CallHealth::Failing { retry_after: Duration::ZERO };

/// Returns what the end of a call says about the request, and about the provider.
pub(super) fn classify<T: DeserializeOwned>(end: Result<CallResponse, CallFailure>) -> (ProviderResult<T>, CallHealth) {
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
        400..=499 => refusal(&response),
        500..=599 => (answered(status, "from the provider"), failing_for_now),
        _ => (answered(status, "is not expected of an API"), FAILING),
    }
}

/// Returns what a response of 400 to 499 says.
fn refusal<T: DeserializeOwned>(response: &CallResponse) -> (ProviderResult<T>, CallHealth) {
    let status = response.status;
    let Ok(WireFailure { error }) = serde_json::from_slice(&response.body) else {
        return (answered(status, "without a reason"), FAILING);
    };
    match error.kind.as_deref() {
        Some("card_error" | "invalid_request_error") => {
            let code = error.decline_code.or(error.code).or(error.kind).unwrap_or_default();
            let object = error.payment_intent.and_then(|intent| serde_json::from_value(intent).ok());
            (ProviderResult::Refused { code: shortened(&code), object }, CallHealth::Ok)
        }
        Some("idempotency_error") => {
            tracing::error!(status, "an idempotency key was used for two different requests");
            (answered(status, "the key belongs to another request"), CallHealth::Ok)
        }
        other => (answered(status, &format!("of the unknown type {other:?}")), FAILING),
    }
}

fn answered<T>(status: u16, what: &str) -> ProviderResult<T> {
    ProviderResult::Unknown { answered: true, why: shortened(&format!("{status} {what}")) }
}

fn not_sent<T>(status: u16, what: &str) -> ProviderResult<T> {
    ProviderResult::NotSent { why: format!("{status} {what}") }
}
