//! The events of trips, and the events of drivers' streams.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::parsed;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::telemetry;
use crate::trips::state_machine::{ActorKind, CommandKind, State, Trip};

/// A trip's event to be written.
#[derive(Debug)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct NewEvent<'a> {
    pub trip: &'a Trip,
    pub from: Option<State>,
    pub command: CommandKind,
    pub actor: ActorKind,
    pub actor_id: Option<Uuid>,
    pub data: Value,
    pub key_id: Option<Uuid>,
    pub at: DomainTime,
    pub made_at: MachineTime,
}

/// The `from_state` of a trip's first event.
const NO_STATE: &str = "none";

/// Writes an event. Its number is the trip's version.
pub async fn insert_event(conn: &mut PgConnection, event: NewEvent<'_>) -> Result<()> {
    sqlx::query!(
        "insert into trip_events (trip_id, seq, command, from_state, to_state, actor, actor_id, data, key_id, at, made_at, trace_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        event.trip.id.uuid(),
        event.trip.version,
        event.command.as_str(),
        event.from.map_or(NO_STATE, State::as_str),
        event.trip.state.as_str(),
        event.actor.as_str(),
        event.actor_id,
        event.data,
        event.key_id,
        event.at as _,
        event.made_at as _,
        telemetry::trace_id(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An event of a trip.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct TripEvent {
    pub seq: i64,
    pub command: CommandKind,
    pub from: Option<State>,
    pub to: State,
    pub actor: ActorKind,
    pub actor_id: Option<Uuid>,
    pub data: Value,
    pub at: DomainTime,
}

/// Returns a trip's events after the event `after`, oldest first.
pub async fn events(conn: &mut PgConnection, trip: TripId, after: i64, limit: i64) -> Result<Vec<TripEvent>> {
    let rows = sqlx::query!(
        r#"select seq, command, from_state, to_state, actor, actor_id, data, at
           from trip_events where trip_id = $1 and seq > $2 order by seq limit $3"#,
        trip.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let events = rows.into_iter().map(|row| {
        let id = format!("{trip}/{}", row.seq);
        let from = Some(&row.from_state).filter(|from| *from != NO_STATE);
        Ok(TripEvent {
            seq: row.seq,
            command: parsed(("trip_events", "command"), &id, &row.command, CommandKind::parse)?,
            from: from.map(|from| parsed(("trip_events", "from_state"), &id, from, State::parse)).transpose()?,
            to: parsed(("trip_events", "to_state"), &id, &row.to_state, State::parse)?,
            actor: parsed(("trip_events", "actor"), &id, &row.actor, ActorKind::parse)?,
            actor_id: row.actor_id,
            data: row.data,
            at: row.at,
        })
    });
    events.collect()
}

/// Returns the trip's last event.
pub async fn last_event(conn: &mut PgConnection, trip: &Trip) -> Result<Option<TripEvent>> {
    Ok(events(conn, trip.id, trip.version - 1, 1).await?.pop())
}

/// Writes an event of a driver's stream.
pub async fn insert_driver_event(
    conn: &mut PgConnection,
    driver: DriverId,
    kind: &str,
    data: Value,
    (at, made_at): (DomainTime, MachineTime),
) -> Result<()> {
    sqlx::query!(
        "insert into driver_events (driver_id, type, data, at, made_at) values ($1, $2, $3, $4, $5)",
        driver.uuid(),
        kind,
        data,
        at as _,
        made_at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An event of a driver's stream.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct DriverEvent {
    pub seq: i64,
    pub kind: String,
    pub data: Value,
    pub at: DomainTime,
}

/// Returns a driver's events after the event `after`, oldest first.
pub async fn driver_events(
    conn: &mut PgConnection,
    driver: DriverId,
    after: i64,
    limit: i64,
) -> Result<Vec<DriverEvent>> {
    let rows = sqlx::query_as!(
        DriverEvent,
        r#"select seq, type as kind, data, at from driver_events where driver_id = $1 and seq > $2 order by seq limit $3"#,
        driver.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Returns the number of a driver's last event, or 0.
pub async fn last_driver_seq(conn: &mut PgConnection, driver: DriverId) -> Result<i64> {
    let seq = sqlx::query_scalar!(
        r#"select coalesce(max(seq), 0) as "seq!" from driver_events where driver_id = $1"#,
        driver.uuid()
    )
    .fetch_one(conn)
    .await?;
    Ok(seq)
}

/// Deletes at most `limit` driver events created before `before`.
///
/// # Errors
/// If the database fails.
pub async fn delete_expired_driver_events(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from driver_events where seq = any (array(
             select seq from driver_events where made_at < $1 order by made_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
