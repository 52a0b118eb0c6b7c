//! Authentication by bearer JWTs with `sub`, `role` and `exp`. The configuration names the one accepted algorithm, so that the
//! token's header cannot choose another one (`none`, key confusion).

mod jwt;
mod rsa;

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::value::RawValue;
use uuid::Uuid;

pub use self::jwt::ExpectedClaims;
use self::jwt::{Claims, Header};

use super::clock::MachineTime;
use super::error::{Code, Error, Refusal, Result};
use super::ids::{DriverId, GatewayId, Id, OpsId, RiderId};
use super::names::string_enum;

string_enum! {
    /// The role of a caller.
    pub enum Role {
        /// Requests rides and pays for them.
        Rider = "rider",
        /// Drives.
        Driver = "driver",
        /// A device gateway: sends the positions of many drivers.
        Gateway = "gateway",
        /// Operates the service.
        Ops = "ops",
    }
}

impl Role {
    /// Parses a subject. Its prefix must belong to this role.
    pub fn parse_subject(self, text: &str) -> Result<Uuid, super::ids::InvalidId> {
        Ok(match self {
            Self::Rider => text.parse::<RiderId>()?.uuid(),
            Self::Driver => text.parse::<DriverId>()?.uuid(),
            Self::Gateway => text.parse::<GatewayId>()?.uuid(),
            Self::Ops => text.parse::<OpsId>()?.uuid(),
        })
    }

    /// Formats a subject with this role's prefix.
    fn format_subject(self, subject: Uuid) -> String {
        match self {
            Self::Rider => RiderId::from(subject).to_string(),
            Self::Driver => DriverId::from(subject).to_string(),
            Self::Gateway => GatewayId::from(subject).to_string(),
            Self::Ops => OpsId::from(subject).to_string(),
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The role.
    pub role: Role,
    /// The id within the role.
    pub subject: Uuid,
}

impl Caller {
    /// Returns the caller's id if they are a rider.
    pub fn rider(self) -> Option<RiderId> {
        (self.role == Role::Rider).then(|| self.subject.into())
    }

    /// Returns the caller's id if they are a driver.
    pub fn driver(self) -> Option<DriverId> {
        (self.role == Role::Driver).then(|| self.subject.into())
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role.format_subject(self.subject))
    }
}

/// The configured key that tokens are verified with.
#[derive(Clone)]
pub enum TokenKey {
    /// HS256 with a shared secret.
    Secret(String),
    /// EdDSA (Ed25519) with a public key in PEM.
    Ed25519(String),
    /// RS256 with a public key in PEM.
    Rsa(String),
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "HS256 secret",
            Self::Ed25519(_) => "EdDSA public key",
            Self::Rsa(_) => "RS256 public key",
        })
    }
}

/// A verified token.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedToken {
    /// The caller.
    pub caller: Caller,
    expires_at: MachineTime,
}

impl VerifiedToken {
    /// Whether the token has expired. For streams, which outlive the check at the start of a request.
    pub fn is_expired(&self, now: MachineTime) -> bool {
        self.expires_at <= now
    }

    /// Returns the time until the token expires, zero if it has.
    pub fn time_left(&self, now: MachineTime) -> Duration {
        self.expires_at.since(now).to_std().unwrap_or_default()
    }
}

/// Parses an RSA public key, and refuses one whose signatures could never be verified.
fn rsa_key(pem: &str) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    let key = DecodingKey::from_rsa_pem(pem.as_bytes())?;
    match rsa::modulus_bits(key.try_get_as_bytes()?) {
        Some(bits) if rsa::MODULUS_BITS.contains(&bits) => Ok(key),
        Some(bits) => Err(ErrorKind::InvalidRsaKey(format!("its modulus has {bits} bits")).into()),
        None => Err(ErrorKind::InvalidKeyFormat.into()),
    }
}

/// Verifies bearer tokens.
pub struct Tokens {
    decoding: DecodingKey,
    validation: Validation,
    expected: ExpectedClaims,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({:?})", self.validation.algorithms)
    }
}

impl Tokens {
    /// Creates a verifier of tokens that are signed with a key and have the expected claims.
    ///
    /// # Errors
    /// If a public key cannot be parsed.
    pub fn new(key: &TokenKey, expected: ExpectedClaims) -> Result<Self, jsonwebtoken::errors::Error> {
        super::crypto::install();
        let (decoding, algorithm) = match key {
            TokenKey::Secret(secret) => (DecodingKey::from_secret(secret.as_bytes()), Algorithm::HS256),
            TokenKey::Ed25519(pem) => (DecodingKey::from_ed_pem(pem.as_bytes())?, Algorithm::EdDSA),
            TokenKey::Rsa(pem) => (rsa_key(pem)?, Algorithm::RS256),
        };
        // The library verifies the signature. The claims are checked here: by our clock, with fractions, and those of the wrong type too.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self { decoding, validation, expected })
    }

    /// Verifies the `Authorization` header.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`], with a detail that reveals nothing about the key.
    pub fn authenticate(&self, header: Option<&str>, now: MachineTime) -> Result<VerifiedToken> {
        let refuse = |detail: &str| Error::from(Refusal::new(Code::Unauthenticated, detail));
        let header = header
            .ok_or_else(|| refuse("The `Authorization` header is missing. Send `Authorization: Bearer <token>`."))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(refuse("The `Authorization` header has another form than `Bearer <token>`.")),
        };
        let unreadable = || refuse("The token is malformed, or not signed with the service's key. Get a new one.");
        let verified = jsonwebtoken::decode::<Box<RawValue>>(token, &self.decoding, &self.validation);
        let claims = verified.ok().and_then(|verified| Claims::read(verified.claims.get())).ok_or_else(unreadable)?;
        Header::read(token).ok_or_else(unreadable)?.check().map_err(refuse)?;
        claims.check(&self.expected, now).map_err(refuse)?;
        let subject = claims
            .role
            .parse_subject(&claims.sub)
            .map_err(|_| refuse("The token's subject does not have the prefix of its role."))?;
        let token = VerifiedToken { caller: Caller { role: claims.role, subject }, expires_at: claims.expires_at() };
        if token.is_expired(now) {
            return Err(refuse("The token has expired. Get a new one."));
        }
        Ok(token)
    }
}

#[cfg(feature = "sandbox")]
impl TokenKey {
    /// Issues a token with the expected claims; `None` if this is a public key.
    pub fn issue(&self, caller: Caller, expires_at: MachineTime, expected: &ExpectedClaims) -> Option<String> {
        let Self::Secret(secret) = self else { return None };
        super::crypto::install();
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let mut claims = serde_json::json!({
            "sub": caller.to_string(),
            "role": caller.role.as_str(),
            "exp": expires_at.utc().timestamp(),
        });
        for (name, value) in [("iss", &expected.issuer), ("aud", &expected.audience)] {
            if let Some(value) = value {
                claims[name] = value.as_str().into();
            }
        }
        jsonwebtoken::encode(&jsonwebtoken::Header::new(Algorithm::HS256), &claims, &key).ok()
    }
}

/// Compares two secrets in constant time.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsa_key_below_2048_bits_is_refused() {
        let pem = |name: &str| std::fs::read_to_string(format!("tests/api/authorization/{name}")).unwrap();
        let accepts = |name: &str| Tokens::new(&TokenKey::Rsa(pem(name)), ExpectedClaims::default()).is_ok();
        assert!(accepts("rsa.pub.pem"));
        assert!(!accepts("rsa1024.pub.pem"));
        // As long as a key of 2048 bits, because its exponent is.
        assert!(!accepts("rsa1024-long-exponent.pub.pem"));
    }
}
