//! The SQL of the map's streets.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::platform::error::{Error, Result};

/// Replaces the stored streets and the drives along them. The version grows only if they differ.
///
/// # Errors
/// If the database fails.
pub async fn put_streets(conn: &mut PgConnection, coordinates: &str, drives: Option<&str>) -> Result<()> {
    sqlx::query!(
        "insert into map_streets (version, coordinates, drives) values (1, $1::text::json, $2::text::json)
         on conflict (only_row) do update
         set version = map_streets.version + 1, coordinates = excluded.coordinates, drives = excluded.drives
         where map_streets.coordinates::text <> excluded.coordinates::text
            or map_streets.drives::text is distinct from excluded.drives::text",
        coordinates,
        drives,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the version of the streets; 0 before any were published.
///
/// # Errors
/// If the database fails.
pub async fn streets_version(conn: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar!("select version from map_streets").fetch_optional(conn).await?.unwrap_or(0))
}

/// Returns version, coordinates and drives of the streets, as JSON; `None` before any were published.
///
/// # Errors
/// If the database fails.
pub async fn street_drives(conn: &mut PgConnection) -> Result<Option<(i64, String, Option<String>)>> {
    let row =
        sqlx::query!(r#"select version, coordinates::text as "coordinates!", drives::text as drives from map_streets"#)
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|row| (row.version, row.coordinates, row.drives)))
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
