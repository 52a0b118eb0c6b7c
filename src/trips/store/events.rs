//! The history of trips, and the news for drivers.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, Id, TripId};
use crate::trips::machine::Trip;

/// What is written of a step in the trip's history.
#[derive(Debug)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct NewEvent<'a> {
    pub trip: &'a Trip,
    pub from: &'a str,
    pub command: &'a str,
    pub actor: &'a str,
    pub actor_id: Option<Uuid>,
    pub data: Value,
    pub key_id: Option<Uuid>,
    pub at: DomainTime,
}

/// Writes an event; its number is the trip's version.
pub async fn insert_event(conn: &mut PgConnection, event: NewEvent<'_>) -> Result<()> {
    sqlx::query!(
        "insert into trip_events (trip_id, seq, command, from_state, to_state, actor, actor_id, data, key_id, at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        event.trip.id.uuid(),
        event.trip.version,
        event.command,
        event.from,
        event.trip.state.as_str(),
        event.actor,
        event.actor_id,
        event.data,
        event.key_id,
        event.at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A line of a trip's history.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct Event {
    pub seq: i64,
    pub command: String,
    pub from: String,
    pub to: String,
    pub actor: String,
    pub actor_id: Option<Uuid>,
    pub data: Value,
    pub at: DomainTime,
}

/// Reads a trip's history after `after`, oldest first.
pub async fn events(conn: &mut PgConnection, trip: TripId, after: i64, limit: i64) -> Result<Vec<Event>> {
    let rows = sqlx::query_as!(
        Event,
        r#"select seq, command, from_state as "from", to_state as "to", actor, actor_id, data, at
           from trip_events where trip_id = $1 and seq > $2 order by seq limit $3"#,
        trip.uuid(),
        after,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// The trip's last event.
pub async fn last_event(conn: &mut PgConnection, trip: &Trip) -> Result<Option<Event>> {
    Ok(events(conn, trip.id, trip.version - 1, 1).await?.pop())
}

/// Writes news for a driver's stream.
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

/// A line of a driver's stream.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct DriverEvent {
    pub seq: i64,
    pub kind: String,
    pub data: Value,
    pub at: DomainTime,
}

/// Reads a driver's news after `after`, oldest first.
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

/// The number of a driver's last news.
pub async fn last_driver_seq(conn: &mut PgConnection, driver: DriverId) -> Result<i64> {
    let seq = sqlx::query_scalar!(
        r#"select coalesce(max(seq), 0) as "seq!" from driver_events where driver_id = $1"#,
        driver.uuid()
    )
    .fetch_one(conn)
    .await?;
    Ok(seq)
}
