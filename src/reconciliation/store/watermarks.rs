//! What the schedule depends on: when runs started last, and the table of watermarks, how far the records were compared.

use sqlx::PgConnection;

use super::super::model::kinds::RunScope;
use crate::platform::clock::MachineTime;
use crate::platform::error::Result;

/// When runs started last.
#[derive(Debug, Clone, Copy)]
pub(in crate::reconciliation) struct LastStarts {
    /// Any run.
    pub any: Option<MachineTime>,
    /// A checked run that began with the payments of eight days ago, or earlier.
    pub recent: Option<MachineTime>,
    /// A checked run of all payments.
    pub all: Option<MachineTime>,
}

/// Returns when runs started last.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn last_starts(conn: &mut PgConnection) -> Result<LastStarts> {
    let starts = sqlx::query_as!(
        LastStarts,
        r#"select (select max(started_at) from reconciliation_runs) as "any: MachineTime",
                  (select max(started_at) from reconciliation_runs
                   where state = 'checked' and (since is null or since < started_at - interval '7 days')) as "recent: MachineTime",
                  (select max(started_at) from reconciliation_runs where state = 'checked' and scope = 'all') as "all: MachineTime""#
    )
    .fetch_one(conn)
    .await?;
    Ok(starts)
}

/// Returns the watermark of a scope; `None` without one.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn watermark(
    conn: &mut PgConnection,
    scope: RunScope,
) -> Result<Option<MachineTime>> {
    let reached =
        sqlx::query_scalar!(r#"select reached_at from reconciliation_watermarks where scope = $1"#, scope.as_str());
    Ok(reached.fetch_optional(conn).await?)
}

/// Sets the watermark of a scope; `None` removes it.
///
/// # Errors
/// If the database does not answer.
pub(in crate::reconciliation) async fn set_watermark(
    conn: &mut PgConnection,
    scope: RunScope,
    reached: Option<MachineTime>,
) -> Result<()> {
    let Some(reached) = reached else {
        sqlx::query!("delete from reconciliation_watermarks where scope = $1", scope.as_str()).execute(conn).await?;
        return Ok(());
    };
    sqlx::query!(
        "insert into reconciliation_watermarks (scope, reached_at) values ($1, $2)
         on conflict (scope) do update set reached_at = excluded.reached_at",
        scope.as_str(),
        reached as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
