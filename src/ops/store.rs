//! The room's SQL. Of the audit: for each invariant one query that finds what breaks it, all of them read in one snapshot
//! ([`crate::platform::db::Db::snapshot`]), so that they speak of the same moment. And reconciliation's runs and findings, the
//! views of the ledger, and what is removed when it has been kept for long enough.

mod books;
mod findings;
mod ledger;
mod money;
mod repairs;
mod retention;
mod rides;
mod runs;
mod views;
mod work;

use sqlx::PgConnection;
use uuid::Uuid;

use super::model::{Example, Found, Invariant, Limits};
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, FindingId, OfferId, PaymentId, RefundId, RiderId, RunId, TripId};

pub(super) use books::{Which, books};
pub(super) use findings::{
    End, FindingsQuery, end_finding, finding, findings, insert_finding, latest_finding, lock_finding, note_seen,
    open_by_kind, open_findings, see_finding,
};
pub(super) use ledger::{Account, Entry, Filter, Posting, accounts, chart, postings};
pub(super) use repairs::{RepairRow, StartRepair, finish_repair, repairable_findings, repairs_of, start_repair};
pub(super) use retention::{reap_driver_events, reap_provider_events, reap_quotes, reap_runs, reap_webhook_events};
pub(super) use runs::{
    Ask, Start, abandon_run, ask_run, finish_run, hold_run, last_checked, last_starts, run, runs, start_asked,
    start_scheduled, widen_asked,
};
pub(super) use views::{Attention, attention};
pub(super) use work::{first_id_of, unsettled};

/// One thing that a check found, as SQL gives it.
struct Row {
    kind: String,
    id: String,
    trip_id: Option<TripId>,
    what: String,
    total: i64,
}

/// Runs a check. `$sql` selects, for each thing at fault, its kind (`trip`, `driver`, …), its id as text, its trip, and what is
/// wrong; the rest counts them and keeps the first twenty.
macro_rules! find {
    ($conn:expr, $sql:literal $(, $arg:expr)* $(,)?) => {
        sqlx::query_as!(
            super::Row,
            "with found (kind, id, trip_id, what) as (" + $sql + r#")
             select kind as "kind!", id as "id!", trip_id as "trip_id?: TripId", what as "what!", count(*) over () as "total!"
             from found order by kind, id, what limit 20"#,
            $($arg),*
        )
        .fetch_all($conn)
        .await
    };
}
use find;

/// Checks the invariants that SQL can check: all but [`Invariant::Provider`]. Three of them judge settled trips only, so the
/// `unsettled` ones are given.
///
/// # Errors
/// If the database does not answer in time.
pub(super) async fn check(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    limits: Limits,
) -> Result<Vec<(Invariant, Found)>> {
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
    Ok(rows.into_iter().map(|(invariant, rows)| (invariant, found(invariant, rows))).collect())
}

fn found(invariant: Invariant, rows: Vec<Row>) -> Found {
    let violations = rows.first().map_or(0, |row| row.total.unsigned_abs());
    let example =
        |row: Row| Example { invariant, subject: subject(&row.kind, &row.id), trip_id: row.trip_id, what: row.what };
    Found { violations, examples: rows.into_iter().map(example).collect() }
}

/// How a thing is called on the wire: `trip_01jd…` for what has an id with a prefix, `posting 0190…` for what has none.
fn subject(kind: &str, id: &str) -> String {
    let named = Uuid::try_parse(id).ok().and_then(|uuid| {
        Some(match kind {
            "trip" => TripId::from(uuid).to_string(),
            "driver" => DriverId::from(uuid).to_string(),
            "rider" => RiderId::from(uuid).to_string(),
            "offer" => OfferId::from(uuid).to_string(),
            "payment" => PaymentId::from(uuid).to_string(),
            "refund" => RefundId::from(uuid).to_string(),
            "run" => RunId::from(uuid).to_string(),
            "finding" => FindingId::from(uuid).to_string(),
            _ => return None,
        })
    });
    named.unwrap_or_else(|| format!("{kind} {id}"))
}
