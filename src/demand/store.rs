//! The SQL of demand and surge.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::model::Override;
use super::sketch::{Counter, Sketch};
use super::surge::Balance;
use super::zones::{Zone, ZoneStates};
use crate::geo::cells::Cell;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, OpsId};
use crate::platform::retention::{BATCH, RetentionRule};

/// Reads the merged counts and their version; `None` if no request was counted yet.
///
/// # Errors
/// If the database does not answer, or the row is invalid.
pub async fn sketch(conn: &mut PgConnection) -> Result<Option<(i64, Sketch)>> {
    let row = sqlx::query!(
        r#"select version, landmark as "landmark: DomainTime", total, floor, cells, counts, errors from demand_sketch"#
    );
    let Some(row) = row.fetch_optional(conn).await? else { return Ok(None) };
    let counters = std::iter::zip(row.counts, row.errors).map(|(count, error)| Counter { count, error });
    let counters: Vec<_> = std::iter::zip(cells("demand_sketch", &row.cells)?, counters).collect();
    Ok(Some((row.version, Sketch::from_parts(row.landmark, (row.total, row.floor), counters))))
}

/// Locks the merged counts until the transaction ends.
pub(super) async fn lock_sketch(conn: &mut PgConnection) -> Result<()> {
    sqlx::query_scalar!("select version from demand_sketch for no key update").fetch_optional(conn).await?;
    Ok(())
}

