//! The provider's events: is one really the provider's, and which intent should be looked at? What an event says about money is
//! never believed. So an event that is late, doubled, out of order or lost does no harm, and one that is forged costs a look-up
//! at most, if it could be forged.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::platform::clock::MachineTime;

/// How far an event's time stamp may be off: what the provider's own libraries allow. Older ones may be recorded ones, played
/// again.
pub const TOLERANCE_S: i64 = 300;

/// Signatures looked at in one header. While a secret is being changed there are two.
const SIGNATURES_MAX: usize = 8;

/// The secret that the provider signs with, `whsec_…`. Never shown.
#[derive(Clone)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// Takes the secret as the provider shows it, prefix included.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// Why an event is not taken for the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// The header is not `t=<seconds>,v1=<hex>…`.
    #[error("`Stripe-Signature` must be `t=<seconds>,v1=<hex>`")]
    Header,
    /// None of the signatures is that of the payload under our secret.
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
pub fn verify(secret: &WebhookSecret, header: &str, body: &[u8], now: MachineTime) -> Result<(), Forged> {
    let pairs = || header.split(',').filter_map(|pair| pair.trim().split_once('='));
    let stamp = pairs().find_map(|(name, value)| (name == "t").then_some(value)).ok_or(Forged::Header)?;
    let seconds: i64 = stamp.parse().map_err(|_| Forged::Header)?;
    let shown: Vec<&str> =
        pairs().filter(|(name, _)| *name == "v1").map(|(_, value)| value).take(SIGNATURES_MAX).collect();
    if shown.is_empty() {
        return Err(Forged::Header);
    }
    let ours = signature(secret, stamp, body);
    let fits = shown.iter().fold(Choice::from(0), |any, one| any | one.as_bytes().ct_eq(ours.as_bytes()));
    if !bool::from(fits) {
        return Err(Forged::Signature);
    }
    let off = now.utc().timestamp().abs_diff(seconds);
    if off > TOLERANCE_S.unsigned_abs() { Err(Forged::TimeStamp) } else { Ok(()) }
}

fn signature(secret: &WebhookSecret, stamp: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(stamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// The provider's id of the intent that an event is about: of the intent itself, or of its charge or refund.
///
/// # Errors
/// If the body is not an event.
pub fn intent_of(body: &[u8]) -> Result<Option<String>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Event {
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
    let object = serde_json::from_slice::<Event>(body)?.data.object;
    let intent = if object.object.as_deref() == Some("payment_intent") { object.id } else { object.payment_intent };
    // The provider's ids are printable. What is not is nobody's id, and PostgreSQL would refuse a NUL in a text.
    Ok(intent.filter(|id| id.bytes().all(|byte| byte.is_ascii_graphic())))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    const AT: i64 = 1_492_774_577;
    /// Computed with `printf '%s' '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    const FITS: &str = "7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2";
    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn check(header: &str, body: &[u8], seconds_later: i64) -> Result<(), Forged> {
        let now = MachineTime::new(DateTime::from_timestamp(AT + seconds_later, 0).expect("in range"));
        verify(&WebhookSecret::new("whsec_test"), header, body, now)
    }

    #[test]
    fn a_signature_as_another_implementation_makes_it() {
        assert_eq!(check(&format!("t={AT},v1={FITS}"), BODY, 0), Ok(()));
    }

    #[test]
    fn one_of_several_signatures_is_enough() {
        assert_eq!(check(&format!("t={AT},v1={OTHER},v0={OTHER},v1={FITS}"), BODY, 0), Ok(()));
        assert_eq!(check(&format!("t={AT}, v1={FITS} ,v1={OTHER}"), BODY, 0), Ok(()));
    }

    #[test]
    fn another_secret_body_stamp_or_scheme_does_not_fit() {
        let header = format!("t={AT},v1={FITS}");
        let now = MachineTime::new(DateTime::from_timestamp(AT, 0).expect("in range"));
        assert_eq!(verify(&WebhookSecret::new("whsec_other"), &header, BODY, now), Err(Forged::Signature));
        assert_eq!(check(&header, br#"{"id":"evt_2"}"#, 0), Err(Forged::Signature));
        assert_eq!(check(&format!("t={},v1={FITS}", AT + 1), BODY, 0), Err(Forged::Signature));
        assert_eq!(check(&format!("t={AT},v0={FITS}"), BODY, 0), Err(Forged::Header));
        assert_eq!(check(&format!("t={AT},v1={}", &FITS[..63]), BODY, 0), Err(Forged::Signature));
    }

    #[test]
    fn a_header_that_is_something_else_is_refused() {
        let without_value = format!("v1={FITS}");
        for header in ["", "t=", "t=soon,v1=00", "nonsense", &without_value, "t=1492774577"] {
            assert_eq!(check(header, BODY, 0), Err(Forged::Header), "{header}");
        }
    }

    #[test]
    fn a_time_stamp_may_be_five_minutes_off_and_no_more() {
        let header = format!("t={AT},v1={FITS}");
        for (seconds_later, verdict) in [
            (TOLERANCE_S, Ok(())),
            (-TOLERANCE_S, Ok(())),
            (TOLERANCE_S + 1, Err(Forged::TimeStamp)),
            (-TOLERANCE_S - 1, Err(Forged::TimeStamp)),
        ] {
            assert_eq!(check(&header, BODY, seconds_later), verdict, "{seconds_later} s");
        }
    }

    #[test]
    fn only_signatures_after_the_eighth_are_not_looked_at() {
        let many = format!("v1={OTHER},").repeat(SIGNATURES_MAX);
        assert_eq!(check(&format!("t={AT},{many}v1={FITS}"), BODY, 0), Err(Forged::Signature));
    }

    #[test]
    fn an_event_names_its_intent_directly_or_by_its_charge_or_refund() {
        let of = |text: &str| intent_of(text.as_bytes()).expect("an event");
        assert_eq!(of(r#"{"data":{"object":{"object":"payment_intent","id":"pi_1"}}}"#).as_deref(), Some("pi_1"));
        assert_eq!(
            of(r#"{"data":{"object":{"object":"refund","id":"re_1","payment_intent":"pi_1"}}}"#).as_deref(),
            Some("pi_1")
        );
        assert_eq!(of(r#"{"data":{"object":{"object":"customer","id":"cus_1"}}}"#), None);
        assert_eq!(of("{\"data\":{\"object\":{\"object\":\"payment_intent\",\"id\":\"pi_\\u0000\"}}}"), None);
        assert!(intent_of(b"[]").is_err());
    }
}
