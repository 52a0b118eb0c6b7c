//! Signatures of deliveries after Standard Webhooks, so that its libraries verify them. See
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::platform::clock::MachineTime;

/// The secret that signs deliveries to an endpoint: 32 random bytes. Shown only in the response that creates it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Creates a secret from its bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes for the database.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text form for the receiver, `whsec_…`.
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// Returns `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base 64.
    fn sign(&self, id: &str, stamp: i64, body: &str) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(format!("{id}.{stamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Returns the three headers of a delivery. They contain one signature per secret: two during a rotation, of which a receiver needs
/// to verify one.
pub fn headers<'a>(
    secrets: impl Iterator<Item = &'a Secret>,
    id: &str,
    now: MachineTime,
    body: &str,
) -> [(&'static str, String); 3] {
    let stamp = now.utc().timestamp();
    let signatures: Vec<String> = secrets.map(|secret| secret.sign(id, stamp, body)).collect();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", stamp.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    /// Computed with the package `standardwebhooks` 1.0.0 for Python.
    const ZEROES: &str = "v1,+zDZzbE1n4tyL3Th9xsUBP+S7utu5UyaEK1oJ1wvmp0=";
    const ONES: &str = "v1,CFY42dK1pkM29bnNO71P12kAh1kz162lJLE1OTiCa/k=";

    #[test]
    fn signature_equals_that_of_another_implementation() {
        let (zeroes, ones) = (Secret::new(vec![0; 32]), Secret::new(vec![1; 32]));
        let now = MachineTime::new(DateTime::from_timestamp(1_614_265_330, 0).expect("in range"));
        let headers = headers([&zeroes, &ones].into_iter(), "evt_1", now, r#"{"a":1}"#);
        assert_eq!(headers[0].1, "evt_1");
        assert_eq!(headers[1].1, "1614265330");
        assert_eq!(headers[2].1, format!("{ZEROES} {ONES}"));
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let secret = Secret::new(vec![0; 32]);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.reveal(), "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    }
}
