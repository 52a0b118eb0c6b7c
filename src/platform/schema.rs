//! The schema: its migrations, whether they have been run, and the one row that the clock needs.

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use super::clock::{Anchor, Clock};
use super::error::{Error, Result};

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Brings the database at `url` up to date.
///
/// # Errors
/// If it does not answer, or a migration fails.
pub async fn migrate(url: &str) -> Result<()> {
    let mut conn = PgConnection::connect(url).await?;
    MIGRATOR.run_direct(None, &mut conn, false).await.map_err(|error| Error::Bug(format!("migration: {error}")))?;
    conn.close().await?;
    Ok(())
}

/// Whether every migration that this program knows has been run.
///
/// # Errors
/// If the database does not answer.
pub async fn is_current(conn: &mut PgConnection) -> Result<bool> {
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let run: Option<i64> = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
        .fetch_one(conn)
        .await
        .or_else(|error| match &error {
            // 42P01: there is no such table, so nothing has been run.
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some("42P01") => Ok(None),
            _ => Err(error),
        })?;
    Ok(run.is_some_and(|run| run >= newest))
}

/// Reads the anchor of the domain clock; the first process ever writes it.
///
/// # Errors
/// If the database does not answer, or the row cannot be.
pub async fn anchor(conn: &mut PgConnection, clock: &Clock) -> Result<Anchor> {
    let identity = Anchor::identity(clock.machine());
    sqlx::query!(
        "insert into clock_anchor (real_at, domain_at, scale) values ($1, $2, 1) on conflict (only_row) do nothing",
        identity.real as _,
        identity.domain as _,
    )
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query!("select real_at, domain_at, scale from clock_anchor").fetch_one(conn).await?;
    Ok(Anchor { real: row.real_at, domain: row.domain_at, scale: u32::try_from(row.scale).unwrap_or(1) })
}
