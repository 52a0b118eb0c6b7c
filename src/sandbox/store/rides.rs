//! The SQL of the live map: active trips.

use sqlx::PgConnection;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, OfferId, RiderId, TripId};
use crate::trips::State;

/// An active trip on the map.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ride {
    pub trip: TripId,
    pub rider: RiderId,
    pub state: State,
    pub pickup: Position,
    pub dropoff: Position,
    pub driver: Option<DriverId>,
    pub offer: Option<PendingOffer>,
    pub requested_at: DomainTime,
}

/// An offer that waits for the driver's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct PendingOffer {
    pub id: OfferId,
    pub driver: DriverId,
    pub expires_at: DomainTime,
}

/// Returns up to `limit` active trips, ordered by id.
///
/// Sorts here and not in SQL: with `order by id` the planner may scan the primary key of all trips backwards instead of the
/// small partial index of active ones.
///
/// # Errors
/// If the database fails, or a row holds an impossible value.
pub async fn rides(conn: &mut PgConnection, limit: i64) -> Result<Vec<Ride>> {
    let rows = sqlx::query!(
        r#"select t.id, t.rider_id, t.state, t.pickup_lat, t.pickup_lon, t.dropoff_lat, t.dropoff_lon, t.requested_at,
                  t.driver_id as "driver_id?: DriverId", o.id as "offer_id?: OfferId",
                  o.driver_id as "offered_to?: DriverId", o.expires_at as "expires_at?: DomainTime"
           from trips t left join offers o on o.trip_id = t.id and o.status = 'pending'
           where t.ended_at is null
           limit $1"#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let mut rides = Vec::with_capacity(rows.len());
    for row in rows {
        let impossible = |column, value| Error::impossible_row("trips", column, row.id, value);
        let place = |column, lat, lon| Position::new(lat, lon).map_err(|_| impossible(column, format!("{lat}, {lon}")));
        let offer = match (row.offer_id, row.offered_to, row.expires_at) {
            (Some(id), Some(driver), Some(expires_at)) => Some(PendingOffer { id, driver, expires_at }),
            _ => None,
        };
        rides.push(Ride {
            trip: row.id,
            rider: row.rider_id,
            state: State::parse(&row.state).ok_or_else(|| impossible("state", row.state.clone()))?,
            pickup: place("pickup_lat", row.pickup_lat, row.pickup_lon)?,
            dropoff: place("dropoff_lat", row.dropoff_lat, row.dropoff_lon)?,
            driver: row.driver_id,
            offer,
            requested_at: row.requested_at,
        });
    }
    rides.sort_unstable_by_key(|ride| ride.trip);
    Ok(rides)
}
