//! The SQL of quotes.

use chrono::TimeDelta;
use sqlx::PgConnection;

use super::model::{CURRENCY, Fare};
use crate::demand::PlaceSurge;
use crate::geo::cells::Cell;
use crate::geo::roads::Leg;
use crate::geo::{EtaSource, Position};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, QuoteId, RiderId};
use crate::platform::money::Money;
use crate::platform::retention::{BATCH, RetentionRule};

/// A quote.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Quote {
    pub id: QuoteId,
    pub rider_id: RiderId,
    pub class: VehicleClass,
    pub pickup: Position,
    pub dropoff: Position,
    pub leg: Leg,
    pub eta_source: EtaSource,
    pub fare: Fare,
    pub surge: PlaceSurge,
    pub created_at: DomainTime,
    pub expires_at: DomainTime,
    pub used_at: Option<DomainTime>,
}

impl Quote {
    /// Returns the price.
    pub fn price(&self) -> Money {
        self.fare.total()
    }
}

pub(super) async fn insert(conn: &mut PgConnection, quote: &Quote) -> Result<()> {
    sqlx::query!(
        "insert into quotes (id, rider_id, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon, distance_m, duration_s,
                             base, by_distance, by_time, surge, to_minimum, price, currency, surge_bp, surge_cell, surge_reason,
                             created_at, expires_at, eta_source)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)",
        quote.id.uuid(),
        quote.rider_id.uuid(),
        quote.class.as_str(),
        quote.pickup.lat(),
        quote.pickup.lon(),
        quote.dropoff.lat(),
        quote.dropoff.lon(),
        quote.leg.distance_m,
        quote.leg.duration_s,
        quote.fare.base,
        quote.fare.by_distance,
        quote.fare.by_time,
        quote.fare.surge,
        quote.fare.to_minimum,
        quote.price().amount,
        CURRENCY.as_str(),
        quote.surge.multiplier_bp,
        quote.surge.cell.map(Cell::stored),
        quote.surge.reason,
        quote.created_at as _,
        quote.expires_at as _,
        quote.eta_source.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns a quote.
///
/// # Errors
/// If the database fails, or the row holds an impossible value.
pub async fn find(conn: &mut PgConnection, id: QuoteId) -> Result<Option<Quote>> {
    let Some(row) = sqlx::query!("select * from quotes where id = $1", id.uuid()).fetch_optional(conn).await? else {
        return Ok(None);
    };
    let impossible = |column, value: String| Error::impossible_row("quotes", column, id, value);
    let position = |lat, lon| Position::new(lat, lon).map_err(|_| impossible("pickup_lat", format!("{lat}, {lon}")));
    Ok(Some(Quote {
        id: row.id,
        rider_id: row.rider_id,
        class: VehicleClass::parse(&row.class).ok_or_else(|| impossible("class", row.class.clone()))?,
        pickup: position(row.pickup_lat, row.pickup_lon)?,
        dropoff: position(row.dropoff_lat, row.dropoff_lon)?,
        leg: Leg { distance_m: row.distance_m, duration_s: row.duration_s },
        eta_source: EtaSource::parse(&row.eta_source)
            .ok_or_else(|| impossible("eta_source", row.eta_source.clone()))?,
        fare: Fare {
            base: row.base,
            by_distance: row.by_distance,
            by_time: row.by_time,
            surge: row.surge,
            to_minimum: row.to_minimum,
        },
        surge: PlaceSurge {
            multiplier_bp: row.surge_bp,
            cell: row
                .surge_cell
                .map(|cell| Cell::from_stored(cell).ok_or_else(|| impossible("surge_cell", cell.to_string())))
                .transpose()?,
            reason: row.surge_reason,
        },
        created_at: row.created_at,
        expires_at: row.expires_at,
        used_at: row.used_at,
    }))
}

/// Marks a quote as used if it is the rider's, unused and not expired at `now`. Returns whether it did.
pub(super) async fn mark_used(conn: &mut PgConnection, id: QuoteId, rider: RiderId, now: DomainTime) -> Result<bool> {
    let done = sqlx::query!(
        "update quotes set used_at = $3 where id = $1 and rider_id = $2 and used_at is null and expires_at > $3",
        id.uuid(),
        rider.uuid(),
        now as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How long an unused quote is kept after it expired (domain time), to answer questions about its price.
const QUOTES_KEPT: TimeDelta = TimeDelta::hours(24);

/// The retention of unused quotes. A used one belongs to its trip.
pub const RETENTION: RetentionRule = RetentionRule {
    rows: "quotes",
    delete: |conn, expiry| Box::pin(delete_expired(conn, expiry.domain(QUOTES_KEPT), expiry.batch())),
    batch: BATCH,
};

/// Deletes at most `limit` unused quotes that expired before `before`.
///
/// # Errors
/// If the database fails.
async fn delete_expired(conn: &mut PgConnection, before: DomainTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from quotes where id = any (array(
             select id from quotes where used_at is null and expires_at < $1 order by expires_at limit $2
             for update skip locked)) and used_at is null",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
