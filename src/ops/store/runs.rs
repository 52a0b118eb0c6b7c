//! Runs of reconciliation, in rows. At most one is running and at most one waits to: an index says so.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::findings::{Counts, Run};
use super::super::model::kinds::{RunState, Scope};
use crate::platform::clock::MachineTime;
use crate::platform::db::one_row;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{Id, OpsId, RunId};
use crate::platform::page::PageRequest;

struct Row {
    id: RunId,
    scope: String,
    asked_by: Option<OpsId>,
    state: String,
    asked_at: MachineTime,
    started_at: Option<MachineTime>,
    finished_at: Option<MachineTime>,
    since: Option<MachineTime>,
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
        let impossible = |column, value: &str| Error::ImpossibleRow {
            table: "reconciliation_runs",
            column,
            row: row.id.to_string(),
            value: value.to_owned(),
        };
        Ok(Self {
            scope: Scope::named(&row.scope).ok_or_else(|| impossible("scope", &row.scope))?,
            state: RunState::named(&row.state).ok_or_else(|| impossible("state", &row.state))?,
            id: row.id,
            asked_by: row.asked_by,
            asked_at: row.asked_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            since: row.since,
            counts: Counts {
                payments: row.payments,
                unsettled: row.unsettled,
                intents: row.intents,
                foreign_intents: row.foreign_intents,
                refunds: row.refunds,
                differences: row.differences,
                found: row.found,
                repairs: row.repairs,
                ended: row.ended,
            },
            detail: row.detail,
        })
    }
}

/// Selects whole runs by what follows.
macro_rules! runs {
    ($rest:tt $(, $arguments:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "select id, scope, asked_by, state, asked_at, started_at, finished_at, since, payments, unsettled, intents, foreign_intents,
                    refunds, differences, found, repairs, ended, detail
             from reconciliation_runs " + $rest,
            $($arguments),*
        )
    };
}

/// A run that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Ask {
    /// Its id.
    pub id: RunId,
    /// Which payments it compares.
    pub scope: Scope,
    /// The operator.
    pub by: OpsId,
    /// The time.
    pub at: MachineTime,
    /// The idempotency key that it is asked for under.
    pub key_id: Option<Uuid>,
}

