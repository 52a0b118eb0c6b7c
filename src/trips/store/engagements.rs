//! Engagements of drivers, and unresponsive drivers.

use sqlx::PgConnection;
use uuid::Uuid;

use super::parsed;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};
use crate::trips::offer::Offer;

/// A driver's engagement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engagement {
    /// The trip.
    pub trip_id: TripId,
    /// The offer it began with.
    pub offer_id: OfferId,
    /// Whether the offer was accepted.
    pub is_ride: bool,
}

/// Engages a driver for an offer. Returns false if the driver has an engagement.
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

/// Changes the engagement of an accepted offer to a ride.
///
/// # Errors
/// [`Error::StaleWrite`] if the driver has no engagement for this offer.
pub async fn engage_for_ride(conn: &mut PgConnection, offer: &Offer) -> Result<()> {
    let done = sqlx::query!(
        "update driver_engagements set kind = 'ride' where driver_id = $1 and offer_id = $2 and kind = 'offer'",
        offer.driver_id.uuid(),
        offer.id.uuid(),
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::StaleWrite("engagement")) }
}

/// Deletes the engagement for a trip. Returns its driver.
pub async fn disengage(conn: &mut PgConnection, trip: TripId) -> Result<Option<DriverId>> {
    let driver = sqlx::query_scalar!(
        r#"delete from driver_engagements where trip_id = $1 returning driver_id as "driver_id: DriverId""#,
        trip.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(driver)
}

/// Returns a driver's engagement, without a lock: a hint.
pub async fn engagement(conn: &mut PgConnection, driver: DriverId) -> Result<Option<Engagement>> {
    let row =
        sqlx::query!("select trip_id, offer_id, kind from driver_engagements where driver_id = $1", driver.uuid())
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|row| Engagement { trip_id: row.trip_id, offer_id: row.offer_id, is_ride: row.kind == "ride" }))
}

/// Returns drivers with class, availability, and whether they have an engagement, for the index. `None` selects all that are
/// available or engaged.
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
    let statuses = rows.into_iter().filter_map(|row| {
        match parsed(("drivers", "class"), row.id, &row.class, VehicleClass::parse) {
            Ok(class) => Some((row.id, class, row.available, row.engaged)),
            Err(error) => {
                // One impossible row must not keep the other drivers out of the index.
                tracing::error!(%error, "the driver is left out of the index");
                None
            }
        }
    });
    Ok(statuses.collect())
}

/// Returns trips whose driver sent no position since `before`. The assignment and the matcher's start count as positions.
pub async fn unresponsive_drivers(
    conn: &mut PgConnection,
    before: DomainTime,
    limit: i64,
) -> Result<Vec<(TripId, DriverId)>> {
    let rows = sqlx::query!(
        r#"select t.id as "id: TripId", t.driver_id as "driver_id!: DriverId"
           from trips t cross join matcher m left join driver_positions p on p.driver_id = t.driver_id
           where t.ended_at is null and greatest(p.received_at, t.assigned_at, m.since) < $1
             and t.state in (select from_state from trip_transitions where command = 'driver_unresponsive')
           order by t.id limit $2"#,
        before as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.driver_id)).collect())
}

/// Returns the time of a driver's last position in the database, or of the matcher's start if that is later.
pub async fn last_seen(conn: &mut PgConnection, driver: DriverId) -> Result<DomainTime> {
    let row = sqlx::query!(
        r#"select greatest(p.received_at, m.since) as "last_seen!: DomainTime"
           from matcher m left join driver_positions p on p.driver_id = $1"#,
        driver.uuid(),
    )
    .fetch_one(conn)
    .await?;
    Ok(row.last_seen)
}
