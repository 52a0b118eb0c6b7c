//! The SQL of the map's streets.

use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::platform::error::{Error, Result};
use crate::sandbox::map_features::Features;

/// Replaces the stored streets, the drives along them and the features of the map, each as JSON. The version grows only if they differ.
///
/// # Errors
/// If the database fails.
pub async fn put_streets(
    conn: &mut PgConnection,
    coordinates: &str,
    drives: Option<&str>,
    features: Option<&str>,
) -> Result<()> {
    sqlx::query!(
        "insert into map_streets (version, coordinates, drives, features)
         values (1, $1::text::json, $2::text::json, $3::text::json)
         on conflict (only_row) do update
         set version = map_streets.version + 1, coordinates = excluded.coordinates, drives = excluded.drives,
             features = excluded.features
         where map_streets.coordinates::text <> excluded.coordinates::text
            or map_streets.drives::text is distinct from excluded.drives::text
            or map_streets.features::text is distinct from excluded.features::text",
        coordinates,
        drives,
        features,
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

/// A published map as it is shown.
#[derive(Debug)]
pub struct ShownMap {
    /// The version.
    pub version: i64,
    /// The lines, as JSON.
    pub coordinates: Box<RawValue>,
    /// What is shown beside them.
    pub features: Features,
}

/// Returns the published map; `None` before any was published.
///
/// # Errors
/// If the database fails.
pub async fn streets(conn: &mut PgConnection) -> Result<Option<ShownMap>> {
    let row = sqlx::query!(
        r#"select version, coordinates::text as "coordinates!", features::text as features from map_streets"#
    )
    .fetch_optional(conn)
    .await?;
    let bug = |error: serde_json::Error| Error::Bug(error.to_string());
    row.map(|row| {
        let features = row.features.as_deref().map(serde_json::from_str).transpose().map_err(bug)?;
        let coordinates = RawValue::from_string(row.coordinates).map_err(bug)?;
        Ok(ShownMap { version: row.version, coordinates, features: features.unwrap_or_default() })
    })
    .transpose()
}
