//! The provider's events: is one really the provider's, and which intent should be looked at? What an event says about money is
//! never believed. So an event that is late, doubled, out of order or lost does no harm, and one that is forged costs a look-up
//! at most, if it could be forged.
//!
//! An event is stored before it is handled: [`inbox`] does both. An event's id is stored once, so its second delivery does nothing.

pub mod inbox;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::platform::clock::MachineTime;
use crate::platform::config::WEBHOOK_SECRETS_MAX;
use crate::platform::error::{Code, FieldError, Refusal, Result};
use crate::platform::http::json::at_fault;

/// How far an event's time stamp may be off: what the provider's own libraries allow. Older ones may be recorded ones, played
/// again.
pub const TOLERANCE_S: i64 = 300;

/// Signatures looked at in one header. While a secret is being changed there are two.
const SIGNATURES_MAX: usize = 8;

/// The secrets that the provider may sign with, `whsec_…`: one, or the new and the old one while it is being changed. Never shown.
#[derive(Clone)]
pub struct WebhookSecrets(Vec<String>);

impl WebhookSecrets {
    /// Reads secrets as the provider shows them, prefix included, with commas between them.
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

/// Why an event is not taken for the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// The header is not `t=<seconds>,v1=<hex>…`.
    #[error("`Stripe-Signature` must be `t=<seconds>,v1=<hex>`")]
    Header,
    /// None of the signatures is that of the payload under one of our secrets.
    #[error("no signature in `Stripe-Signature` fits the body")]
    Signature,
    /// The time stamp is more than [`TOLERANCE_S`] off.
    #[error("the signature's time stamp is more than {TOLERANCE_S} s off")]
    TimeStamp,
}

/// Checks the `Stripe-Signature` header of an event: an HMAC-SHA256, in hexadecimal, of the time stamp, a dot and the raw body.
/// The time stamp is signed too, and only looked at when the signature fits. See <https://docs.stripe.com/webhooks#verify-manually>.
///
/// # Errors
/// [`Forged`]
pub fn verify(
    secrets: &WebhookSecrets,
    header: &str,
    body: &[u8],
    now: MachineTime,
) -> std::result::Result<(), Forged> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let stamp = pairs().find_map(|(name, value)| (name == "t").then_some(value)).ok_or(Forged::Header)?;
    let seconds: i64 = stamp.parse().map_err(|_| Forged::Header)?;
    let shown: Vec<&str> =
        pairs().filter(|(name, _)| *name == "v1").map(|(_, value)| value).take(SIGNATURES_MAX).collect();
    if shown.is_empty() {
        return Err(Forged::Header);
    }
    // Every secret and every signature is looked at, whichever fits, so that the time taken says nothing.
    let ours = secrets.0.iter().map(|secret| signature(secret, stamp, body));
    let fits = ours.fold(Choice::from(0), |any, ours| {
        shown.iter().fold(any, |any, one| any | one.as_bytes().ct_eq(ours.as_bytes()))
    });
    if !bool::from(fits) {
        return Err(Forged::Signature);
    }
    let off = now.utc().timestamp().abs_diff(seconds);
    if off > TOLERANCE_S.unsigned_abs() { Err(Forged::TimeStamp) } else { Ok(()) }
}

fn signature(secret: &str, stamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// What is kept of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The provider's id of it.
    pub id: String,
    /// What it says has happened. For people: nothing depends on it.
    pub kind: String,
    /// The provider's id of the intent that it is about: of the intent itself, or of its charge or refund. `None` if it is about
    /// something else.
    pub intent: Option<String>,
}

/// The longest id that the provider gives out, and the longest kind that is kept.
const ID_BYTES_MAX: usize = 255;

/// Reads an event.
///
/// # Errors
/// 400 that names the field: the body is not JSON, or not an event with an id.
pub fn read(body: &[u8]) -> Result<Event> {
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
        read.map_err(|error| malformed(at_fault(error.path(), error.inner())))?;
    if !is_id(&id) {
        let detail = format!("must be 1 to {ID_BYTES_MAX} visible ASCII characters");
        return Err(malformed(FieldError { pointer: "/id".to_owned(), detail }).into());
    }
    let intent = if object.object.as_deref() == Some("payment_intent") { object.id } else { object.payment_intent };
    // What is no id is nobody's, and PostgreSQL would refuse a NUL in a text.
    let kind = Some(r#type).filter(|kind| is_id(kind)).unwrap_or_default();
    Ok(Event { id, kind, intent: intent.filter(|id| is_id(id)) })
}

fn is_id(text: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn malformed(fault: FieldError) -> Refusal {
    Refusal::new(Code::Malformed, format!("The event cannot be read: {}.", fault.detail))
        .field(fault.pointer, fault.detail)
}

#[cfg(test)]
mod tests;
