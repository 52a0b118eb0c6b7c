//! Who is calling: bearer JWTs with `sub`, `role` and `exp`, signed by one algorithm that the configuration names. The token's
//! own idea of its algorithm is only ever compared with that, so `none` and key confusion lead nowhere.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::clock::MachineTime;
use super::error::{Code, Error, Refusal, Result};
use super::ids::{DriverId, GatewayId, Id, OpsId, RiderId};

/// What a caller may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks for rides and pays for them.
    Rider,
    /// Drives.
    Driver,
    /// A device gateway: sends the positions of many drivers.
    Gateway,
    /// Operates the service.
    Ops,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rider, Self::Driver, Self::Gateway, Self::Ops];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Driver => "driver",
            Self::Gateway => "gateway",
            Self::Ops => "ops",
        }
    }

    /// Reads a subject's id, whose prefix must be this role's.
    pub fn parse_subject(self, text: &str) -> Result<Uuid, super::ids::InvalidId> {
        Ok(match self {
            Self::Rider => text.parse::<RiderId>()?.uuid(),
            Self::Driver => text.parse::<DriverId>()?.uuid(),
            Self::Gateway => text.parse::<GatewayId>()?.uuid(),
            Self::Ops => text.parse::<OpsId>()?.uuid(),
        })
    }

    /// Writes a subject's id with this role's prefix.
    pub fn format_subject(self, subject: Uuid) -> String {
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
    /// What he is.
    pub role: Role,
    /// Who he is, within the role.
    pub subject: Uuid,
}

impl Caller {
    /// The caller as a rider, if he is one.
    pub fn rider(self) -> Option<RiderId> {
        (self.role == Role::Rider).then(|| self.subject.into())
    }

    /// The caller as a driver, if he is one.
    pub fn driver(self) -> Option<DriverId> {
        (self.role == Role::Driver).then(|| self.subject.into())
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role.format_subject(self.subject))
    }
}

/// What tokens are checked against, by configuration.
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

/// What a good token says.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Whose it is.
    pub caller: Caller,
    /// When it ends, seconds since 1970.
    exp: i64,
}

impl Pass {
    /// Whether it is good no longer. Only what goes on after its request has begun need ask.
    pub fn has_expired(&self, now: MachineTime) -> bool {
        self.exp <= now.utc().timestamp()
    }
}

/// Checks tokens and, where it holds a secret, makes them.
pub struct Tokens {
    decoding: DecodingKey,
    encoding: Option<EncodingKey>,
    validation: Validation,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({:?})", self.validation.algorithms)
    }
}

impl Tokens {
    /// Takes the key that the configuration names.
    ///
    /// # Errors
    /// If a public key cannot be read.
    pub fn new(key: &TokenKey) -> Result<Self, jsonwebtoken::errors::Error> {
        let (decoding, encoding, algorithm) = match key {
            TokenKey::Secret(secret) => (
                DecodingKey::from_secret(secret.as_bytes()),
                Some(EncodingKey::from_secret(secret.as_bytes())),
                Algorithm::HS256,
            ),
            TokenKey::Ed25519(pem) => (DecodingKey::from_ed_pem(pem.as_bytes())?, None, Algorithm::EdDSA),
            TokenKey::Rsa(pem) => (DecodingKey::from_rsa_pem(pem.as_bytes())?, None, Algorithm::RS256),
        };
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.validate_exp = false; // against our own clock, below
        validation.validate_aud = false;
        Ok(Self { decoding, encoding, validation })
    }

    /// Reads the `Authorization` header.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`], with a detail that helps an honest caller and nobody else.
    pub fn authenticate(&self, header: Option<&str>, now: MachineTime) -> Result<Pass> {
        let refuse = |detail: &str| Error::from(Refusal::new(Code::Unauthenticated, detail));
        let header = header.ok_or_else(|| refuse("Send `Authorization: Bearer <token>`."))?;
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(refuse("The `Authorization` header must be `Bearer <token>`.")),
        };
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| refuse("The token is malformed, or not signed with our key."))?
            .claims;
        let subject = claims
            .role
            .parse_subject(&claims.sub)
            .map_err(|_| refuse("The token's subject does not belong to its role."))?;
        let pass = Pass { caller: Caller { role: claims.role, subject }, exp: claims.exp };
        if pass.has_expired(now) {
            return Err(refuse("The token has expired. Get a new one."));
        }
        Ok(pass)
    }

    /// Makes a token; `None` where only a public key is known.
    pub fn issue(&self, caller: Caller, expires_at: MachineTime) -> Option<String> {
        let claims = Claims { sub: caller.to_string(), role: caller.role, exp: expires_at.utc().timestamp() };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, self.encoding.as_ref()?).ok()
    }
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub fn same_secret(a: &[u8], b: &[u8]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a, b).into()
}