/// Writes a run that waits for a worker. False if one waits already.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn ask_run(conn: &mut PgConnection, ask: &Ask) -> Result<bool> {
    let done = sqlx::query!(
        "insert into reconciliation_runs (id, scope, asked_by, state, asked_at, key_id) values ($1, $2, $3, 'asked', $4, $5)
         on conflict (state) where state in ('asked', 'running') do nothing",
        ask.id.uuid(),
        ask.scope.as_str(),
        ask.by.uuid(),
        ask.at as _,
        ask.key_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The run that waits for a worker, its row locked; it covers `scope` from now on.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn widen_asked(conn: &mut PgConnection, scope: Scope) -> Result<Option<Run>> {
    sqlx::query!(
        "update reconciliation_runs set scope = $1 where state = 'asked' and scope <> $1 and $1 = 'all'",
        scope.as_str()
    )
    .execute(&mut *conn)
    .await?;
    runs!("where state = 'asked' for no key update").fetch_optional(conn).await?.map(Run::try_from).transpose()
}

/// Gives up the run of a process that has not been heard of.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn abandon_run(conn: &mut PgConnection, now: MachineTime) -> Result<()> {
    sqlx::query!(
        "update reconciliation_runs set state = 'abandoned', finished_at = $1, leased_until = null, detail = 'its lease ran out'
         where state = 'running' and leased_until < $1",
        now as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How a run begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Start {
    /// The time.
    pub now: MachineTime,
    /// Until when it is its process's, should it not be heard of.
    pub leased_until: MachineTime,
    /// The moment since which a recent run compares.
    pub recent: MachineTime,
}

/// Begins the run that waits, if one does.
///
/// # Errors
/// `one_run_at_a_time` if one is running.
pub(in crate::ops) async fn start_asked(conn: &mut PgConnection, start: Start) -> Result<Option<Run>> {
    let id = sqlx::query_scalar!(
        "update reconciliation_runs
         set state = 'running', started_at = $1, leased_until = $2, since = case scope when 'recent' then $3::timestamptz end
         where id = (select id from reconciliation_runs where state = 'asked' for no key update skip locked)
         returning id",
        start.now as _,
        start.leased_until as _,
        start.recent as _,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match id {
        Some(id) => run(conn, id).await,
        None => Ok(None),
    }
}

/// Begins a run that the schedule asks for; none if one is running.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn start_scheduled(
    conn: &mut PgConnection,
    id: RunId,
    scope: Scope,
    start: Start,
) -> Result<Option<Run>> {
    sqlx::query!(
        "insert into reconciliation_runs (id, scope, state, asked_at, started_at, leased_until, since)
         values ($1, $2, 'running', $3, $3, $4, case $2 when 'recent' then $5::timestamptz end)
         on conflict (state) where state in ('asked', 'running') do nothing",
        id.uuid(),
        scope.as_str(),
        start.now as _,
        start.leased_until as _,
        start.recent as _,
    )
    .execute(&mut *conn)
    .await?;
    run(conn, id).await
}

/// When a run last began, and when one of everything last began that was checked.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn last_starts(conn: &mut PgConnection) -> Result<(Option<MachineTime>, Option<MachineTime>)> {
    let row = sqlx::query!(
        r#"select max(started_at) as "any: MachineTime",
                  max(started_at) filter (where scope = 'all' and state = 'checked') as "whole: MachineTime"
           from reconciliation_runs where started_at is not null"#
    )
    .fetch_one(conn)
    .await?;
    Ok((row.any, row.whole))
}

/// Makes sure that a run is still its process's, whose lease begins anew. Every write of a run begins with this.
///
/// # Errors
/// A conflict if another process has given it up.
pub(in crate::ops) async fn hold_run(conn: &mut PgConnection, id: RunId, until: MachineTime) -> Result<()> {
    let done = sqlx::query!(
        "update reconciliation_runs set leased_until = $2 where id = $1 and state = 'running'",
        id.uuid(),
        until as _
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The run was given up, and another one has begun."))
}

/// Writes what a run came to, and ends it.
///
/// # Errors
/// A conflict if another process has given it up.
pub(in crate::ops) async fn finish_run(conn: &mut PgConnection, run: &Run, now: MachineTime) -> Result<()> {
    let Counts { payments, unsettled, intents, foreign_intents, refunds, differences, found, repairs, ended } =
        run.counts;
    let done = sqlx::query!(
        "update reconciliation_runs
         set state = $2, finished_at = $3, leased_until = null, detail = $4, payments = $5, unsettled = $6, intents = $7,
             refunds = $8, differences = $9, found = $10, repairs = $11, ended = $12, foreign_intents = $13
         where id = $1 and state = 'running'",
        run.id.uuid(),
        run.state.as_str(),
        now as _,
        run.detail,
        payments,
        unsettled,
        intents,
        refunds,
        differences,
        found,
        repairs,
        ended,
        foreign_intents,
    )
    .execute(conn)
    .await?;
    one_row(&done, || Refusal::new(Code::Internal, "The run was given up, and another one has begun."))
}

/// A run.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn run(conn: &mut PgConnection, id: RunId) -> Result<Option<Run>> {
    runs!("where id = $1", id.uuid()).fetch_optional(conn).await?.map(Run::try_from).transpose()
}

/// The run that began last and came to know something.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn last_checked(conn: &mut PgConnection) -> Result<Option<Run>> {
    runs!("where state = 'checked' and started_at is not null order by started_at desc limit 1")
        .fetch_optional(conn)
        .await?
        .map(Run::try_from)
        .transpose()
}

/// A page of runs, the latest first.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn runs(conn: &mut PgConnection, page: PageRequest) -> Result<Vec<Run>> {
    let rows = runs!("where id < $1 order by id desc limit $2", page.before, page.rows()).fetch_all(conn).await?;
    rows.into_iter().map(Run::try_from).collect()
}
