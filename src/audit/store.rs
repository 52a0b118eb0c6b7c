//! The audit's SQL: one query per invariant that selects what breaks it.
//!
//! All queries run in one snapshot ([`crate::platform::db::Db::snapshot`]), so they see the same moment.

mod money;
mod rides;
mod work;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{AuditLimits, CheckResult, Invariant, ViolationExample};
use crate::platform::error::Result;
use crate::platform::ids::TripId;
use crate::reconciliation::model::subject;

/// One violation, as a query returns it.
struct Row {
    kind: String,
    id: String,
    trip_id: Option<TripId>,
    detail: String,
    total: i64,
}

/// Runs a check. `$sql` selects for each violation the object's kind (`trip`, `driver`, …), its id as text, its trip, and what is
/// wrong; the macro counts them and keeps the first twenty.
macro_rules! violations {
    ($conn:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            super::Row,
            "with found (kind, id, trip_id, detail) as (" + $sql + r#")
             select kind as "kind!", id as "id!", trip_id as "trip_id?: TripId", detail as "detail!", count(*) over () as "total!"
             from found order by kind, id, detail limit 20"#,
            $($arg),*
        )
        .fetch_all($conn)
        .await
    };
}
use violations;

/// Checks every invariant but [`Invariant::Provider`]. Three of them skip the `unsettled` trips.
///
/// # Errors
/// If the database does not answer in time.
pub(super) async fn check(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    limits: AuditLimits,
) -> Result<Vec<(Invariant, CheckResult)>> {
    let rows = [
        (Invariant::Engagements, rides::engagements(conn).await?),
        (Invariant::Offers, rides::offers(conn).await?),
        (Invariant::Receipts, money::receipts(conn, unsettled).await?),
        (Invariant::Ledger, money::ledger(conn, unsettled).await?),
        (Invariant::Limits, money::limits(conn).await?),
        (Invariant::Keys, work::keys(conn, limits.keyed).await?),
        (Invariant::Events, rides::events(conn).await?),
        (Invariant::StaleWork, work::stale(conn, limits).await?),
    ];
    Ok(rows.into_iter().map(|(invariant, rows)| (invariant, result(invariant, rows))).collect())
}

fn result(invariant: Invariant, rows: Vec<Row>) -> CheckResult {
    let violations = rows.first().map_or(0, |row| row.total.unsigned_abs());
    let example = |row: Row| ViolationExample {
        invariant,
        subject: subject(&row.kind, &row.id),
        trip_id: row.trip_id,
        detail: row.detail,
    };
    CheckResult { violations, examples: rows.into_iter().map(example).collect() }
}
