//! Offers.

use sqlx::PgConnection;
use uuid::Uuid;

use super::parsed;
use crate::geo::{EtaSource, roads};
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};
use crate::platform::page::PageRequest;
use crate::trips::offer::{Offer, OfferStatus};

#[derive(Debug)]
struct OfferRow {
    id: OfferId,
    trip_id: TripId,
    driver_id: DriverId,
    status: String,
    pickup_distance_m: i64,
    pickup_eta_s: Option<i64>,
    eta_source: String,
    #[expect(dead_code, reason = "read by `select *`; for debugging")]
    matcher_epoch: i64,
    withdrawn_because: Option<String>,
    created_at: DomainTime,
    expires_at: DomainTime,
    decided_at: Option<DomainTime>,
    released_at: Option<DomainTime>,
}

impl TryFrom<OfferRow> for Offer {
    type Error = Error;

    fn try_from(row: OfferRow) -> Result<Self> {
        let status = parsed(("offers", "status"), row.id, &row.status, OfferStatus::parse)?;
        let eta_source = parsed(("offers", "eta_source"), row.id, &row.eta_source, EtaSource::parse)?;
        Ok(Self {
            id: row.id,
            trip_id: row.trip_id,
            driver_id: row.driver_id,
            status,
            pickup_distance_m: row.pickup_distance_m,
            pickup_eta_s: row.pickup_eta_s.unwrap_or_else(|| roads::drive_s(row.pickup_distance_m)),
            eta_source,
            withdrawn_because: row.withdrawn_because,
            created_at: row.created_at,
            expires_at: row.expires_at,
            decided_at: row.decided_at,
            released_at: row.released_at,
        })
    }
}

/// Returns an offer.
pub async fn find_offer(conn: &mut PgConnection, id: OfferId) -> Result<Option<Offer>> {
    let row = sqlx::query_as!(OfferRow, "select * from offers where id = $1", id.uuid()).fetch_optional(conn).await?;
    row.map(Offer::try_from).transpose()
}

/// Returns the pending offer of a trip. To decide it, lock the trip first.
pub async fn pending_offer(conn: &mut PgConnection, trip: TripId) -> Result<Option<Offer>> {
    let row = sqlx::query_as!(OfferRow, "select * from offers where trip_id = $1 and status = 'pending'", trip.uuid())
        .fetch_optional(conn)
        .await?;
    row.map(Offer::try_from).transpose()
}

/// Returns a page of a driver's offers, newest first.
pub async fn offers_of(conn: &mut PgConnection, driver: DriverId, page: PageRequest) -> Result<Vec<Offer>> {
    let rows = sqlx::query_as!(
        OfferRow,
        "select * from offers where driver_id = $1 and id < $2 order by id desc limit $3",
        driver.uuid(),
        page.before,
        page.rows(),
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(Offer::try_from).collect()
}

/// Writes a new offer.
pub async fn insert_offer(conn: &mut PgConnection, offer: &Offer, epoch: i64) -> Result<()> {
    sqlx::query!(
        "insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at, pickup_eta_s,
                             eta_source)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        offer.id.uuid(),
        offer.trip_id.uuid(),
        offer.driver_id.uuid(),
        offer.status.as_str(),
        offer.pickup_distance_m,
        epoch,
        offer.created_at as _,
        offer.expires_at as _,
        offer.pickup_eta_s,
        offer.eta_source.as_str(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes the decision on an offer.
///
/// # Errors
/// [`Error::StaleWrite`] if the offer is no longer pending, or an accept comes after its expiry.
pub async fn decide_offer(conn: &mut PgConnection, offer: &Offer) -> Result<()> {
    let done = sqlx::query!(
        "update offers set status = $2, decided_at = $3, withdrawn_because = $4
         where id = $1 and status = 'pending' and ($2 <> 'accepted' or expires_at > $3)",
        offer.id.uuid(),
        offer.status.as_str(),
        offer.decided_at as _,
        offer.withdrawn_because,
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::StaleWrite("offer")) }
}

/// Marks the accepted offer of a trip as released, after its driver was unassigned.
pub async fn release_offer(conn: &mut PgConnection, trip: TripId, at: DomainTime) -> Result<()> {
    sqlx::query!(
        "update offers set released_at = $2 where trip_id = $1 and status = 'accepted' and released_at is null",
        trip.uuid(),
        at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the drivers excluded from new offers for each trip: all that had an offer, unless it was withdrawn.
pub async fn excluded_drivers(conn: &mut PgConnection, trips: &[Uuid]) -> Result<Vec<(TripId, DriverId)>> {
    let rows = sqlx::query!(
        r#"select trip_id as "trip_id: TripId", driver_id as "driver_id: DriverId" from offers
           where trip_id = any($1) and status <> 'withdrawn'"#,
        trips,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.trip_id, row.driver_id)).collect())
}
