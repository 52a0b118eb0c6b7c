//! The configuration of the production service: flags and environment variables. `main.rs` and `startup.rs` read it whole; a
//! room gets its own part.

mod provider;

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;

pub use self::provider::ProviderConfig;
use super::auth::TokenKey;
use super::secret::Secret;

/// Secrets that the provider may sign with at the same time, at most. While one is being changed there are two.
pub const WEBHOOK_SECRETS_MAX: usize = 4;

/// How to run the service. Every option can be given by the environment variable that `--help` names.
/// It holds secrets, so it has no `Debug`.
#[derive(Clone, Args)]
pub struct Config {
    /// PostgreSQL, 14 or newer: postgres://user:password@host/database
    #[arg(long, env = "DATABASE_URL", value_parser = database_url, hide_env_values = true)]
    pub database_url: String,

    /// Address to listen on
    #[arg(long, env = "RIDEMATCH_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Database connections at most
    #[arg(long, env = "RIDEMATCH_POOL_MAX", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=500))]
    pub pool_max: u32,

    /// HTTP worker threads
    #[arg(long, env = "RIDEMATCH_HTTP_WORKERS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub http_workers: u16,

    /// Secret of at least 32 bytes that HS256 tokens are signed with
    #[arg(long, env = "RIDEMATCH_JWT_SECRET", value_parser = jwt_secret, hide_env_values = true, conflicts_with = "jwt_public_key",
          required_unless_present = "jwt_public_key")]
    pub jwt_secret: Option<String>,

    /// File with the PEM public key (Ed25519 or RSA) that tokens are signed with
    #[arg(long, env = "RIDEMATCH_JWT_PUBLIC_KEY", value_name = "FILE", value_parser = public_key)]
    pub jwt_public_key: Option<TokenKey>,

    /// The payment provider.
    #[command(flatten)]
    pub psp: ProviderConfig,

    /// The secret that the provider signs its webhooks with; `new,old` while it is being changed
    #[arg(long, env = "PSP_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = secrets)]
    pub psp_webhook_secret: Secret,

    /// Requests a second that one caller may make, on average
    #[arg(long, env = "RIDEMATCH_RATE_LIMIT", default_value = "100")]
    pub rate_limit: NonZeroU32,

    /// What to log: a level, or `info,ridematch=debug`
    #[arg(long, env = "RIDEMATCH_LOG", default_value = "info")]
    pub log: String,

    /// Open the sandbox: tokens for everybody, and a domain clock that can be set. Never in production
    #[arg(long, env = "RIDEMATCH_SANDBOX")]
    pub sandbox: bool,

    /// Let webhooks go to this machine as well, by http too: for development. Never in production
    #[arg(long, env = "RIDEMATCH_WEBHOOK_LOOPBACK")]
    pub webhook_loopback: bool,

    /// A supervisor reads standard output, kills this process when it finds a wish for that there, and starts it again
    #[arg(long, hide = true)]
    pub supervised: bool,

    /// Exit when standard input ends: for supervisors that may die
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

impl Config {
    /// What tokens are checked against.
    pub fn token_key(&self) -> TokenKey {
        match (&self.jwt_secret, &self.jwt_public_key) {
            (Some(secret), _) => TokenKey::Secret(secret.clone()),
            (None, Some(key)) => key.clone(),
            (None, None) => unreachable!("clap demands one of the two"),
        }
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
    // RFC 7518, 3.2: the key of HS256 has at least the size of the hash.
    if text.len() >= 32 { Ok(text.to_owned()) } else { Err("must have at least 32 bytes".to_owned()) }
}

/// One secret, or several with commas between them.
fn secrets(text: &str) -> Result<Secret, String> {
    let wrong = |part: &str| part.parse::<Secret>().err();
    match text.split(',').find_map(wrong) {
        Some(wrong) => Err(wrong.to_string()),
        None if text.split(',').count() > WEBHOOK_SECRETS_MAX => {
            Err(format!("must not be more than {WEBHOOK_SECRETS_MAX} secrets"))
        }
        None => Ok(Secret::new(text)),
    }
}

fn public_key(path: &str) -> Result<TokenKey, String> {
    let pem = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    let keys = [TokenKey::Ed25519(pem.clone()), TokenKey::Rsa(pem)];
    keys.into_iter()
        .find(|key| super::auth::Tokens::new(key).is_ok())
        .ok_or_else(|| "holds neither an Ed25519 nor an RSA public key in PEM".to_owned())
}