/// Replaces the merged counts, of which `version` was read. Returns false if another process has written meanwhile.
pub(super) async fn replace_sketch(conn: &mut PgConnection, sketch: &Sketch, version: i64) -> Result<bool> {
    let (total, floor) = sketch.total_and_floor();
    let counters = sketch.counters();
    let cells: Vec<i64> = counters.iter().map(|(cell, _)| cell.stored()).collect();
    let counts: Vec<f64> = counters.iter().map(|(_, counter)| counter.count).collect();
    let errors: Vec<f64> = counters.iter().map(|(_, counter)| counter.error).collect();
    let done = sqlx::query!(
        "insert into demand_sketch (version, landmark, total, floor, cells, counts, errors)
         values ($1::bigint + 1, $2, $3, $4, $5, $6, $7)
         on conflict (only_row) do update
         set version = excluded.version, landmark = excluded.landmark, total = excluded.total, floor = excluded.floor,
             cells = excluded.cells, counts = excluded.counts, errors = excluded.errors
         where demand_sketch.version = $1",
        version,
        sketch.landmark() as _,
        total,
        floor,
        &cells,
        &counts,
        &errors,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Reads the zones; `None` if no matcher has computed any.
///
/// # Errors
/// If the database does not answer, or the row is invalid.
pub async fn zones(conn: &mut PgConnection) -> Result<Option<ZoneStates>> {
    let row = sqlx::query!(
        r#"select epoch, as_of as "as_of: DomainTime", computed_at as "computed_at: MachineTime", cells, multipliers_bp,
                  smoothed_bp, idle, expected_milli, idle_nearby
           from demand_zones"#
    );
    let Some(row) = row.fetch_optional(conn).await? else { return Ok(None) };
    let found = cells("demand_zones", &row.cells)?;
    let zone = |(index, cell): (usize, Cell)| {
        let zone = Zone {
            cell,
            multiplier_bp: *row.multipliers_bp.get(index)?,
            smoothed_bp: *row.smoothed_bp.get(index)?,
            idle: *row.idle.get(index)?,
            nearby: Balance { expected_milli: *row.expected_milli.get(index)?, idle: *row.idle_nearby.get(index)? },
        };
        Some((cell, zone))
    };
    let zones = found.into_iter().enumerate().filter_map(zone).collect();
    Ok(Some(ZoneStates { epoch: row.epoch, as_of: row.as_of, computed_at: row.computed_at, zones }))
}

/// Replaces the zones. The caller fences the transaction by the epoch.
///
/// # Errors
/// If the database does not answer.
pub async fn replace_zones(conn: &mut PgConnection, states: &ZoneStates) -> Result<()> {
    let mut zones: Vec<&Zone> = states.zones.values().collect();
    zones.sort_unstable_by_key(|zone| zone.cell);
    let cells: Vec<i64> = zones.iter().map(|zone| zone.cell.stored()).collect();
    let multipliers: Vec<i32> = zones.iter().map(|zone| zone.multiplier_bp).collect();
    let smoothed: Vec<i32> = zones.iter().map(|zone| zone.smoothed_bp).collect();
    let idle: Vec<i32> = zones.iter().map(|zone| zone.idle).collect();
    let expected: Vec<i64> = zones.iter().map(|zone| zone.nearby.expected_milli).collect();
    let idle_nearby: Vec<i32> = zones.iter().map(|zone| zone.nearby.idle).collect();
    sqlx::query!(
        "insert into demand_zones (epoch, as_of, computed_at, cells, multipliers_bp, smoothed_bp, idle, expected_milli, idle_nearby)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (only_row) do update
         set epoch = excluded.epoch, as_of = excluded.as_of, computed_at = excluded.computed_at, cells = excluded.cells,
             multipliers_bp = excluded.multipliers_bp, smoothed_bp = excluded.smoothed_bp, idle = excluded.idle,
             expected_milli = excluded.expected_milli, idle_nearby = excluded.idle_nearby",
        states.epoch,
        states.as_of as _,
        states.computed_at as _,
        &cells,
        &multipliers,
        &smoothed,
        &idle,
        &expected,
        &idle_nearby,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The most overrides that are read. Far more than a city has cells.
const OVERRIDES_MAX: i64 = 10_000;

/// Reads what operators have set and what has not ended or expired.
///
/// # Errors
/// If the database does not answer, or a row is invalid.
pub async fn overrides(conn: &mut PgConnection, now: DomainTime) -> Result<Vec<Override>> {
    let rows = sqlx::query!(
        r#"select cell, multiplier_bp, reason, set_by as "set_by: OpsId", set_at as "set_at: DomainTime",
                  expires_at as "expires_at: DomainTime"
           from surge_overrides where ended_at is null and expires_at > $1 order by cell limit $2"#,
        now as _,
        OVERRIDES_MAX,
    )
    .fetch_all(conn)
    .await?;
    let set = rows.into_iter().map(|row| {
        let cell = cell("surge_overrides", row.cell)?;
        let (multiplier_bp, reason, set_by) = (row.multiplier_bp, row.reason, row.set_by);
        Ok(Override { cell, multiplier_bp, reason, set_by, set_at: row.set_at, expires_at: row.expires_at })
    });
    set.collect()
}

/// Waits until no other transaction sets the multiplier of this cell: the next statement sees what it has set. There may be no row to lock.
pub(super) async fn lock_cell(conn: &mut PgConnection, cell: Cell) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", cell.stored()).execute(conn).await?;
    Ok(())
}

/// Ends what was set for a cell. Returns whether it counted until now.
pub(super) async fn end_override(conn: &mut PgConnection, cell: Cell, by: OpsId, now: DomainTime) -> Result<bool> {
    let counted = sqlx::query_scalar!(
        r#"update surge_overrides set ended_at = $2, ended_by = $3 where cell = $1 and ended_at is null
           returning expires_at > $2 as "counted!""#,
        cell.stored(),
        now as _,
        by.uuid(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(counted == Some(true))
}

pub(super) async fn insert_override(conn: &mut PgConnection, id: Uuid, new: &Override) -> Result<()> {
    sqlx::query!(
        "insert into surge_overrides (id, cell, multiplier_bp, reason, set_by, set_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        new.cell.stored(),
        new.multiplier_bp,
        new.reason,
        new.set_by.uuid(),
        new.set_at as _,
        new.expires_at as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// How long an override is kept after it expired (domain time): as long as a rider may dispute a charge.
const OVERRIDES_KEPT: TimeDelta = TimeDelta::days(120);

/// The retention of overrides.
pub const RETENTION: RetentionRule = RetentionRule {
    rows: "surge_overrides",
    delete: |conn, expiry| Box::pin(delete_expired(conn, expiry.domain(OVERRIDES_KEPT), expiry.batch())),
    batch: BATCH,
};

/// Deletes at most `limit` overrides that expired before `before`.
///
/// # Errors
/// If the database fails.
async fn delete_expired(conn: &mut PgConnection, before: DomainTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from surge_overrides where id = any (array(
             select id from surge_overrides where expires_at < $1 order by expires_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

fn cell(table: &'static str, index: i64) -> Result<Cell> {
    Cell::from_stored(index).ok_or_else(|| Error::impossible_row(table, "cell", "", index))
}

fn cells(table: &'static str, indexes: &[i64]) -> Result<Vec<Cell>> {
    indexes.iter().map(|index| cell(table, *index)).collect()
}
