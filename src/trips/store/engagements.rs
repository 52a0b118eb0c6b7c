//! Engagements of drivers, their statuses for the index, and unresponsive drivers.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::{parsed, uuids};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};
use crate::supply::Status;
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

/// Returns the trips that these drivers are engaged on, without a lock.
pub async fn engaged_trips(conn: &mut PgConnection, drivers: &[DriverId]) -> Result<HashMap<DriverId, TripId>> {
    if drivers.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = drivers.iter().map(|driver| driver.uuid()).collect();
    let rows = sqlx::query!(
        r#"select driver_id as "driver: DriverId", trip_id as "trip: TripId" from driver_engagements where driver_id = any($1)"#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.driver, row.trip)).collect())
}

/// Returns the statuses of these drivers for the index. A driver without a row is offline.
pub async fn statuses(conn: &mut PgConnection, drivers: &[Uuid]) -> Result<Vec<(DriverId, Status)>> {
    let rows = sqlx::query_as!(
        StatusRow,
        r#"select d.id as "id!: DriverId", d.class as "class!", d.available as "available!", e.driver_id is not null as "engaged!"
           from drivers d left join driver_engagements e on e.driver_id = d.id
           where d.id = any($1)"#,
        drivers,
    )
    .fetch_all(conn)
    .await?;
    let found: HashMap<DriverId, Status> = rows.into_iter().filter_map(StatusRow::status).collect();
    let status = |driver: DriverId| (driver, found.get(&driver).copied().unwrap_or(Status::Offline));
    Ok(drivers.iter().map(|driver| status(DriverId::from(*driver))).collect())
}

/// A page of the online drivers.
#[derive(Debug)]
pub struct StatusPage {
    /// Their statuses, ordered by driver.
    pub statuses: Vec<(DriverId, Status)>,
    /// The last driver of the page, if more may follow.
    pub last: Option<DriverId>,
}

/// Returns a page of the online drivers, from `first` on. An engaged driver is online: going offline ends an offer, and is refused on
/// a trip.
pub async fn online_statuses(conn: &mut PgConnection, first: DriverId, limit: i64) -> Result<StatusPage> {
    let rows = sqlx::query_as!(
        StatusRow,
        r#"select d.id as "id!: DriverId", d.class as "class!", d.available as "available!", e.driver_id is not null as "engaged!"
           from drivers d left join driver_engagements e on e.driver_id = d.id
           where d.available and d.id >= $1 order by d.id limit $2"#,
        first.uuid(),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let is_full = i64::try_from(rows.len()).unwrap_or(limit) >= limit;
    let last = rows.last().filter(|_| is_full).map(|row| row.id);
    Ok(StatusPage { statuses: rows.into_iter().filter_map(StatusRow::status).collect(), last })
}

struct StatusRow {
    id: DriverId,
    class: String,
    available: bool,
    engaged: bool,
}

impl StatusRow {
    /// Returns the status. `None` for an impossible row: it must not keep the other drivers out of the index.
    fn status(self) -> Option<(DriverId, Status)> {
        let class = parsed(("drivers", "class"), self.id, &self.class, VehicleClass::parse);
        let class = class.inspect_err(|error| tracing::error!(%error, "the driver is left out of the index")).ok()?;
        let status = match (self.engaged, self.available) {
            (true, _) => Status::Busy { class },
            (false, true) => Status::Free { class },
            (false, false) => Status::Offline,
        };
        Some((self.id, status))
    }
}

/// Returns the trips of these drivers that began before `before`, under a matcher that did too, and that an unresponsive driver
/// is unassigned from, without `postponed`.
pub async fn trips_of_unresponsive(
    conn: &mut PgConnection,
    drivers: &[Uuid],
    before: DomainTime,
    postponed: &[TripId],
    limit: i64,
) -> Result<Vec<(TripId, DriverId)>> {
    let rows = sqlx::query!(
        r#"select t.id as "id: TripId", t.driver_id as "driver_id!: DriverId"
           from trips t cross join matcher m
           where t.driver_id = any($1) and t.ended_at is null and greatest(t.assigned_at, m.since) < $2
             and t.state in (select from_state from trip_transitions where command = 'driver_unresponsive')
             and t.id <> all($3)
           order by t.id limit $4"#,
        drivers,
        before as _,
        &uuids(postponed),
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.driver_id)).collect())
}

/// Returns those of these drivers that have been online since before `before`, under a matcher that did too, and have no
/// engagement.
pub async fn free_since(
    conn: &mut PgConnection,
    drivers: &[Uuid],
    before: DomainTime,
    limit: i64,
) -> Result<Vec<DriverId>> {
    let rows = sqlx::query_scalar!(
        r#"select d.id as "id: DriverId" from drivers d cross join matcher m
           where d.id = any($1) and d.available and greatest(d.available_since, m.since) < $2
             and not exists (select from driver_engagements e where e.driver_id = d.id)
           order by d.id limit $3"#,
        drivers,
        before as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
