//! The SQL of drivers and of the index's checkpoint.

use sqlx::PgConnection;
use uuid::Uuid;

use super::LastKnown;
use super::checkpoint::{self, Chunk};
use super::commands::Vehicle;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id};

/// The chunks per statement: 3 MB.
const CHUNKS_MAX: usize = 64;

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

pub(super) async fn is_available(conn: &mut PgConnection, id: DriverId) -> Result<Option<bool>> {
    let available = sqlx::query_scalar!("select available from drivers where id = $1 for share skip locked", id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(available)
}

/// Locks the row of a driver who has been online since before `before`. Returns false if there is none.
pub(super) async fn lock_online_since(conn: &mut PgConnection, id: DriverId, before: DomainTime) -> Result<bool> {
    let row = sqlx::query_scalar!(
        "select id from drivers where id = $1 and available and available_since < $2 for no key update",
        id.uuid(),
        before as _,
    );
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// Locks the row of a driver who is online, without waiting. Returns false if there is none, or another transaction has locked it.
pub(super) async fn lock_online_now(conn: &mut PgConnection, id: DriverId) -> Result<bool> {
    let row = sqlx::query_scalar!(
        "select id from drivers where id = $1 and available for no key update skip locked",
        id.uuid()
    );
    Ok(row.fetch_optional(conn).await?.is_some())
}

/// The positions of the index at one time.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The epoch of the matcher that saved it.
    pub epoch: i64,
    /// When the positions were read: it has every position received before.
    pub saved_at: DomainTime,
    /// The positions.
    pub chunks: Vec<Chunk>,
}

/// Replaces the checkpoint.
///
/// # Errors
/// If the database does not answer; if another matcher is replacing it too.
pub(super) async fn replace_checkpoint(conn: &mut PgConnection, checkpoint: &Checkpoint) -> Result<()> {
    sqlx::query!("delete from index_checkpoint_chunks").execute(&mut *conn).await?;
    for chunks in checkpoint.chunks.chunks(CHUNKS_MAX) {
        let (drivers, positions): (Vec<Uuid>, Vec<Vec<u8>>) =
            chunks.iter().map(|chunk| (chunk.first_driver.uuid(), chunk.positions.clone())).unzip();
        sqlx::query!(
            "insert into index_checkpoint_chunks (first_driver, positions) select * from unnest($1::uuid[], $2::bytea[])",
            &drivers,
            &positions,
        )
        .execute(&mut *conn)
        .await?;
    }
    sqlx::query!(
        "insert into index_checkpoint (epoch, saved_at) values ($1, $2)
         on conflict (only_row) do update set epoch = excluded.epoch, saved_at = excluded.saved_at",
        checkpoint.epoch,
        checkpoint.saved_at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reads the checkpoint: when it was saved, and its positions. `None` if none was saved since the database was lost.
///
/// # Errors
/// If the database does not answer.
pub async fn checkpoint(conn: &mut PgConnection) -> Result<Option<(DomainTime, Vec<LastKnown>)>> {
    // One statement, so that time and positions are of one checkpoint.
    let rows = sqlx::query!(
        r#"select c.saved_at as "saved_at: DomainTime", chunk.positions as "positions?"
           from index_checkpoint c left join index_checkpoint_chunks chunk on true"#
    )
    .fetch_all(conn)
    .await?;
    let Some(saved_at) = rows.first().map(|row| row.saved_at) else { return Ok(None) };
    let positions = rows.iter().filter_map(|row| row.positions.as_deref()).flat_map(decoded).collect();
    Ok(Some((saved_at, positions)))
}

/// Reads one driver's position in the checkpoint, and when the checkpoint was saved. `None` as [`checkpoint`].
///
/// # Errors
/// If the database does not answer.
pub async fn saved_position(
    conn: &mut PgConnection,
    driver: DriverId,
) -> Result<Option<(DomainTime, Option<LastKnown>)>> {
    let row = sqlx::query!(
        r#"select c.saved_at as "saved_at: DomainTime", (
               select positions from index_checkpoint_chunks
               where first_driver <= $1 order by first_driver desc limit 1) as "positions?"
           from index_checkpoint c"#,
        driver.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| {
        let positions = row.positions.as_deref().map(decoded).unwrap_or_default();
        let found = positions.binary_search_by_key(&driver, |last| last.driver).ok();
        (row.saved_at, found.and_then(|place| positions.get(place).copied()))
    }))
}

/// Decodes a chunk. One that cannot be read counts as empty: its drivers' next positions replace it.
fn decoded(chunk: &[u8]) -> Vec<LastKnown> {
    checkpoint::decode(chunk).unwrap_or_else(|error| {
        tracing::warn!(%error, "a chunk is left out");
        Vec::new()
    })
}
