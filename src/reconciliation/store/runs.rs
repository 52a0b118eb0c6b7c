//! The table of runs. The index `one_run_at_a_time` allows one running and one queued run.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::findings::{NewRun, Run, RunCounts};
use super::super::model::kinds::{RunScope, RunState};
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{Id, OpsId, RunId};
use crate::platform::page::PageRequest;
use crate::platform::retention::{BATCH, RetentionRule};

/// Processes in a row that may end without comparing a window before the run is abandoned.
const FAILURES_MAX: i16 = 5;

struct Row {
    id: RunId,
    scope: String,
    requested_by: Option<OpsId>,
    state: String,
    requested_at: MachineTime,
    started_at: Option<MachineTime>,
    finished_at: Option<MachineTime>,
    since: Option<MachineTime>,
    position: Option<MachineTime>,
    lease_token: i64,
    windows: i64,
    failed: i64,
    payments: i64,
    unsettled: i64,
    intents: i64,
    foreign_intents: i64,
    refunds: i64,
    differences: i64,
    found: i64,
    repairs: i64,
    ended: i64,
    detail: Option<String>,
}

impl TryFrom<Row> for Run {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let impossible = |column, value: &str| Error::impossible_row("reconciliation_runs", column, row.id, value);
        Ok(Self {
            scope: RunScope::parse(&row.scope).ok_or_else(|| impossible("scope", &row.scope))?,
            state: RunState::parse(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            id: row.id,
            requested_by: row.requested_by,
            requested_at: row.requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            since: row.since,
            position: row.position,
            lease_token: row.lease_token,
            counts: RunCounts {
                payments: row.payments,
                unsettled: row.unsettled,
                intents: row.intents,
                foreign_intents: row.foreign_intents,
                refunds: row.refunds,
                differences: row.differences,
                found: row.found,
                repairs: row.repairs,
                ended: row.ended,
                windows: row.windows,
                failed: row.failed,
            },
            detail: row.detail,
        })
    }
}

/// Selects runs; `$rest` is the `where` clause.
macro_rules! runs {
    ($rest:tt $(, $arguments:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, scope, requested_by, state, requested_at, started_at, finished_at, since, position, lease_token, windows, failed, payments, unsettled,
                    intents, foreign_intents, refunds, differences, found, repairs, ended, detail
             from reconciliation_runs " + $rest,
            $($arguments),*
        )
    };
}

/// Queues a run. Returns false if one is queued already.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn insert_run(
    conn: &mut PgConnection,
    new: &NewRun,
    key_id: Option<Uuid>,
) -> Result<bool> {
    let done = sqlx::query!(
        "insert into reconciliation_runs (id, scope, requested_by, state, requested_at, key_id) values ($1, $2, $3, 'queued', $4, $5)
         on conflict (state) where state in ('queued', 'running') do nothing",
        new.id.uuid(),
        new.scope.as_str(),
        new.by.uuid(),
        new.at as _,
        key_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Widens the queued run to `scope`, locks its row, and returns it.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn queued_run(conn: &mut PgConnection, scope: RunScope) -> Result<Option<Run>> {
    sqlx::query!(
        "update reconciliation_runs set scope = $1 where state = 'queued' and scope <> $1 and $1 = 'all'",
        scope.as_str()
    )
    .execute(&mut *conn)
    .await?;
    runs!("where state = 'queued' for no key update").fetch_optional(conn).await?.map(Run::try_from).transpose()
}

/// Continues the running run if its lease has expired, under a greater token: its process has ended. Abandons it instead if [`FAILURES_MAX`]
/// processes in a row have not compared a window. Returns the run if it continues.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn continue_run(
    conn: &mut PgConnection,
    (now, leased_until): (MachineTime, MachineTime),
) -> Result<Option<Run>> {
    sqlx::query!(
        "update reconciliation_runs
         set state = 'abandoned', finished_at = $1, leased_until = null, lease_token = lease_token + 1,
             detail = coalesce(detail, 'the lease expired')
         where state = 'running' and leased_until < $1 and failures >= $2",
        now as _,
        FAILURES_MAX,
    )
    .execute(&mut *conn)
    .await?;
    let id = sqlx::query_scalar!(
        "update reconciliation_runs set leased_until = $2, lease_token = lease_token + 1, failures = failures + 1
         where state = 'running' and leased_until < $1
         returning id",
        now as _,
        leased_until as _,
    );
    match id.fetch_optional(&mut *conn).await? {
        Some(id) => run(conn, id).await,
        None => Ok(None),
    }
}

/// Ends the lease of a run, so that the next process continues it at once. `detail`: why this one does not.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn release_run(
    conn: &mut PgConnection,
    (id, token): (RunId, i64),
    (now, detail): (MachineTime, Option<&str>),
) -> Result<()> {
    sqlx::query!(
        "update reconciliation_runs set leased_until = $3, detail = $4 where id = $1 and lease_token = $2 and state = 'running'",
        id.uuid(),
        token,
        now as _,
        detail,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The times of a run's start.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct RunStart {
    /// The current time.
    pub now: MachineTime,
    /// The end of the first lease.
    pub leased_until: MachineTime,
    /// The time eight days ago, since which a run of recent payments compares.
    pub recent_since: MachineTime,
}

/// Starts the queued run, if there is one.
///
/// # Errors
/// `one_run_at_a_time` if one is running.
pub(in crate::reconciliation) async fn start_queued(conn: &mut PgConnection, start: RunStart) -> Result<Option<Run>> {
    let id = sqlx::query_scalar!(
        "update reconciliation_runs
         set state = 'running', started_at = $1, leased_until = $2, since = case scope when 'recent' then $3::timestamptz else (select reached_at from reconciliation_watermarks where scope = 'all') end
         where id = (select id from reconciliation_runs where state = 'queued' for no key update skip locked)
         returning id",
        start.now as _,
        start.leased_until as _,
        start.recent_since as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => run(conn, id).await,
        None => Ok(None),
    }
}

/// Starts a scheduled run, unless one is queued or running.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn start_scheduled(
    conn: &mut PgConnection,
    id: RunId,
    (scope, since): (RunScope, Option<MachineTime>),
    start: RunStart,
) -> Result<Option<Run>> {
    sqlx::query!(
        "insert into reconciliation_runs (id, scope, state, requested_at, started_at, leased_until, since)
         values ($1, $2, 'running', $3, $3, $4, $5)
         on conflict (state) where state in ('queued', 'running') do nothing",
        id.uuid(),
        scope.as_str(),
        start.now as _,
        start.leased_until as _,
        since as _,
    )
    .execute(&mut *conn)
    .await?;
    run(conn, id).await
}

