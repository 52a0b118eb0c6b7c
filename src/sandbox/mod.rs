//! The sandbox: tokens for any role, a settable domain clock, the console with its live map, the SQL of a request, faults of the
//! payment provider, a kill switch and a reset; the design book, and the rehearsal of an interview.
//!
//! Compiled only with the feature `sandbox`, and open only when [`Flags`] say so. It decides nothing about trips or money, and
//! nothing but the start-up imports it.

mod audits;
pub mod book;
pub mod console;
pub mod live;
pub mod map_features;
mod provider;
pub mod rehearsal;
mod reset;
pub mod routes;
mod sql_recorder;
pub mod state_machines;
pub mod store;
pub mod streets;
pub mod supervisor;
mod timeline;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::payments::PaymentsContext;
use crate::platform::auth::{ExpectedClaims, TokenKey};
use crate::platform::config::Config;
use crate::platform::error::Result;

pub use audits::Audits;
pub use live::LiveMap;
use provider::Provider;
pub use rehearsal::Rehearsal;
pub use sql_recorder::SqlRecorder;
pub use streets::StreetFollower;

/// Flags of `serve` that open parts of the sandbox. None is for production.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Flags {
    /// Open the sandbox: tokens for any role without authentication, a settable clock, the console
    #[arg(long, env = "RIDEMATCH_SANDBOX")]
    pub sandbox: bool,

    /// Let webhooks go to this machine, over http too
    #[arg(long, env = "RIDEMATCH_WEBHOOK_LOOPBACK")]
    pub webhook_loopback: bool,

    /// Directory of the sessions at /rehearse; without it, there are none
    #[arg(long, env = "RIDEMATCH_REHEARSAL_DIR", value_name = "DIR")]
    pub rehearsal_dir: Option<PathBuf>,

    /// Directory of the results of `cargo lab`, which settle the bets of a rehearsal
    #[arg(long, env = "RIDEMATCH_LAB_DIR", value_name = "DIR")]
    pub lab_dir: Option<PathBuf>,

    /// Address at which partners of a rehearsal on other machines reach their pages, and nothing else
    #[arg(long, env = "RIDEMATCH_PARTNER_LISTEN", value_name = "ADDRESS", value_parser = partner_address)]
    pub partner_listen: Option<SocketAddr>,

    /// A supervisor reads standard output, kills this process on request and starts it again
    #[arg(long, hide = true)]
    pub supervised: bool,
}

/// Reads the address for partners.
///
/// # Errors
/// It is none, or has no port of its own: the link names the port.
pub fn partner_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an IP address and a port, such as 0.0.0.0:8090".to_owned())?;
    if address.port() == 0 {
        return Err("the link names the port: write one, such as 0.0.0.0:8090".to_owned());
    }
    Ok(address)
}

/// What the sandbox's routes need beside the platform.
#[derive(Debug)]
pub struct Sandbox {
    sql_recorder: SqlRecorder,
    provider: Provider,
    token_key: TokenKey,
    expected_claims: ExpectedClaims,
    /// A reset waits until its provider calls have ended.
    payments: PaymentsContext,
    live: LiveMap,
    is_supervised: bool,
}

impl Sandbox {
    /// Composes the sandbox. The caller runs `live`.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(
        config: &Config,
        flags: Flags,
        sql_recorder: SqlRecorder,
        payments: PaymentsContext,
        live: LiveMap,
    ) -> Result<Self> {
        let provider = Provider::new(&config.psp)?;
        Ok(Self {
            sql_recorder,
            provider,
            token_key: config.token_key(),
            expected_claims: config.expected_claims(),
            payments,
            live,
            is_supervised: flags.supervised,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_for_partners_has_a_port_that_a_link_can_name() {
        assert_eq!(partner_address("0.0.0.0:8090").map(|address| address.port()), Ok(8090));
        for unusable in ["0.0.0.0:0", "8090", "[::1]:", "host:8090", ""] {
            let error = partner_address(unusable).unwrap_err();
            assert!(error.contains("such as 0.0.0.0:8090"), "{unusable}: {error}");
        }
    }
}
