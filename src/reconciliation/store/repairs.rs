//! The table of repairs.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::kinds::RepairRule;
use crate::payments::model::AttemptOutcome;
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{FindingId, Id, RunId};

/// Returns at most `limit` open findings, the oldest first, that were seen at `since` or later and whose rule was applied less
/// than `tries` times.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn repairable_findings(
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

/// A repair to insert before it is made.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct NewRepairRow<'a> {
    /// Its id.
    pub id: Uuid,
    /// The finding.
    pub finding_id: FindingId,
    /// The run.
    pub run_id: RunId,
    /// The rule.
    pub repair: RepairRule,
    /// The `Idempotency-Key` of the call to the provider, if the rule makes one.
    pub key: Option<&'a str>,
    /// The current time.
    pub at: MachineTime,
}

/// Inserts a repair before it is made.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn insert_repair(conn: &mut PgConnection, new: NewRepairRow<'_>) -> Result<()> {
    sqlx::query!(
        "insert into reconciliation_repairs (id, finding_id, run_id, repair, provider_key, outcome, started_at)
         values ($1, $2, $3, $4, $5, 'started', $6)",
        new.id,
        new.finding_id.uuid(),
        new.run_id.uuid(),
        new.repair.as_str(),
        new.key,
        new.at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Records the outcome of a repair.
///
/// # Errors
/// [`Code::Internal`] if it has an outcome already.
pub(in crate::reconciliation) async fn finish_repair(
    conn: &mut PgConnection,
    id: Uuid,
    (outcome, detail): (AttemptOutcome, Option<&str>),
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
    one_row(&done, || Refusal::new(Code::Internal, "The repair already has an outcome."))
}

/// A repair of a finding.
#[derive(Debug)]
pub(in crate::reconciliation) struct RepairRow {
    /// The run that made it.
    pub run_id: RunId,
    /// The rule.
    pub repair: String,
    /// Its outcome.
    pub outcome: String,
    /// The reason of the outcome.
    pub detail: Option<String>,
    /// When it started.
    pub started_at: MachineTime,
    /// When it ended.
    pub finished_at: Option<MachineTime>,
}

/// Returns the repairs of a finding, in order.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn repairs_of(conn: &mut PgConnection, id: FindingId) -> Result<Vec<RepairRow>> {
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
