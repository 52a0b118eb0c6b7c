//! Where the payment provider is, and how it is called.

use std::time::Duration;

use clap::Args;

use crate::platform::egress::{BaseUrl, Roots, Settings, TIMEOUT_MAX};
use crate::platform::secret::Secret;

/// A connection to a provider takes a few tens of milliseconds, or will not be made.
const CONNECT_TIMEOUT_MS: u32 = 2_000;

/// A provider answers in well under a second, or is in trouble.
const TIMEOUT_MS: u32 = 10_000;

/// The payment provider, for whoever has to call it.
#[derive(Debug, Clone, Args)]
pub struct ProviderConfig {
    /// The payment provider: Stripe's address, or psp-sim's
    #[arg(id = "psp_base_url", long = "psp-base-url", env = "PSP_BASE_URL", value_name = "URL")]
    pub base_url: BaseUrl,

    /// The provider's secret key
    #[arg(
        id = "psp_secret_key",
        long = "psp-secret-key",
        env = "PSP_SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub secret_key: Secret,

    /// PEM file with root certificates to trust beside the system's, for a provider with a private one
    #[arg(id = "psp_ca_file", long = "psp-ca-file", env = "PSP_CA_FILE", value_name = "FILE", value_parser = Roots::read)]
    pub roots: Option<Roots>,

    /// Call the provider by http:// although it is on another machine: the secret key can be read on the way
    #[arg(id = "psp_allow_http", long = "psp-allow-http", env = "PSP_ALLOW_HTTP")]
    pub allow_http: bool,

    /// How long a connection to the provider may take to be made, milliseconds
    #[arg(id = "psp_connect_timeout_ms", long = "psp-connect-timeout-ms", env = "PSP_CONNECT_TIMEOUT_MS", value_name = "MS",
          default_value_t = CONNECT_TIMEOUT_MS, value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub connect_timeout_ms: u32,

    /// How long a call to the provider may take in all, milliseconds
    #[arg(id = "psp_timeout_ms", long = "psp-timeout-ms", env = "PSP_TIMEOUT_MS", value_name = "MS",
          default_value_t = TIMEOUT_MS, value_parser = clap::value_parser!(u32).range(500..=TIMEOUT_MAX.as_millis() as i64))]
    pub timeout_ms: u32,
}

impl ProviderConfig {
    /// The provider at `base_url`, with everything else as it is when nothing is said.
    pub fn new(base_url: BaseUrl, secret_key: Secret) -> Self {
        let (connect_timeout_ms, timeout_ms) = (CONNECT_TIMEOUT_MS, TIMEOUT_MS);
        Self { base_url, secret_key, roots: None, allow_http: false, connect_timeout_ms, timeout_ms }
    }

    /// What the options are together; each alone has been looked at.
    ///
    /// # Errors
    /// One line for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.base_url.is_readable_on_the_way() && !self.allow_http {
            return Err(
                "invalid value for '--psp-base-url <URL>': http:// to another machine shows the secret key to \
                        whoever is on the way; use https://, or say that it may (PSP_ALLOW_HTTP=true)"
                    .to_owned(),
            );
        }
        if self.connect_timeout_ms > self.timeout_ms {
            return Err(
                "invalid value for '--psp-connect-timeout-ms <MS>': longer than --psp-timeout-ms, which it is a \
                        part of"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// How its calls are made.
    pub fn egress(&self) -> Settings {
        let ms = |ms: u32| Duration::from_millis(ms.into());
        Settings {
            connect_timeout: ms(self.connect_timeout_ms),
            timeout: ms(self.timeout_ms),
            roots: self.roots.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> ProviderConfig {
        ProviderConfig::new(url.parse().expect(url), Secret::new("sk_live_secret"))
    }

    #[test]
    fn a_secret_key_travels_in_clear_only_where_that_was_said() {
        let refused = at("http://10.0.0.1").check().expect_err("in clear");
        assert!(refused.contains("PSP_ALLOW_HTTP") && !refused.contains('\n'), "{refused}");
        assert_eq!(ProviderConfig { allow_http: true, ..at("http://10.0.0.1") }.check(), Ok(()));
        assert_eq!(at("http://127.0.0.1:1").check(), Ok(()));
        assert_eq!(at("https://10.0.0.1").check(), Ok(()));
    }

    #[test]
    fn connecting_is_a_part_of_the_call() {
        let config = ProviderConfig { connect_timeout_ms: 600, timeout_ms: 500, ..at("https://x") };
        assert!(config.check().expect_err("longer").contains("--psp-connect-timeout-ms"));
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", at("https://x")).contains("sk_live"));
    }
}
