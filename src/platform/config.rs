//! The configuration of the service: flags and environment variables. `main.rs` and `startup.rs` read all of it; each module gets
//! only its own part.

mod permits;
mod provider;
pub mod retention;
mod streets;

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;

pub use self::permits::PermitsConfig;
pub use self::provider::ProviderConfig;
pub use self::retention::RetentionConfig;
pub use self::streets::StreetFile;
use super::auth::{ExpectedClaims, TokenKey, Tokens};
use super::match_policy::MatchPolicy;
use super::secret::Secret;
use super::switch::Switch;

/// The maximum number of webhook secrets that are valid at the same time. During a rotation there are two.
pub const WEBHOOK_SECRETS_MAX: usize = 4;

/// The options of the service. Each has an environment variable. Not `Debug`, because it contains secrets.
#[derive(Clone, Args)]
pub struct Config {
    /// URL of the PostgreSQL database (14 or newer): postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", value_parser = database_url, hide_env_values = true)]
    pub database_url: String,

    /// Address to listen on
    #[arg(long, env = "RIDEMATCH_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Address of the administrative listener, with /metrics, /healthz and /readyz; without it, nothing serves /metrics
    #[arg(long, env = "RIDEMATCH_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<SocketAddr>,

    /// Maximum number of database connections
    #[arg(long, env = "RIDEMATCH_POOL_MAX", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub pool_max: u32,

    /// Number of HTTP worker threads
    #[arg(long, env = "RIDEMATCH_HTTP_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub http_workers: u16,

    /// Secret of at least 32 bytes to verify HS256 tokens with
    #[arg(long, env = "RIDEMATCH_JWT_SECRET", value_parser = jwt_secret, hide_env_values = true, conflicts_with = "jwt_public_key",
          required_unless_present = "jwt_public_key")]
    pub jwt_secret: Option<String>,

    /// PEM file with the public key (Ed25519 or RSA) to verify tokens with
    #[arg(long, env = "RIDEMATCH_JWT_PUBLIC_KEY", value_name = "FILE", value_parser = public_key)]
    pub jwt_public_key: Option<TokenKey>,

    /// Issuer (`iss`) that every token must name; by default any or none
    #[arg(long, env = "RIDEMATCH_JWT_ISSUER", value_name = "ISSUER", value_parser = claim)]
    pub jwt_issuer: Option<String>,

    /// Audience (`aud`) that every token must name; by default tokens with an audience are refused
    #[arg(long, env = "RIDEMATCH_JWT_AUDIENCE", value_name = "AUDIENCE", value_parser = claim)]
    pub jwt_audience: Option<String>,

    /// The payment provider.
    #[command(flatten)]
    pub psp: ProviderConfig,

    /// How much of the provider is used at once.
    #[command(flatten)]
    pub permits: PermitsConfig,

    /// Secret to verify the provider's webhooks with; `new,old` during a rotation
    #[arg(long, env = "PSP_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = secrets)]
    pub psp_webhook_secret: Secret,

    /// Requests per second that each caller may send, on average
    #[arg(long, env = "RIDEMATCH_RATE_LIMIT", default_value = "100")]
    pub rate_limit: NonZeroU32,

    /// How drivers are assigned to trips: all trips at once (`batched`), or each in turn gets the nearest (`nearest`)
    #[arg(long, env = "RIDEMATCH_MATCH_POLICY", default_value = "batched", value_parser = match_policy)]
    pub match_policy: MatchPolicy,

    /// Latest estimated pickup, in seconds after the request: a driver who would come later gets no offer, and the search ends then; by default none
    #[arg(long, env = "RIDEMATCH_PICKUP_WITHIN_S", value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub pickup_within_s: Option<u32>,

    /// Street map for drive times: node-link JSON, as of OSMnx; without it, drive times are estimated from distances
    #[arg(long, env = "RIDEMATCH_STREETS", value_name = "FILE", value_parser = StreetFile::read)]
    pub streets: Option<StreetFile>,

    /// Whether prices rise where demand exceeds supply: `on` or `off`
    #[arg(long, env = "RIDEMATCH_SURGE", default_value = "off", value_name = "on|off", value_parser = switch)]
    pub surge: Switch,

    /// Whether idle drivers get hints where demand exceeds supply: `on` or `off`
    #[arg(long, env = "RIDEMATCH_HINTS", default_value = "off", value_name = "on|off", value_parser = switch)]
    pub hints: Switch,

    /// The retention.
    #[command(flatten)]
    pub retention: RetentionConfig,

    /// Log filter: a level, or `info,ridematch=debug`
    #[arg(long, env = "RIDEMATCH_LOG", default_value = "info")]
    pub log: String,

    /// Exit at the end of standard input, so that the process ends with its supervisor
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

impl Config {
    /// Returns the key that tokens are verified with.
    pub fn token_key(&self) -> TokenKey {
        match (&self.jwt_secret, &self.jwt_public_key) {
            (Some(secret), _) => TokenKey::Secret(secret.clone()),
            (None, Some(key)) => key.clone(),
            (None, None) => unreachable!("clap requires one of the two"),
        }
    }

    /// Returns the issuer and the audience of tokens.
    pub fn expected_claims(&self) -> ExpectedClaims {
        ExpectedClaims { issuer: self.jwt_issuer.clone(), audience: self.jwt_audience.clone() }
    }
}

fn database_url(text: &str) -> Result<String, String> {
    text.parse::<sqlx::postgres::PgConnectOptions>().map_err(|error| format!("not a PostgreSQL URL: {error}"))?;
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(text.to_owned())
    } else {
        Err("must start with postgres://".to_owned())
    }
}

fn jwt_secret(text: &str) -> Result<String, String> {
    // RFC 7518, 3.2: a key of HS256 is at least as long as the hash.
    if text.len() >= 32 { Ok(text.to_owned()) } else { Err("must have at least 32 bytes".to_owned()) }
}

fn match_policy(text: &str) -> Result<MatchPolicy, String> {
    MatchPolicy::parse(text)
        .ok_or_else(|| format!("must be one of: {}", MatchPolicy::ALL.map(MatchPolicy::as_str).join(", ")))
}

fn switch(text: &str) -> Result<Switch, String> {
    Switch::parse(text).ok_or_else(|| format!("must be one of: {}", Switch::ALL.map(Switch::as_str).join(", ")))
}

fn claim(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Parses one or several secrets, separated by commas.
fn secrets(text: &str) -> Result<Secret, String> {
    let invalid = |part: &str| part.parse::<Secret>().err();
    match text.split(',').find_map(invalid) {
        Some(invalid) => Err(invalid.to_string()),
        None if text.split(',').count() > WEBHOOK_SECRETS_MAX => {
            Err(format!("must be at most {WEBHOOK_SECRETS_MAX} secrets"))
        }
        None => Ok(Secret::new(text)),
    }
}

fn public_key(path: &str) -> Result<TokenKey, String> {
    let pem = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let keys = [TokenKey::Ed25519(pem.clone()), TokenKey::Rsa(pem)];
    keys.into_iter().find(|key| Tokens::new(key, ExpectedClaims::default()).is_ok()).ok_or_else(|| {
        "contains neither an Ed25519 public key nor an RSA public key of 2048 to 8192 bits in PEM".to_owned()
    })
}
