//! The database against which queries are checked.

use std::path::Path;

use embedded_postgres::Server;
use sqlx::{Connection, PgConnection, migrate::Migrator};

use crate::Result;

/// Creates a database and applies these migrations.
///
/// # Errors
///
/// The server does not respond, or a migration fails.
pub async fn migrated_database(server: &Server, name: &str, migrations: &Path) -> Result<()> {
    server.ensure_database(name).await?;
    let mut session = PgConnection::connect(&server.url(name)).await?;
    Migrator::new(migrations)
        .await?
        .run(&mut session)
        .await
        .map_err(|error| format!("{}: {error}", migrations.display()))?;
    session.close().await?;
    Ok(())
}
