//! The SQL of a new beginning.

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};
use utoipa::ToSchema;

use crate::platform::error::Result;

/// Tables that a reset leaves alone: what the migrations filled, the clock, who is the matcher, and the streets.
pub const KEPT: [&str; 7] = [
    "_sqlx_migrations",
    "clock_anchor",
    "ledger_accounts",
    "matcher",
    "outbox_subscriptions",
    "sandbox_streets",
    "trip_edges",
];

/// Tables that a reset empties: all the others. A test compares the two lists with the database.
pub const FORGOTTEN: [&str; 26] = [
    "dispatch_rounds",
    "driver_engagements",
    "driver_events",
    "driver_positions",
    "drivers",
    "idempotency_keys",
    "ledger_entries",
    "ledger_postings",
    "offers",
    "outbox_deliveries",
    "outbox_events",
    "payment_attempts",
    "payment_resolutions",
    "payments",
    "provider_events",
    "quotes",
    "reconciliation_findings",
    "reconciliation_repairs",
    "reconciliation_runs",
    "refunds",
    "trip_events",
    "trips",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_events",
];

/// The triggers that let nobody change what only grows. A reset takes them down, and puts them back in the same transaction.
const GUARDS: [(&str, &str); 4] = [
    ("ledger_entries", "ledger_entries_append_only"),
    ("ledger_postings", "ledger_postings_append_only"),
    ("payment_resolutions", "payment_resolutions_append_only"),
    ("trip_events", "trip_events_append_only"),
];

/// What a reset found, and is gone.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Forgotten {
    /// Trips.
    #[schema(minimum = 0)]
    trips: i64,
    /// Payments.
    #[schema(minimum = 0)]
    payments: i64,
    /// Drivers; who is still there comes online again.
    #[schema(minimum = 0)]
    drivers: i64,
}

/// Empties every table of [`FORGOTTEN`]. Sequences go on, so that streams that are open notice nothing.
///
/// # Errors
/// If the database does not answer, or the role is not the tables' owner.
pub async fn forget_everything(conn: &mut PgConnection) -> Result<Forgotten> {
    let row = sqlx::query!(
        r#"select (select count(*) from trips) as "trips!", (select count(*) from payments) as "payments!",
                  (select count(*) from drivers) as "drivers!""#
    );
    let row = row.fetch_one(&mut *conn).await?;
    for (table, guard) in GUARDS {
        run(conn, format!("alter table {table} disable trigger {guard}")).await?;
    }
    run(conn, format!("truncate {}", FORGOTTEN.join(", "))).await?;
    for (table, guard) in GUARDS {
        run(conn, format!("alter table {table} enable trigger {guard}")).await?;
    }
    // These come and go with the endpoints.
    sqlx::query!("delete from outbox_subscriptions where subscriber = 'webhooks'").execute(conn).await?;
    Ok(Forgotten { trips: row.trips, payments: row.payments, drivers: row.drivers })
}

/// Runs a statement made of the names above, and of nothing else.
async fn run(conn: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}
