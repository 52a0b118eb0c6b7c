//! The SQL of searches and of what was decided in them.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::plan::{Considered, Plan};
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};

/// A trip that searches.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Searching {
    pub trip: TripId,
    pub pickup: Position,
    pub class: VehicleClass,
    pub since: DomainTime,
}

/// Trips whose search is due at `now`, those first who have not been looked at for longest: however many there are, each has its
/// turn. (Who waits longest chooses first among them; that is the plan's business.)
///
/// # Errors
/// If the database does not answer, or a row cannot be.
pub async fn searching(conn: &mut PgConnection, now: DomainTime, limit: i64) -> Result<Vec<Searching>> {
    let rows = sqlx::query!(
        "select id, pickup_lat, pickup_lon, class, requested_at from trips
         where state = 'searching' and search_at <= $1 order by search_at, id limit $2",
        now as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let impossible =
                |column, value| Error::ImpossibleRow { table: "trips", column, row: row.id.to_string(), value };
            let position = Position::new(row.pickup_lat, row.pickup_lon);
            let class = VehicleClass::ALL.into_iter().find(|class| class.as_str() == row.class);
            Ok(Searching {
                trip: row.id,
                pickup: position.map_err(|error| impossible("pickup_lat", error.to_string()))?,
                class: class.ok_or_else(|| impossible("class", row.class.clone()))?,
                since: row.requested_at,
            })
        })
        .collect()
}

/// When the next search is due.
///
/// # Errors
/// If the database does not answer.
pub async fn next_search(conn: &mut PgConnection) -> Result<Option<DomainTime>> {
    let due = sqlx::query_scalar!(r#"select min(search_at) as "due: DomainTime" from trips where state = 'searching'"#)
        .fetch_one(conn)
        .await?;
    Ok(due)
}

/// Locks a trip that still searches. False if it does not, or if somebody else is at it.
///
/// # Errors
/// If the database does not answer.
pub async fn lock_searching(conn: &mut PgConnection, trip: TripId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        "select id from trips where id = $1 and state = 'searching' for no key update skip locked",
        trip.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Keeps what a round decided for a trip. A round that found nobody is overwritten by the next one.
///
/// # Errors
/// If the database does not answer.
pub async fn save_round(
    conn: &mut PgConnection,
    plan: &Plan,
    offer: Option<(OfferId, DriverId)>,
    round: i16,
    now: DomainTime,
) -> Result<()> {
    sqlx::query!(
        "insert into dispatch_rounds (trip_id, round, decided_at, radius_m, offer_id, driver_id, considered)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (trip_id, round) do update
         set decided_at = excluded.decided_at, radius_m = excluded.radius_m, offer_id = excluded.offer_id,
             driver_id = excluded.driver_id, considered = excluded.considered",
        plan.trip.uuid(),
        round,
        now as _,
        plan.radius_m,
        offer.map(|(offer, _)| offer.uuid()),
        offer.map(|(_, driver)| driver.uuid()),
        json(&plan.considered),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For trips that found nobody: keeps what was looked at, and puts the next look off until `again`. One statement for all.
///
/// # Errors
/// If the database does not answer.
pub async fn save_empty_rounds(
    conn: &mut PgConnection,
    plans: &[Plan],
    now: DomainTime,
    again: DomainTime,
) -> Result<()> {
    let trips: Vec<Uuid> = plans.iter().map(|plan| plan.trip.uuid()).collect();
    let radii: Vec<i32> = plans.iter().map(|plan| plan.radius_m).collect();
    let considered: Vec<Value> = plans.iter().map(|plan| json(&plan.considered)).collect();
    sqlx::query!(
        "with empty as (
             select * from unnest($1::uuid[], $2::int[], $3::jsonb[]) as empty (trip_id, radius_m, considered)),
         put_off as (
             update trips set search_at = $5 from empty
             where trips.id = empty.trip_id and trips.state = 'searching'
             returning trips.id, trips.offers_made, empty.radius_m, empty.considered)
         insert into dispatch_rounds (trip_id, round, decided_at, radius_m, considered)
         select id, offers_made, $4, radius_m, considered from put_off
         on conflict (trip_id, round) do update
         set decided_at = excluded.decided_at, radius_m = excluded.radius_m, considered = excluded.considered",
        &trips,
        &radii,
        &considered,
        now as _,
        again as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn json(considered: &[Considered]) -> Value {
    considered
        .iter()
        .map(|one| {
            json!({
                "driver_id": one.driver_id,
                "distance_m": one.distance_m,
                "eta_s": one.eta_s,
                "position_age_ms": one.position_age_ms,
                "verdict": one.verdict.as_str(),
            })
        })
        .collect()
}

/// A round as it was kept.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Round {
    pub round: i16,
    pub decided_at: DomainTime,
    pub radius_m: i32,
    pub offer_id: Option<OfferId>,
    pub driver_id: Option<DriverId>,
    pub considered: Value,
}

/// What was decided for a trip, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn rounds(conn: &mut PgConnection, trip: TripId) -> Result<Vec<Round>> {
    let rows = sqlx::query_as!(
        Round,
        "select round, decided_at, radius_m, offer_id, driver_id, considered from dispatch_rounds where trip_id = $1 order by round",
        trip.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
