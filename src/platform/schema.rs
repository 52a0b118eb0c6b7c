//! The database schema: its migrations, and whether the database has them.
//!
//! A migration that has landed is never edited: its checksum is stored in each database that has it.

use futures_util::future::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::clock::{Anchor, Clock};
use super::db::session_options;
use super::error::{Error, Result};

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How often migrations are tried while another transaction holds a lock that they need: for a minute in total.
const ATTEMPTS_MAX: u32 = 20;

/// Runs the missing migrations on the database at `url`.
///
/// A migration waits for a lock as briefly as a request, and then starts again: whatever needs the table queues behind it, so a long
/// wait would stop the service.
///
/// # Errors
/// [`Error::IncompatibleSchema`], and then the database is unchanged; if the database does not respond, or a migration fails.
pub fn migrate(url: &str) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let mut attempts = 1;
        loop {
            match migrate_once(url).await {
                Err(error) if error.is_locked() && attempts < ATTEMPTS_MAX => attempts += 1,
                end => return end,
            }
        }
    })
}

async fn migrate_once(url: &str) -> Result<()> {
    let mut conn = session_options(url)?.connect().await?;
    check_compatible(&applied(&mut conn).await?)?;
    MIGRATOR.run_direct(None, &mut conn, false).await.map_err(|error| match error {
        MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)
            if cause.as_database_error().and_then(|cause| cause.code()).as_deref() == Some("55P03") =>
        {
            cause.into()
        }
        error => Error::Bug(format!("migration: {error}")),
    })?;
    conn.close().await?;
    Ok(())
}

/// Whether the database has all migrations of this program. It may have newer ones, of a newer program.
///
/// # Errors
/// [`Error::IncompatibleSchema`]; if the database does not respond.
pub async fn is_current(conn: &mut PgConnection) -> Result<bool> {
    let applied = applied(conn).await?;
    check_compatible(&applied)?;
    Ok(MIGRATOR.iter().all(|migration| applied.iter().any(|(version, _)| *version == migration.version)))
}

/// Returns the migrations that were run on the database: version and checksum.
async fn applied(conn: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>> {
    let rows = sqlx::query_as("select version, checksum from _sqlx_migrations where success order by version");
    match rows.fetch_all(conn).await {
        // 42P01, undefined table: no migration was run.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(Vec::new()),
        result => Ok(result?),
    }
}

/// Checks that each applied migration is the one of this program, or newer than all of them.
fn check_compatible(applied: &[(i64, Vec<u8>)]) -> Result<()> {
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let is_known = |version: i64, checksum: &[u8]| {
        MIGRATOR.iter().any(|known| known.version == version && *known.checksum == *checksum)
    };
    match applied.iter().find(|(version, checksum)| *version <= newest && !is_known(*version, checksum)) {
        Some((version, _)) => Err(Error::IncompatibleSchema { migration: *version }),
        None => Ok(()),
    }
}

/// Reads the anchor of the domain clock. The first process writes it.
///
/// # Errors
/// If the database does not respond.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_or_removed_migration_is_incompatible_and_newer_one_is_not() {
        let ours: Vec<_> = MIGRATOR.iter().map(|known| (known.version, known.checksum.to_vec())).collect();
        assert!(check_compatible(&[]).is_ok());
        assert!(check_compatible(&ours).is_ok());
        let newer = [ours.clone(), vec![(i64::MAX, vec![0])]].concat();
        assert!(check_compatible(&newer).is_ok());
        let mut edited = ours.clone();
        edited[0].1 = vec![0];
        let removed = [vec![(0, vec![0])], ours].concat();
        for (applied, first) in [(edited, 1), (removed, 0)] {
            let result = check_compatible(&applied);
            assert!(matches!(result, Err(Error::IncompatibleSchema { migration }) if migration == first), "{result:?}");
        }
    }
}
