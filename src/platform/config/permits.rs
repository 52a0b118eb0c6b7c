//! How much of the payment provider the workers use at once.

use clap::Args;

/// The default for authorizations: 2,000 requests within ten seconds, at a provider that takes 400 ms, are authorized within 40 s of the
/// first one; a trip gives up after 60 s (`docs/decisions/authorizations-first.md`).
const AUTHORIZATIONS: u32 = 40;

/// The default for everything else, for which no rider waits.
const SETTLEMENT: u32 = 16;

/// The maximum numbers of payments and refunds that a process works on at once, and so of its concurrent provider calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Args)]
pub struct PermitsConfig {
    /// Maximum number of authorizations in progress; a rider waits for each
    #[arg(id = "authorizations_max", long = "authorizations-max", env = "RIDEMATCH_AUTHORIZATIONS_MAX", value_name = "N",
          default_value_t = AUTHORIZATIONS, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub authorizations: u32,

    /// Maximum number of captures, cancellations and refunds in progress
    #[arg(id = "settlement_max", long = "settlement-max", env = "RIDEMATCH_SETTLEMENT_MAX", value_name = "N",
          default_value_t = SETTLEMENT, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub settlement: u32,
}

impl Default for PermitsConfig {
    fn default() -> Self {
        Self { authorizations: AUTHORIZATIONS, settlement: SETTLEMENT }
    }
}
