//! The configuration of the retention: for how long rows are kept that no command needs.

use chrono::TimeDelta;
use clap::Args;

/// The periods that an operator can set, in days; `docs/operations/retention.md` has all of them.
#[derive(Debug, Clone, Copy, Args)]
pub struct RetentionConfig {
    /// Days for which the offers and events of a trip are kept after its end
    #[arg(long, env = "RIDEMATCH_KEEP_TRIP_HISTORY_DAYS", value_name = "DAYS", default_value_t = TRIP_HISTORY,
          value_parser = clap::value_parser!(u16).range(7..=3_650))]
    pub keep_trip_history_days: u16,

    /// Days for which the explanation of a match is kept
    #[arg(long, env = "RIDEMATCH_KEEP_MATCH_CYCLES_DAYS", value_name = "DAYS", default_value_t = MATCH_CYCLES,
          value_parser = clap::value_parser!(u16).range(1..=3_650))]
    pub keep_match_cycles_days: u16,

    /// Days for which calls to the payment provider are kept
    #[arg(long, env = "RIDEMATCH_KEEP_PAYMENT_ATTEMPTS_DAYS", value_name = "DAYS", default_value_t = PAYMENT_ATTEMPTS,
          value_parser = clap::value_parser!(u16).range(7..=3_650))]
    pub keep_payment_attempts_days: u16,

    /// Days for which webhook events, their deliveries and attempts are kept
    #[arg(long, env = "RIDEMATCH_KEEP_WEBHOOK_LOG_DAYS", value_name = "DAYS", default_value_t = WEBHOOK_LOG,
          value_parser = clap::value_parser!(u16).range(7..=3_650))]
    pub keep_webhook_log_days: u16,

    /// Days for which dead outbox deliveries wait for an operator
    #[arg(long, env = "RIDEMATCH_KEEP_DEAD_DELIVERIES_DAYS", value_name = "DAYS", default_value_t = DEAD_DELIVERIES,
          value_parser = clap::value_parser!(u16).range(7..=3_650))]
    pub keep_dead_deliveries_days: u16,
}

/// A cardholder can dispute a charge for about 120 days, and the answer needs the trip's events: two months more.
const TRIP_HISTORY: u16 = 180;

/// Questions about a match come within days, and the candidates are the largest rows of a trip.
const MATCH_CYCLES: u16 = 30;

/// As long as the history of the trip.
const PAYMENT_ATTEMPTS: u16 = 180;

/// The published time in which a delivery can be repeated.
const WEBHOOK_LOG: u16 = 30;

/// A quarter: until then the audit is not clean because of it.
const DEAD_DELIVERIES: u16 = 90;

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            keep_trip_history_days: TRIP_HISTORY,
            keep_match_cycles_days: MATCH_CYCLES,
            keep_payment_attempts_days: PAYMENT_ATTEMPTS,
            keep_webhook_log_days: WEBHOOK_LOG,
            keep_dead_deliveries_days: DEAD_DELIVERIES,
        }
    }
}

/// Returns a period of whole days.
pub(in crate::platform) fn days(days: u16) -> TimeDelta {
    TimeDelta::days(i64::from(days))
}
