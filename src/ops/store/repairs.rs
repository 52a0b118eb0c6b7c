//! What reconciliation does about its findings, in rows.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::kinds::Repair;
use crate::payments::model::Outcome;
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{FindingId, Id, RunId};

/// Findings that were seen at `since` or later and that a rule covers which was applied less than `tries` times, the oldest first, at
/// most `limit`. However many others are open, they are not in the way.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn repairable_findings(
    conn: &mut PgConnection,
    since: MachineTime,
    tries: i64,
    limit: i64,
) -> Result<Vec<FindingId>> {
    let ids = sqlx::query_scalar!(
        r#"select f.id as "id: FindingId" from reconciliation_findings f
           where f.state = 'open' and f.repair <> 'none' and f.last_seen_at >= $1
             and (select count(*) from reconciliation_repairs r where r.finding_id = f.id) < $2
           order by f.id limit $3"#,
        since as _,
        tries,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// A repair that is about to be made.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct StartRepair<'a> {
    /// Its id.
    pub id: Uuid,
    /// The finding.
    pub finding_id: FindingId,
    /// The run that makes it.
    pub run_id: RunId,
    /// What is done.
    pub repair: Repair,
    /// The `Idempotency-Key` that the provider sees, if it is called.
    pub key: Option<&'a str>,
    /// The time.
    pub at: MachineTime,
}

/// Writes a repair that is about to be made.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn start_repair(conn: &mut PgConnection, start: StartRepair<'_>) -> Result<()> {
    sqlx::query!(
        "insert into reconciliation_repairs (id, finding_id, run_id, repair, provider_key, outcome, started_at)
         values ($1, $2, $3, $4, $5, 'started', $6)",
        start.id,
        start.finding_id.uuid(),
        start.run_id.uuid(),
        start.repair.as_str(),
        start.key,
        start.at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes how a repair ended.
///
/// # Errors
/// A conflict if it has ended already.
pub(in crate::ops) async fn finish_repair(
    conn: &mut PgConnection,
    id: Uuid,
    (outcome, detail): (Outcome, Option<&str>),
    now: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update reconciliation_repairs set outcome = $2, detail = $3, finished_at = $4 where id = $1 and outcome = 'started'",
        id,
        outcome.as_str(),
        detail,
        now as _,
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The repair has ended already."))
}

/// What was done about a finding.
#[derive(Debug)]
pub(in crate::ops) struct RepairRow {
    /// The run that did it.
    pub run_id: RunId,
    /// What.
    pub repair: String,
    /// How it ended.
    pub outcome: String,
    /// Why, for people.
    pub detail: Option<String>,
    /// When it began.
    pub started_at: MachineTime,
    /// When it ended.
    pub finished_at: Option<MachineTime>,
}

/// What was done about a finding, in order.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn repairs_of(conn: &mut PgConnection, id: FindingId) -> Result<Vec<RepairRow>> {
    let rows = sqlx::query_as!(
        RepairRow,
        r#"select run_id as "run_id: RunId", repair, outcome, detail, started_at, finished_at
           from reconciliation_repairs where finding_id = $1 order by id"#,
        id.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
