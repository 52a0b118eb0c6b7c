//! The configuration of the payment provider.

use std::time::Duration;

use clap::Args;

use crate::platform::egress::{BaseUrl, Roots, Settings, TIMEOUT_MAX};
use crate::platform::secret::Secret;

/// The default connect timeout. A connection to a provider normally takes some tens of milliseconds.
const CONNECT_TIMEOUT_MS: u32 = 2_000;

/// The default timeout of a call. A healthy provider responds in well under a second.
const TIMEOUT_MS: u32 = 10_000;

/// The options of the payment provider.
#[derive(Debug, Clone, Args)]
pub struct ProviderConfig {
    /// Base URL of the payment provider: Stripe, or a server of its protocol
    #[arg(id = "psp_base_url", long = "psp-base-url", env = "PSP_BASE_URL", value_name = "URL")]
    pub base_url: BaseUrl,

    /// Secret key of the payment provider
    #[arg(
        id = "psp_secret_key",
        long = "psp-secret-key",
        env = "PSP_SECRET_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub secret_key: Secret,

    /// PEM file with root certificates to trust besides the system's, for a provider with a private certificate authority
    #[arg(id = "psp_ca_file", long = "psp-ca-file", env = "PSP_CA_FILE", value_name = "FILE", value_parser = Roots::read)]
    pub roots: Option<Roots>,

    /// Allow http:// to a provider on another machine, although this sends the secret key unencrypted
    #[arg(id = "psp_allow_http", long = "psp-allow-http", env = "PSP_ALLOW_HTTP")]
    pub allow_http: bool,

    /// Timeout of a connection to the provider, milliseconds
    #[arg(id = "psp_connect_timeout_ms", long = "psp-connect-timeout-ms", env = "PSP_CONNECT_TIMEOUT_MS", value_name = "MS",
          default_value_t = CONNECT_TIMEOUT_MS, value_parser = clap::value_parser!(u32).range(100..=10_000))]
    pub connect_timeout_ms: u32,

    /// Timeout of a call to the provider, connecting included, milliseconds
    #[arg(id = "psp_timeout_ms", long = "psp-timeout-ms", env = "PSP_TIMEOUT_MS", value_name = "MS",
          default_value_t = TIMEOUT_MS, value_parser = clap::value_parser!(u32).range(500..=TIMEOUT_MAX.as_millis() as i64))]
    pub timeout_ms: u32,
}

impl ProviderConfig {
    /// Creates a configuration with default timeouts.
    pub fn new(base_url: BaseUrl, secret_key: Secret) -> Self {
        let (connect_timeout_ms, timeout_ms) = (CONNECT_TIMEOUT_MS, TIMEOUT_MS);
        Self { base_url, secret_key, roots: None, allow_http: false, connect_timeout_ms, timeout_ms }
    }

    /// Checks the options against each other.
    ///
    /// # Errors
    /// A message of one line for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.base_url.is_plaintext_remote() && !self.allow_http {
            return Err(
                "invalid value for '--psp-base-url <URL>': http:// to another machine sends the secret key unencrypted; use \
                 https://, or allow it with PSP_ALLOW_HTTP=true"
                    .to_owned(),
            );
        }
        if self.connect_timeout_ms > self.timeout_ms {
            return Err(
                "invalid value for '--psp-connect-timeout-ms <MS>': must not exceed --psp-timeout-ms, which includes it"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Returns the settings of the HTTP client.
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
    fn http_to_another_machine_requires_allow_http() {
        let refused = at("http://10.0.0.1").check().expect_err("unencrypted");
        assert!(refused.contains("PSP_ALLOW_HTTP") && !refused.contains('\n'), "{refused}");
        assert_eq!(ProviderConfig { allow_http: true, ..at("http://10.0.0.1") }.check(), Ok(()));
        assert_eq!(at("http://127.0.0.1:1").check(), Ok(()));
        assert_eq!(at("https://10.0.0.1").check(), Ok(()));
    }

    #[test]
    fn connect_timeout_longer_than_timeout_is_refused() {
        let config = ProviderConfig { connect_timeout_ms: 600, timeout_ms: 500, ..at("https://x") };
        assert!(config.check().expect_err("longer").contains("--psp-connect-timeout-ms"));
    }

    #[test]
    fn debug_does_not_print_the_secret_key() {
        assert!(!format!("{:?}", at("https://x")).contains("sk_live"));
    }
}
