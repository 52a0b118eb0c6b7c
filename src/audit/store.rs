//! The audit's SQL: one query per invariant that selects what breaks it.
//!
//! The queries about trips and keys check a window of ids, in one snapshot ([`crate::platform::db::Db::snapshot`]) for all of them. Each
//! table is read by an index that starts with the trip or the key.

mod balances;
mod money;
mod rides;
mod work;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{AuditLimits, CheckResult, CheckResults, Invariant, TripWindow, ViolationExample};
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

/// Returns the first trip after a window of `trips` trips from `first` on; `None` if there are not so many.
///
/// # Errors
/// If the database does not answer in time.
pub(super) async fn end_of_window(conn: &mut PgConnection, first: Uuid, trips: i64) -> Result<Option<Uuid>> {
    let end = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from trips where id >= $1 order by id offset $2 limit 1"#,
        first,
        trips
    );
    Ok(end.fetch_optional(conn).await?)
}

/// Checks the invariants about what is now.
///
/// # Errors
/// If the database does not answer in time.
pub(super) async fn check_present(conn: &mut PgConnection, limits: AuditLimits) -> Result<CheckResults> {
    let rows = [
        (Invariant::Engagements, rides::engagements(conn).await?),
        (Invariant::Offers, rides::pending_offers(conn).await?),
        (Invariant::Ledger, balances::balances(conn).await?),
        (Invariant::StaleWork, work::stale(conn, limits).await?),
    ];
    Ok(results(rows))
}

/// Checks the invariants about each trip of a window, and about the keys that were made in its time. Two of them skip the `unsettled` trips.
///
/// # Errors
/// If the database does not answer in time.
pub(super) async fn check_window(
    conn: &mut PgConnection,
    (window, unsettled): (TripWindow, &[Uuid]),
    limits: AuditLimits,
) -> Result<Vec<(Invariant, CheckResult)>> {
    let rows = [
        (Invariant::Offers, rides::offers(conn, window).await?),
        (Invariant::Receipts, money::receipts(conn, window, unsettled).await?),
        (Invariant::Ledger, money::ledger(conn, window, unsettled).await?),
        (Invariant::Limits, money::limits(conn, window).await?),
        (Invariant::Keys, work::keys(conn, window, limits.keyed).await?),
        (Invariant::Events, rides::events(conn, window).await?),
    ];
    Ok(rows.into_iter().map(|(invariant, rows)| (invariant, result(invariant, rows))).collect())
}

fn results<const N: usize>(rows: [(Invariant, Vec<Row>); N]) -> CheckResults {
    let mut results = CheckResults::default();
    results.add(rows.map(|(invariant, rows)| (invariant, result(invariant, rows))));
    results
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
