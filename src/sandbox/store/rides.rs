//! The SQL behind the live map: trips that are not over.

use sqlx::PgConnection;

use crate::geo::Position;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, OfferId, RiderId, TripId};
use crate::trips::State;

/// A trip that is not over, as the map shows it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ride {
    pub trip: TripId,
    pub rider: RiderId,
    pub state: State,
    pub pickup: Position,
    pub dropoff: Position,
    pub driver: Option<DriverId>,
    pub offer: Option<Flying>,
    pub requested_at: DomainTime,
}

/// An offer that nobody has answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Flying {
    pub id: OfferId,
    pub driver: DriverId,
    pub expires_at: DomainTime,
}

/// Reads up to `limit` trips that are not over, in the order of their ids.
///
/// The order is made here and not in SQL: with an `order by id` the planner may walk all trips there ever were, backwards, in
/// place of the small index of those that are not over.
///
/// # Errors
/// If the database does not answer, or a row cannot be.
pub async fn rides(conn: &mut PgConnection, limit: i64) -> Result<Vec<Ride>> {
    let rows = sqlx::query!(
        r#"select t.id, t.rider_id, t.state, t.pickup_lat, t.pickup_lon, t.dropoff_lat, t.dropoff_lon, t.requested_at,
                  t.driver_id as "driver_id?: DriverId", o.id as "offer_id?: OfferId",
                  o.driver_id as "offered_to?: DriverId", o.expires_at as "expires_at?: DomainTime"
           from trips t left join offers o on o.trip_id = t.id and o.status = 'pending'
           where t.state in ('requested', 'searching', 'offered', 'assigned', 'arrived', 'in_progress')
           limit $1"#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let mut rides = Vec::with_capacity(rows.len());
    for row in rows {
        let impossible =
            |column, value| Error::ImpossibleRow { table: "trips", column, row: row.id.to_string(), value };
        let place = |column, lat, lon| Position::new(lat, lon).map_err(|_| impossible(column, format!("{lat}, {lon}")));
        let offer = match (row.offer_id, row.offered_to, row.expires_at) {
            (Some(id), Some(driver), Some(expires_at)) => Some(Flying { id, driver, expires_at }),
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
