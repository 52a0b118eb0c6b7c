//! The SQL of the console's streets.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::platform::error::{Error, Result};

/// Keeps these streets in place of the ones before.
///
/// # Errors
/// If the database does not answer.
pub async fn put_streets(conn: &mut PgConnection, coordinates: &str) -> Result<()> {
    sqlx::query!(
        "insert into sandbox_streets (version, coordinates) values (1, $1::text::json)
         on conflict (only_row) do update
         set version = sandbox_streets.version + 1, coordinates = excluded.coordinates
         where sandbox_streets.coordinates::text <> excluded.coordinates::text",
        coordinates,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the coordinates of the streets and their version; none if nobody has published any.
///
/// # Errors
/// If the database does not answer.
pub async fn streets(conn: &mut PgConnection) -> Result<Option<(Box<RawValue>, i64)>> {
    let row = sqlx::query!(r#"select version, coordinates::text as "coordinates!" from sandbox_streets"#)
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        let coordinates = RawValue::from_string(row.coordinates).map_err(|error| Error::Bug(error.to_string()))?;
        Ok((coordinates, row.version))
    })
    .transpose()
}
