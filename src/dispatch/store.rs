//! The SQL of searching trips and of match cycles.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::decision::{CycleRow, Decision};
use super::hints::SentHint;
use crate::geo::Position;
use crate::geo::cells::Cell;
use crate::platform::class::VehicleClass;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{DriverId, Id, OfferId, TripId};
use crate::platform::retention::{BATCH, RetentionRule};
use crate::trips;

/// A trip in state `searching`.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SearchingTrip {
    pub id: TripId,
    pub pickup: Position,
    pub class: VehicleClass,
    /// The latest pickup; `None` without a limit.
    pub pickup_by: Option<DomainTime>,
    /// When it was first searched for.
    pub since: DomainTime,
    /// When its payment was authorized (real time).
    pub authorized_at: Option<MachineTime>,
    /// The number of offers it has had.
    pub offers_made: i16,
    /// The drivers who must not be offered the trip again.
    pub excluded: HashSet<DriverId>,
}

/// Returns the ids of the searching trips, the oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn searching_ids(conn: &mut PgConnection, limit: i64) -> Result<Vec<TripId>> {
    let ids = sqlx::query_scalar!(
        r#"select id as "id: TripId" from trips where state = 'searching' order by id limit $1"#,
        limit
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Returns those of these trips that are searching. A trip whose row is invalid is an error beside the others.
///
/// # Errors
/// If the database does not answer.
pub async fn searching_trips(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Result<SearchingTrip, (TripId, Error)>>> {
    let rows = sqlx::query!(
        r#"select id as "id: TripId", pickup_lat, pickup_lon, class, pickup_by as "pickup_by: DomainTime",
                  searching_since as "since: DomainTime", authorized_at as "authorized_at: MachineTime", offers_made
           from trips where id = any($1) and state = 'searching'"#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut excluded: HashMap<TripId, HashSet<DriverId>> = HashMap::new();
    if !rows.is_empty() {
        for (trip, driver) in trips::store::excluded_drivers(conn, ids).await? {
            excluded.entry(trip).or_default().insert(driver);
        }
    }
    let trips = rows.into_iter().map(|row| {
        let impossible = |column, value| (row.id, Error::impossible_row("trips", column, row.id, value));
        let position = Position::new(row.pickup_lat, row.pickup_lon);
        let class = VehicleClass::parse(&row.class);
        Ok(SearchingTrip {
            id: row.id,
            pickup: position.map_err(|error| impossible("pickup_lat", error.to_string()))?,
            class: class.ok_or_else(|| impossible("class", row.class.clone()))?,
            pickup_by: row.pickup_by,
            since: row.since.ok_or_else(|| impossible("searching_since", "null while searching".to_owned()))?,
            authorized_at: row.authorized_at,
            offers_made: row.offers_made,
            excluded: excluded.remove(&row.id).unwrap_or_default(),
        })
    });
    Ok(trips.collect())
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

/// An offer that a decision led to.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Chosen {
    pub offer: OfferId,
    pub driver: DriverId,
    pub offers_before: i16,
    pub waited_for_driver_ms: i64,
    pub waited_for_service_ms: i64,
}

/// Saves a decision that led to an offer. It replaces cycles without an offer since the previous one.
///
/// # Errors
/// If the database does not answer.
pub async fn save_cycle(conn: &mut PgConnection, decision: &Decision, chosen: Chosen, now: DomainTime) -> Result<()> {
    sqlx::query!(
        "insert into match_cycles (trip_id, offers_before, decided_at, offer_id, driver_id, candidates, cycle, waited_ms,
                                   skip_cost_ms, waited_for_driver_ms, waited_for_service_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict (trip_id, offers_before) do update
         set decided_at = excluded.decided_at, offer_id = excluded.offer_id, driver_id = excluded.driver_id,
             candidates = excluded.candidates, cycle = excluded.cycle, waited_ms = excluded.waited_ms,
             skip_cost_ms = excluded.skip_cost_ms, waited_for_driver_ms = excluded.waited_for_driver_ms,
             waited_for_service_ms = excluded.waited_for_service_ms",
        decision.plan.trip().uuid(),
        chosen.offers_before,
        now as _,
        chosen.offer.uuid(),
        chosen.driver.uuid(),
        json!(decision.candidates(chosen.driver)),
        json!(decision.cycle()),
        decision.plan.waited_ms(),
        decision.plan.skip_ms(),
        chosen.waited_for_driver_ms,
        chosen.waited_for_service_ms,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Saves decisions that led to no offer; `engagements` has the trips of the drivers that were not free. One statement for all; trips that
/// another transaction has locked, or that no longer search, are skipped.
///
/// # Errors
/// If the database does not answer.
pub async fn save_empty_cycles(
    conn: &mut PgConnection,
    decisions: &[Decision],
    engagements: &HashMap<DriverId, TripId>,
    now: DomainTime,
) -> Result<()> {
    let candidates: Vec<Value> =
        decisions.iter().map(|decision| json!(decision.candidates_without_offer(engagements))).collect();
    let cycles: Vec<Value> = decisions.iter().map(|decision| json!(decision.cycle())).collect();
    let trips: Vec<Uuid> = decisions.iter().map(|decision| decision.plan.trip().uuid()).collect();
    let waited_ms: Vec<i64> = decisions.iter().map(|decision| decision.plan.waited_ms()).collect();
    let skip_cost_ms: Vec<i64> = decisions.iter().map(|decision| decision.plan.skip_ms()).collect();
    sqlx::query!(
        "with empty as (
             select * from unnest($1::uuid[], $2::jsonb[], $4::jsonb[], $5::bigint[], $6::bigint[])
                 as empty (trip_id, candidates, cycle, waited_ms, skip_cost_ms)),
         unlocked as (
             select id, offers_made from trips where id = any($1) and state = 'searching' order by id for key share skip locked)
         insert into match_cycles (trip_id, offers_before, decided_at, candidates, cycle, waited_ms, skip_cost_ms)
         select id, offers_made, $3, candidates, cycle, waited_ms, skip_cost_ms
         from unlocked join empty on empty.trip_id = unlocked.id
         on conflict (trip_id, offers_before) do update
         set decided_at = excluded.decided_at, candidates = excluded.candidates, cycle = excluded.cycle,
             waited_ms = excluded.waited_ms, skip_cost_ms = excluded.skip_cost_ms
         where match_cycles.offer_id is null",
        &trips,
        &candidates,
        now as _,
        &cycles,
        &waited_ms,
        &skip_cost_ms,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A saved match cycle of one trip.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migrations describe the columns")]
pub struct MatchCycle {
    pub offers_before: i16,
    pub decided_at: DomainTime,
    pub offer_id: Option<OfferId>,
    pub driver_id: Option<DriverId>,
    pub candidates: Value,
    pub cycle: Option<Json<CycleRow>>,
    pub waited_ms: Option<i64>,
    pub skip_cost_ms: Option<i64>,
    pub waited_for_driver_ms: Option<i64>,
    pub waited_for_service_ms: Option<i64>,
}

/// Returns the match cycles of a trip, oldest first.
///
/// # Errors
/// If the database does not answer.
pub async fn match_cycles(conn: &mut PgConnection, trip: TripId) -> Result<Vec<MatchCycle>> {
    let rows = sqlx::query_as!(
        MatchCycle,
        r#"select offers_before, decided_at, offer_id, driver_id, candidates, cycle as "cycle: Json<CycleRow>", waited_ms,
                  skip_cost_ms, waited_for_driver_ms, waited_for_service_ms
           from match_cycles where trip_id = $1 order by offers_before"#,
        trip.uuid(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The type of the events that are hints.
pub const HINT_CREATED: &str = "hint.created";

/// Returns the hints sent since `since`. One of an impossible cell counts for none.
///
/// # Errors
/// If the database does not answer.
pub async fn sent_hints(conn: &mut PgConnection, since: DomainTime) -> Result<Vec<SentHint>> {
    let rows = sqlx::query!(
        r#"select driver_id as "driver: DriverId", data->>'cell' as cell, at as "at: DomainTime"
           from driver_events where type = 'hint.created' and at > $1"#,
        since as _,
    )
    .fetch_all(conn)
    .await?;
    let hint = |(driver, cell, at): (DriverId, Option<String>, DomainTime)| {
        Some(SentHint { driver, cell: Cell::parse(&cell?)?, at })
    };
    Ok(rows.into_iter().filter_map(|row| hint((row.driver, row.cell, row.at))).collect())
}

/// The retention of match cycles.
pub const RETENTION: RetentionRule = RetentionRule {
    rows: "match_cycles",
    delete: |conn, expiry| {
        let before = expiry.domain_days(|kept| kept.keep_match_cycles_days);
        Box::pin(delete_expired_match_cycles(conn, before, expiry.batch()))
    },
    batch: BATCH,
};

/// Deletes at most `limit` match cycles that were decided before `before`, of trips that are over.
async fn delete_expired_match_cycles(conn: &mut PgConnection, before: DomainTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from match_cycles where ctid = any (array(
             select cycle.ctid from match_cycles cycle join trips on trips.id = cycle.trip_id
             where cycle.decided_at < $1 and trips.ended_at is not null
             order by cycle.decided_at limit $2 for update of cycle skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
