//! The SQL of searching trips and of match cycles.

use serde::Serialize;
use serde_json::{Value, json};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::plan::{CandidateVerdict, ConsideredCandidate, Plan};
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};

/// A trip in state `searching`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SearchingTrip {
    pub trip: TripId,
    pub pickup: Position,
    pub class: VehicleClass,
    pub since: DomainTime,
}

/// Returns up to `limit` trips whose search is due at `now`, without `postponed`: the least recently considered first, so that each
/// has its turn. A trip whose row is invalid is an error beside the others.
///
/// # Errors
/// If the database fails.
pub async fn due_trips(
    conn: &mut PgConnection,
    now: DomainTime,
    postponed: &[TripId],
    limit: i64,
) -> Result<Vec<Result<SearchingTrip, (TripId, Error)>>> {
    let rows = sqlx::query!(
        "select id, pickup_lat, pickup_lon, class, requested_at from trips
         where state = 'searching' and search_at <= $1 and id <> all($2) order by search_at, id limit $3",
        now as _,
        &uuids(postponed),
        limit,
    )
    .fetch_all(conn)
    .await?;
    let trips = rows.into_iter().map(|row| {
        let impossible = |column, value| (row.id, Error::impossible_row("trips", column, row.id, value));
        let position = Position::new(row.pickup_lat, row.pickup_lon);
        let class = VehicleClass::parse(&row.class);
        Ok(SearchingTrip {
            trip: row.id,
            pickup: position.map_err(|error| impossible("pickup_lat", error.to_string()))?,
            class: class.ok_or_else(|| impossible("class", row.class.clone()))?,
            since: row.requested_at,
        })
    });
    Ok(trips.collect())
}

/// Returns when the next search is due, without those of `postponed`.
///
/// # Errors
/// If the database does not answer.
pub async fn next_search(conn: &mut PgConnection, postponed: &[TripId]) -> Result<Option<DomainTime>> {
    let due = sqlx::query_scalar!(
        r#"select min(search_at) as "due: DomainTime" from trips where state = 'searching' and id <> all($1)"#,
        &uuids(postponed),
    );
    Ok(due.fetch_one(conn).await?)
}

fn uuids(trips: &[TripId]) -> Vec<Uuid> {
    trips.iter().map(|trip| trip.uuid()).collect()
}

/// Locks a trip that is still searching, without waiting for another transaction. Returns false if it is not searching.
///
/// # Errors
/// [`Error::is_locked`] if another transaction has locked it; if the database does not answer.
pub async fn lock_searching(conn: &mut PgConnection, trip: TripId) -> Result<bool> {
    let found = sqlx::query_scalar!(
        "select id from trips where id = $1 and state = 'searching' for no key update nowait",
        trip.uuid()
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// A candidate as it is stored and published.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Candidate)]
pub struct CandidateRow {
    /// The driver.
    driver_id: DriverId,
    /// Great-circle distance to the pickup, in meters.
    #[schema(minimum = 0)]
    distance_m: i64,
    /// Estimated drive to the pickup, in seconds.
    #[schema(minimum = 0)]
    eta_s: i64,
    /// Age of the driver's position, in milliseconds of domain time.
    #[schema(minimum = 0)]
    position_age_ms: i64,
    /// The decision.
    verdict: CandidateVerdict,
}

fn rows(plan: &Plan) -> Vec<CandidateRow> {
    let row = |candidate: &ConsideredCandidate| {
        let ConsideredCandidate { driver_id, distance_m, eta_s, position_age_ms, verdict } = *candidate;
        CandidateRow { driver_id, distance_m, eta_s, position_age_ms, verdict }
    };
    plan.considered.iter().map(row).collect()
}

/// Saves a plan that led to an offer. It replaces cycles without an offer since the previous one.
///
/// # Errors
/// If the database does not answer.
pub async fn save_cycle(
    conn: &mut PgConnection,
    plan: &Plan,
    (offer, driver): (OfferId, DriverId),
    offers_before: i16,
    now: DomainTime,
) -> Result<()> {
    sqlx::query!(
        "insert into match_cycles (trip_id, offers_before, decided_at, offer_id, driver_id, candidates)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (trip_id, offers_before) do update
         set decided_at = excluded.decided_at, offer_id = excluded.offer_id, driver_id = excluded.driver_id,
             candidates = excluded.candidates",
        plan.trip.uuid(),
        offers_before,
        now as _,
        offer.uuid(),
        driver.uuid(),
        json!(rows(plan)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Saves plans that led to no offer, and postpones the next search of their trips until `retry_at`. One statement for all. Returns
/// the trips; those that another transaction has locked, or that no longer search, are skipped.
///
/// # Errors
/// If the database does not answer.
pub async fn save_empty_cycles(
    conn: &mut PgConnection,
    plans: &[Plan],
    now: DomainTime,
    retry_at: DomainTime,
) -> Result<Vec<TripId>> {
    let trips: Vec<Uuid> = plans.iter().map(|plan| plan.trip.uuid()).collect();
    let candidates: Vec<Value> = plans.iter().map(|plan| json!(rows(plan))).collect();
    let saved = sqlx::query_scalar!(
        r#"with empty as (select * from unnest($1::uuid[], $2::jsonb[]) as empty (trip_id, candidates)),
         unlocked as (
             select id from trips where id = any($1) and state = 'searching' order by id for no key update skip locked),
         postponed as (
             update trips set search_at = $4 from empty join unlocked on unlocked.id = empty.trip_id
             where trips.id = unlocked.id and trips.state = 'searching'
             returning trips.id, trips.offers_made, empty.candidates)
         insert into match_cycles (trip_id, offers_before, decided_at, candidates)
         select id, offers_made, $3, candidates from postponed
         on conflict (trip_id, offers_before) do update
         set decided_at = excluded.decided_at, candidates = excluded.candidates
         returning trip_id as "trip_id: TripId""#,
        &trips,
        &candidates,
        now as _,
        retry_at as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(saved)
}

/// A saved match cycle of one trip.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct MatchCycle {
    pub offers_before: i16,
    pub decided_at: DomainTime,
    pub offer_id: Option<OfferId>,
    pub driver_id: Option<DriverId>,
    pub candidates: Value,
}

/// Returns the match cycles of a trip, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn match_cycles(conn: &mut PgConnection, trip: TripId) -> Result<Vec<MatchCycle>> {
    let rows = sqlx::query_as!(
        MatchCycle,
        "select offers_before, decided_at, offer_id, driver_id, candidates
         from match_cycles where trip_id = $1 order by offers_before",
        trip.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