/// Extends the lease of a run. Every write of a run starts with this.
///
/// # Errors
/// [`Code::Internal`] if another process has continued or abandoned the run.
pub(in crate::reconciliation) async fn extend_lease(
    conn: &mut PgConnection,
    (id, token): (RunId, i64),
    until: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update reconciliation_runs set leased_until = $3 where id = $1 and state = 'running' and lease_token = $2",
        id.uuid(),
        token,
        until as _
    )
    .execute(conn)
    .await?;
    one_row(&done, lease_lost)
}

fn lease_lost() -> Refusal {
    Refusal::new(Code::Internal, "Another process has continued or abandoned the run.")
}

/// Records that a run has compared a window: its counts, and where the next window starts.
///
/// # Errors
/// [`Code::Internal`] if another process has continued or abandoned the run.
pub(in crate::reconciliation) async fn save_progress(conn: &mut PgConnection, run: &Run) -> Result<()> {
    let counts = run.counts;
    let done = sqlx::query!(
        "update reconciliation_runs
         set position = $3, failures = 0, payments = $4, unsettled = $5, intents = $6, refunds = $7, differences = $8, found = $9,
             repairs = $10, ended = $11, foreign_intents = $12, windows = $13, failed = $14
         where id = $1 and state = 'running' and lease_token = $2",
        run.id.uuid(),
        run.lease_token,
        run.position as _,
        counts.payments,
        counts.unsettled,
        counts.intents,
        counts.refunds,
        counts.differences,
        counts.found,
        counts.repairs,
        counts.ended,
        counts.foreign_intents,
        counts.windows,
        counts.failed,
    )
    .execute(conn)
    .await?;
    one_row(&done, lease_lost)
}

/// Ends a run. Its counts are those of the last saved progress.
///
/// # Errors
/// [`Code::Internal`] if another process has continued or abandoned it.
pub(in crate::reconciliation) async fn finish_run(
    conn: &mut PgConnection,
    (id, token): (RunId, i64),
    (state, detail): (RunState, Option<&str>),
    now: MachineTime,
) -> Result<()> {
    let done = sqlx::query!(
        "update reconciliation_runs set state = $3, finished_at = $4, leased_until = null, detail = $5
         where id = $1 and state = 'running' and lease_token = $2",
        id.uuid(),
        token,
        state.as_str(),
        now as _,
        detail,
    )
    .execute(conn)
    .await?;
    one_row(&done, lease_lost)
}

/// Returns a run.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn run(conn: &mut PgConnection, id: RunId) -> Result<Option<Run>> {
    runs!("where id = $1", id.uuid()).fetch_optional(conn).await?.map(Run::try_from).transpose()
}

/// Returns the checked run that started last.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn last_checked(conn: &mut PgConnection) -> Result<Option<Run>> {
    runs!("where state = 'checked' and started_at is not null order by started_at desc limit 1")
        .fetch_optional(conn)
        .await?
        .map(Run::try_from)
        .transpose()
}

/// Returns a page of runs, the latest first.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn runs(conn: &mut PgConnection, page: PageRequest) -> Result<Vec<Run>> {
    let rows = runs!("where id < $1 order by id desc limit $2", page.before, page.rows()).fetch_all(conn).await?;
    rows.into_iter().map(Run::try_from).collect()
}

/// How long a run that repaired nothing is kept (machine time). Findings are kept forever.
const RUNS_KEPT: TimeDelta = TimeDelta::days(30);

/// The retention of runs that repaired nothing.
pub const RETENTION: RetentionRule = RetentionRule {
    rows: "reconciliation_runs",
    delete: |conn, expiry| Box::pin(delete_expired_runs(conn, expiry.machine(RUNS_KEPT), expiry.batch())),
    batch: BATCH,
};

/// Deletes at most `limit` runs that ended before `before` and repaired nothing.
///
/// # Errors
/// If the database does not answer.
async fn delete_expired_runs(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from reconciliation_runs where id = any (array(
             select run.id from reconciliation_runs run
             where run.finished_at < $1 and run.repairs = 0
               and not exists (select from reconciliation_repairs repair where repair.run_id = run.id offset 0)
             order by run.finished_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
