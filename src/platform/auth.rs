//! Authentication by bearer JWTs with `sub`, `role` and `exp`. The configuration names the one accepted algorithm, so that the
//! token's header cannot choose another one (`none`, key confusion).

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    role: Role,
    exp: i64,
}

/// A verified token.
#[derive(Debug, Clone, Copy)]
pub struct VerifiedToken {
    /// The caller.
    pub caller: Caller,
    /// The expiry, Unix seconds.
    exp: i64,
}

impl VerifiedToken {
    /// Whether the token has expired. For streams, which outlive the check at the start of a request.
    pub fn is_expired(&self, now: MachineTime) -> bool {
        self.exp <= now.utc().timestamp()
    }
}

/// The DER of an RSA public key with 2048 bits and the smallest exponent, bytes. ring verifies no signature of a shorter key.
const RSA_KEY_BYTES_MIN: usize = 268;

fn rsa_key(pem: &str) -> Result<DecodingKey, jsonwebtoken::errors::Error> {
    let key = DecodingKey::from_rsa_pem(pem.as_bytes())?;
    if key.try_get_as_bytes()?.len() < RSA_KEY_BYTES_MIN {
        return Err(ErrorKind::InvalidRsaKey("it has fewer than 2048 bits".to_owned()).into());
    }
    Ok(key)
}

/// Verifies bearer tokens.
pub struct Tokens {
    decoding: DecodingKey,
    validation: Validation,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({:?})", self.validation.algorithms)
    }
}

impl Tokens {
    /// Creates a verifier for a key.
    ///
    /// # Errors
    /// If a public key cannot be parsed.
    pub fn new(key: &TokenKey) -> Result<Self, jsonwebtoken::errors::Error> {
        super::crypto::install();
        let (decoding, algorithm) = match key {
            TokenKey::Secret(secret) => (DecodingKey::from_secret(secret.as_bytes()), Algorithm::HS256),
            TokenKey::Ed25519(pem) => (DecodingKey::from_ed_pem(pem.as_bytes())?, Algorithm::EdDSA),
            TokenKey::Rsa(pem) => (rsa_key(pem)?, Algorithm::RS256),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_exp = false; // checked below, against our clock
        validation.validate_aud = false;
        Ok(Self { decoding, validation })
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
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| refuse("The token is malformed, or not signed with the service's key. Get a new one."))?
            .claims;
        let subject = claims
            .role
            .parse_subject(&claims.sub)
            .map_err(|_| refuse("The token's subject does not have the prefix of its role."))?;
        let token = VerifiedToken { caller: Caller { role: claims.role, subject }, exp: claims.exp };
        if token.is_expired(now) {
            return Err(refuse("The token has expired. Get a new one."));
        }
        Ok(token)
    }
}

#[cfg(feature = "sandbox")]
impl TokenKey {
    /// Issues a token; `None` if this is a public key.
    pub fn issue(&self, caller: Caller, expires_at: MachineTime) -> Option<String> {
        let Self::Secret(secret) = self else { return None };
        super::crypto::install();
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let claims = Claims { sub: caller.to_string(), role: caller.role, exp: expires_at.utc().timestamp() };
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
        assert!(Tokens::new(&TokenKey::Rsa(pem("rsa.pub.pem"))).is_ok());
        assert!(Tokens::new(&TokenKey::Rsa(pem("rsa1024.pub.pem"))).is_err());
    }
}
