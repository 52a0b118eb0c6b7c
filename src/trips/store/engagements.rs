//! Engagements of drivers, and their silence.

use sqlx::PgConnection;
use uuid::Uuid;

use super::parse_class;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};
use crate::trips::offer::Offer;

/// What a driver is engaged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engagement {
    /// The trip.
    pub trip_id: TripId,
    /// The offer that led to it.
    pub offer_id: OfferId,
    /// Whether it is a ride already, or only an offer.
    pub is_ride: bool,
}

/// Engages a driver with an offer. False if the driver is engaged already.
pub async fn engage(conn: &mut PgConnection, offer: &Offer) -> Result<bool> {
    let done = sqlx::query!(
        "insert into driver_engagements (driver_id, trip_id, offer_id, kind) values ($1, $2, $3, 'offer')
         on conflict (driver_id) do nothing",
        offer.driver_id.uuid(),
        offer.trip_id.uuid(),
        offer.id.uuid(),
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Turns the engagement of an accepted offer into a ride.
pub async fn engage_for_ride(conn: &mut PgConnection, offer: &Offer) -> Result<()> {
    let done = sqlx::query!(
        "update driver_engagements set kind = 'ride' where driver_id = $1 and offer_id = $2 and kind = 'offer'",
        offer.driver_id.uuid(),
        offer.id.uuid(),
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::Overtaken("engagement")) }
}

/// Frees the driver of a trip. Answers who it was.
pub async fn disengage(conn: &mut PgConnection, trip: TripId) -> Result<Option<DriverId>> {
    let driver = sqlx::query_scalar!(
        r#"delete from driver_engagements where trip_id = $1 returning driver_id as "driver_id: DriverId""#,
        trip.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(driver)
}

/// Reads a driver's engagement, without a lock: a hint.
pub async fn engagement(conn: &mut PgConnection, driver: DriverId) -> Result<Option<Engagement>> {
    let row =
        sqlx::query!("select trip_id, offer_id, kind from driver_engagements where driver_id = $1", driver.uuid())
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|row| Engagement { trip_id: row.trip_id, offer_id: row.offer_id, is_ride: row.kind == "ride" }))
}

/// The drivers of `drivers`, or all, with their availability, class, and whether they are engaged: what the index is told.
pub async fn statuses(
    conn: &mut PgConnection,
    drivers: Option<&[Uuid]>,
) -> Result<Vec<(DriverId, VehicleClass, bool, bool)>> {
    let rows = sqlx::query!(
        r#"select d.id as "id!: DriverId", d.class as "class!", d.available as "available!", e.driver_id is not null as "engaged!"
           from drivers d left join driver_engagements e on e.driver_id = d.id
           where ($1::uuid[] is null and (d.available or e.driver_id is not null)) or d.id = any($1)"#,
        drivers,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.id, parse_class(&row.class)?, row.available, row.engaged)))
        .collect())
}

/// Trips whose driver was last heard of before `before`, counted from the assignment and from the matcher's own start.
pub async fn silent(conn: &mut PgConnection, before: DomainTime, limit: i64) -> Result<Vec<(TripId, DriverId)>> {
    let rows = sqlx::query!(
        r#"select t.id as "id: TripId", t.driver_id as "driver_id!: DriverId"
           from trips t cross join matcher m left join driver_positions p on p.driver_id = t.driver_id
           where t.state in ('assigned', 'arrived') and greatest(p.received_at, t.assigned_at, m.since) < $1
           order by t.id limit $2"#,
        before as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.driver_id)).collect())
}

/// When a driver was last heard of, as far as the database knows, and since when the matcher listens.
pub async fn last_heard(conn: &mut PgConnection, driver: DriverId) -> Result<DomainTime> {
    let row = sqlx::query!(
        r#"select greatest(p.received_at, m.since) as "heard!: DomainTime"
           from matcher m left join driver_positions p on p.driver_id = $1"#,
        driver.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(row.heard)
}
