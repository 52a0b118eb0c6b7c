//! The SQL of drivers and their saved positions.

use sqlx::PgConnection;
use uuid::Uuid;

use super::LastKnown;
use super::commands::Vehicle;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id};

/// A driver in the database.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Driver {
    pub id: DriverId,
    pub name: String,
    pub class: VehicleClass,
    pub plate: String,
    pub available: bool,
    pub version: i64,
}

/// Reads a driver.
///
/// # Errors
/// If the database does not answer, or the row is invalid.
pub async fn find(conn: &mut PgConnection, id: DriverId) -> Result<Option<Driver>> {
    let row = sqlx::query!("select id, name, class, plate, available, version from drivers where id = $1", id.uuid())
        .fetch_optional(conn)
        .await?;
    row.map(|row| {
        let class =
            VehicleClass::parse(&row.class).ok_or_else(|| Error::impossible_row("drivers", "class", id, &row.class))?;
        Ok(Driver {
            id: row.id,
            name: row.name,
            class,
            plate: row.plate,
            available: row.available,
            version: row.version,
        })
    })
    .transpose()
}

pub(super) async fn insert_driver(
    conn: &mut PgConnection,
    id: DriverId,
    available: bool,
    (name, class, plate): (&str, VehicleClass, &str),
    now: DomainTime,
) -> Result<()> {
    let done = sqlx::query!(
        "insert into drivers (id, name, class, plate, available, available_since) values ($1, $2, $3, $4, $5, $6)
         on conflict (id) do nothing",
        id.uuid(),
        name,
        class.as_str(),
        plate,
        available,
        available.then_some(now) as _,
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::StaleWrite("driver")) }
}

/// Updates a driver. Returns false if the driver does not exist.
pub(super) async fn update_driver(
    conn: &mut PgConnection,
    id: DriverId,
    available: bool,
    vehicle: &Vehicle,
    now: DomainTime,
) -> Result<bool> {
    let done = sqlx::query!(
        "update drivers set available = $2, name = coalesce($3, name), class = coalesce($4, class), plate = coalesce($5, plate),
                available_since = case when not $2 then null when available then available_since else $6 end,
                version = version + 1
         where id = $1",
        id.uuid(),
        available,
        vehicle.name,
        vehicle.class.map(VehicleClass::as_str),
        vehicle.plate,
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn is_available(conn: &mut PgConnection, id: DriverId) -> Result<bool> {
    let available = sqlx::query_scalar!("select available from drivers where id = $1 for share", id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(available.unwrap_or(false))
}

pub(super) async fn last_position(conn: &mut PgConnection, id: DriverId) -> Result<Option<Position>> {
    let row = sqlx::query!("select lat, lon from driver_positions where driver_id = $1", id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(row.and_then(|row| Position::new(row.lat, row.lon).ok()))
}

/// Saves positions, except where a newer one is saved: late writes of a former matcher have no effect.
///
/// # Errors
/// If the database does not answer.
pub async fn save_positions(conn: &mut PgConnection, rows: &[LastKnown]) -> Result<()> {
    let drivers: Vec<Uuid> = rows.iter().map(|row| row.driver.uuid()).collect();
    let lats: Vec<f64> = rows.iter().map(|row| row.position.lat()).collect();
    let lons: Vec<f64> = rows.iter().map(|row| row.position.lon()).collect();
    let recorded: Vec<_> = rows.iter().map(|row| row.recorded_at.utc()).collect();
    let received: Vec<_> = rows.iter().map(|row| row.received_at.utc()).collect();
    sqlx::query!(
        "insert into driver_positions as known (driver_id, lat, lon, recorded_at, received_at)
         select * from unnest($1::uuid[], $2::float8[], $3::float8[], $4::timestamptz[], $5::timestamptz[])
         on conflict (driver_id) do update
         set lat = excluded.lat, lon = excluded.lon, recorded_at = excluded.recorded_at, received_at = excluded.received_at
         where known.recorded_at <= excluded.recorded_at",
        &drivers,
        &lats,
        &lons,
        &recorded,
        &received,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the positions received since `since`.
///
/// # Errors
/// If the database does not answer.
pub async fn load_positions(conn: &mut PgConnection, since: DomainTime) -> Result<Vec<LastKnown>> {
    let rows =
        sqlx::query!("select * from driver_positions where received_at >= $1", since as _).fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            Some(LastKnown {
                driver: row.driver_id,
                position: Position::new(row.lat, row.lon).ok()?,
                recorded_at: row.recorded_at,
                received_at: row.received_at,
            })
        })
        .collect())
}
