//! What came back of a call, and what that says: about the request, and about the provider.
//!
//! | what came back | the request | the provider |
//! | --- | --- | --- |
//! | no connection, no agreement on TLS, a certificate of nobody we trust | not sent | ill |
//! | a time-out, a reset or a half answer once the request was on its way | unknown, not answered | ill |
//! | 2xx that can be read | done | well |
//! | 2xx that cannot, 3xx (never followed: the next host is not whom we have a key for), 1xx | unknown, answered | ill |
//! | 401, 403: the key is wrong, or may not do this | not sent | ill: it is so for every call, and an operator has to look |
//! | 409: the first request under this key still runs | unknown, not answered | well |
//! | 429: too fast, or the object is locked | not sent | ill, and rests as long as `Retry-After` says |
//! | 4xx of type `card_error` or `invalid_request_error` | refused | well |
//! | 4xx of type `idempotency_error`: the key belongs to another request, which is a bug of ours | unknown, answered | well |
//! | another 4xx: a proxy's page, or a type that nobody knows | unknown, answered | ill |
//! | 5xx | unknown, answered: the provider stores it under the key | ill, and rests as long as `Retry-After` says |
//!
//! So a refusal is only what says so in the provider's own words: everything that is merely not a success stays unknown, and is
//! found out about. An object in a done answer whose status we do not know is unknown as well (`wire`), and the provider is well.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::breaker::Health;
use super::wire::WireFailure;
use super::{Answer, short};
use crate::platform::egress::{Failure, Reply};

/// What the end of a call says about the request, and about the provider.
pub(super) fn classify<T: DeserializeOwned>(end: Result<Reply, Failure>) -> (Answer<T>, Health) {
    let ill = Health::Ill { rest: Duration::ZERO };
    let reply = match end {
        Ok(reply) => reply,
        Err(Failure::NotSent(why)) => return (Answer::NotSent { why: short(&why) }, ill),
        Err(Failure::NoAnswer(why)) => return (Answer::Unknown { answered: false, why: short(&why) }, ill),
    };
    let status = reply.status;
    let resting = Health::Ill { rest: reply.retry_after.unwrap_or_default() };
    match status {
        200..=299 => match serde_json::from_slice(&reply.body) {
            Ok(object) => (Answer::Done(object), Health::Well),
            // Where it went wrong, and not what stands there: it may be about somebody's card.
            Err(error) => {
                (answered(status, &format!("cannot be read from line {} column {}", error.line(), error.column())), ill)
            }
        },
        401 | 403 => {
            tracing::error!(status, "the provider does not accept the secret key: check PSP_SECRET_KEY");
            (not_sent(status, "the provider does not accept our key"), ill)
        }
        409 => (Answer::Unknown { answered: false, why: format!("{status} the key is in use") }, Health::Well),
        429 => (not_sent(status, "too many requests"), resting),
        400..=499 => refusal(&reply),
        500..=599 => (answered(status, "from the provider"), resting),
        _ => (answered(status, "is no answer to an API's call"), ill),
    }
}

/// What an answer of 400 to 499 says.
fn refusal<T: DeserializeOwned>(reply: &Reply) -> (Answer<T>, Health) {
    let status = reply.status;
    let ill = Health::Ill { rest: Duration::ZERO };
    let Ok(WireFailure { error }) = serde_json::from_slice(&reply.body) else {
        return (answered(status, "without a reason"), ill);
    };
    match error.kind.as_deref() {
        Some("card_error" | "invalid_request_error") => {
            let code = error.decline_code.or(error.code).or(error.kind).unwrap_or_default();
            let object = error.payment_intent.and_then(|intent| serde_json::from_value(intent).ok());
            (Answer::Refused { code: short(&code), object }, Health::Well)
        }
        Some("idempotency_error") => {
            tracing::error!(status, "an idempotency key was used for two different requests");
            (answered(status, "the key belongs to another request"), Health::Well)
        }
        other => (answered(status, &format!("of the unknown type {other:?}")), ill),
    }
}

fn answered<T>(status: u16, what: &str) -> Answer<T> {
    Answer::Unknown { answered: true, why: short(&format!("{status} {what}")) }
}

fn not_sent<T>(status: u16, what: &str) -> Answer<T> {
    Answer::NotSent { why: format!("{status} {what}") }
}
