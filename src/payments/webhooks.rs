//! The provider's events: verifies the signature, and reads which intent to look up.
//!
//! Invariant: nothing that an event says about money is used. So a late, repeated, reordered or lost event does no harm. [`inbox`]
//! stores an event before it is handled, once by its id.

pub mod inbox;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::platform::clock::MachineTime;
use crate::platform::config::WEBHOOK_SECRETS_MAX;
use crate::platform::error::{Code, FieldError, Refusal, Result};
use crate::platform::http::json::field_error;

/// How far an event's timestamp may be off, as in the provider's own libraries. It bounds replays of recorded events.
pub const TOLERANCE_S: i64 = 300;

/// The maximum number of signatures checked in one header. Two are usual while a secret is being rotated.
const SIGNATURES_MAX: usize = 8;

/// The provider's signing secrets, `whsec_…`: one, or the new and the old one during a rotation. Never logged.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<String>);

impl WebhookSecrets {
    /// Reads a comma-separated list of secrets, prefix included.
    ///
    /// # Errors
    /// What is wrong with the list, without the secrets.
    pub fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        let secrets: Vec<String> = text.split(',').map(|secret| secret.trim().to_owned()).collect();
        match secrets.len() {
            _ if secrets.iter().any(String::is_empty) => Err("must not be empty, nor have an empty part"),
            1..=WEBHOOK_SECRETS_MAX => Ok(Self(secrets)),
            _ => Err("must not be more than four secrets"),
        }
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecrets(…)")
    }
}

/// Why an event's signature is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// The header is not `t=<seconds>,v1=<hex>…`.
    #[error("`Stripe-Signature` must be `t=<seconds>,v1=<hex>`")]
    Header,
    /// No signature matches the body under any of our secrets.
    #[error("no signature in `Stripe-Signature` matches the body")]
    Signature,
    /// The timestamp is more than [`TOLERANCE_S`] off.
    #[error("the signature's timestamp is more than {TOLERANCE_S} s off")]
    Timestamp,
}

/// Verifies the `Stripe-Signature` header of an event: a hexadecimal HMAC-SHA256 of the timestamp, a dot and the raw body. The
/// timestamp is signed too, and checked after the signature. See <https://docs.stripe.com/webhooks#verify-manually>.
///
/// # Errors
/// [`InvalidSignature`]
pub fn verify(
    secrets: &WebhookSecrets,
    header: &str,
    body: &[u8],
    now: MachineTime,
) -> std::result::Result<(), InvalidSignature> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let stamp = pairs().find_map(|(name, value)| (name == "t").then_some(value)).ok_or(InvalidSignature::Header)?;
    let seconds: i64 = stamp.parse().map_err(|_| InvalidSignature::Header)?;
    let shown: Vec<&str> =
        pairs().filter(|(name, _)| *name == "v1").map(|(_, value)| value).take(SIGNATURES_MAX).collect();
    if shown.is_empty() {
        return Err(InvalidSignature::Header);
    }
    // Every secret is compared with every signature, so that the duration reveals nothing.
    let ours = secrets.0.iter().map(|secret| signature(secret, stamp, body));
    let is_valid = ours.fold(Choice::from(0), |any, ours| {
        shown.iter().fold(any, |any, one| any | one.as_bytes().ct_eq(ours.as_bytes()))
    });
    if !bool::from(is_valid) {
        return Err(InvalidSignature::Signature);
    }
    let off = now.utc().timestamp().abs_diff(seconds);
    if off > TOLERANCE_S.unsigned_abs() { Err(InvalidSignature::Timestamp) } else { Ok(()) }
}

fn signature(secret: &str, stamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// The stored part of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundEvent {
    /// The provider's id, `evt_…`.
    pub id: String,
    /// The event's type. It chooses what is looked up, and says nothing about the result.
    pub kind: String,
    /// The payment intent that it is about, or whose charge or refund it is about; `None` for other objects.
    pub intent_id: Option<String>,
}

/// The longest id of the provider, and the longest type that is stored.
const ID_BYTES_MAX: usize = 255;

/// Reads an event.
///
/// # Errors
/// 400 with the field: the body is not JSON, or not an event with an id.
pub fn parse_event(body: &[u8]) -> Result<InboundEvent> {
    #[derive(Deserialize)]
    #[serde(expecting = "an event: an object with `id` and `data`")]
    struct Whole {
        id: String,
        #[serde(default)]
        r#type: String,
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        object: Object,
    }
    #[derive(Deserialize)]
    struct Object {
        id: Option<String>,
        object: Option<String>,
        payment_intent: Option<String>,
    }
    let read = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(body));
    let Whole { id, r#type, data: Data { object } } =
        read.map_err(|error| malformed(field_error(error.path(), error.inner())))?;
    if !is_id(&id) {
        let detail = format!("must be 1 to {ID_BYTES_MAX} visible ASCII characters");
        return Err(malformed(FieldError { pointer: "/id".to_owned(), detail }).into());
    }
    let intent_id = if object.object.as_deref() == Some("payment_intent") { object.id } else { object.payment_intent };
    // An invalid id belongs to no payment, and PostgreSQL rejects a NUL character in a text.
    let kind = Some(r#type).filter(|kind| is_id(kind)).unwrap_or_default();
    Ok(InboundEvent { id, kind, intent_id: intent_id.filter(|id| is_id(id)) })
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn malformed(fault: FieldError) -> Refusal {
    Refusal::new(Code::Malformed, format!("Invalid event: {}.", fault.detail)).field(fault.pointer, fault.detail)
}

#[cfg(test)]
mod tests;
