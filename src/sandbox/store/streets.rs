//! The SQL of the map's streets.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::platform::error::{Error, Result};

/// Replaces the stored streets. The version grows only if they differ.
///
/// # Errors
/// If the database fails.
pub async fn put_streets(conn: &mut PgConnection, coordinates: &str) -> Result<()> {
    sqlx::query!(
        "insert into map_streets (version, coordinates) values (1, $1::text::json)
         on conflict (only_row) do update
         set version = map_streets.version + 1, coordinates = excluded.coordinates
         where map_streets.coordinates::text <> excluded.coordinates::text",
        coordinates,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the coordinates of the streets and their version; `None` before any were published.
///
/// # Errors
/// If the database fails.
pub async fn streets(conn: &mut PgConnection) -> Result<Option<(Box<RawValue>, i64)>> {
    let row = sqlx::query!(r#"select version, coordinates::text as "coordinates!" from map_streets"#)
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        let coordinates = RawValue::from_string(row.coordinates).map_err(|error| Error::Bug(error.to_string()))?;
        Ok((coordinates, row.version))
    })
    .transpose()
}
