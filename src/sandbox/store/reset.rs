//! The SQL of the reset.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};
use utoipa::ToSchema;

use crate::platform::error::Result;

/// Tables that a reset keeps: migrated data, the clock, the matcher, and the streets.
pub const KEPT: [&str; 8] = [
    "_sqlx_migrations",
    "clock_anchor",
    "ledger_accounts",
    "map_streets",
    "matcher",
    "outbox_subscriptions",
    "trip_states",
    "trip_transitions",
];

/// Tables that a reset truncates: all others. A test compares both lists with the database.
pub const CLEARED: [&str; 34] = [
    "demand_sketch",
    "demand_zones",
    "driver_engagements",
    "driver_events",
    "drivers",
    "idempotency_keys",
    "index_checkpoint",
    "index_checkpoint_chunks",
    "ledger_balances",
    "ledger_days",
    "ledger_entries",
    "ledger_postings",
    "match_cycles",
    "offers",
    "outbox_deliveries",
    "outbox_events",
    "payment_attempts",
    "payment_events",
    "payment_resolutions",
    "payments",
    "provider_events",
    "quotes",
    "reconciliation_findings",
    "reconciliation_repairs",
    "reconciliation_runs",
    "reconciliation_watermarks",
    "refunds",
    "surge_overrides",
    "trip_events",
    "trips",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_events",
];

/// The triggers of append-only tables. A reset disables and enables them in one transaction.
const APPEND_ONLY_TRIGGERS: [(&str, &str); 5] = [
    ("ledger_entries", "ledger_entries_append_only"),
    ("ledger_postings", "ledger_postings_append_only"),
    ("payment_events", "payment_events_append_only"),
    ("payment_resolutions", "payment_resolutions_append_only"),
    ("trip_events", "trip_events_append_only"),
];

/// How many objects a reset deleted.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ResetSummary {
    /// Trips.
    #[schema(minimum = 0)]
    trips: i64,
    /// Payments.
    #[schema(minimum = 0)]
    payments: i64,
    /// Drivers. Those that still send positions have to go online again.
    #[schema(minimum = 0)]
    drivers: i64,
}

/// Truncates every table of [`CLEARED`]. Sequences continue, so that open event streams stay valid.
///
/// # Errors
/// If the database fails, or the role does not own the tables.
pub async fn clear(conn: &mut PgConnection) -> Result<ResetSummary> {
    let row = sqlx::query!(
        r#"select (select count(*) from trips) as "trips!", (select count(*) from payments) as "payments!",
                  (select count(*) from drivers) as "drivers!""#
    );
    let row = row.fetch_one(&mut *conn).await?;
    for (table, trigger) in APPEND_ONLY_TRIGGERS {
        run(conn, format!("alter table {table} disable trigger {trigger}")).await?;
    }
    run(conn, format!("truncate {}", CLEARED.join(", "))).await?;
    for (table, trigger) in APPEND_ONLY_TRIGGERS {
        run(conn, format!("alter table {table} enable trigger {trigger}")).await?;
    }
    // Subscriptions of webhook endpoints, which are deleted too.
    sqlx::query!("delete from outbox_subscriptions where subscriber = 'webhooks'").execute(conn).await?;
    Ok(ResetSummary { trips: row.trips, payments: row.payments, drivers: row.drivers })
}

/// Runs a statement composed only of the names above.
async fn run(conn: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}
