//! The zone cycle: every process saves and reads demand; the matcher, which knows the free drivers, computes surge and sends hints.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::hints::{self, HINT_LASTS, HORIZON, IdleDriver, PlannedHint};
use super::store;
use crate::demand::zones::{self, CellBalance, ZoneStates};
use crate::demand::{self, Demand};
use crate::geo::Router;
use crate::geo::cells::Cell;
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::HintId;
use crate::platform::leader;
use crate::platform::switch::Switch;
use crate::supply::Supply;
use crate::trips::Stamp;
use crate::trips::commands::notify_idle_driver;

/// What the zone cycle depends on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct ZoneCycle {
    pub platform: Platform,
    pub supply: Arc<Supply>,
    pub demand: Arc<Demand>,
    pub router: Arc<Router>,
    /// Whether drivers get hints.
    pub hints: Switch,
}

/// Saves and reads demand; on the matcher, replaces the zones and sends hints. Returns the number of cells counted and hints sent.
///
/// Each transaction locks rows of one of the demand's tables only, so that it cannot deadlock with a reset of the sandbox.
///
/// # Errors
/// If the database does not answer, or another process has become the matcher. The next run does everything again.
pub async fn run_once(cycle: &ZoneCycle) -> Result<usize> {
    let ZoneCycle { platform, demand, hints, .. } = cycle;
    let order = demand.in_order().await;
    let counted = demand::worker::sync_once(platform, demand).await?;
    let Some(epoch) = platform.leadership.epoch() else { return Ok(counted) };
    let now = platform.clock.domain();
    let computed = compute(cycle, epoch, now).await?;
    platform
        .db
        .waiting_briefly()
        .transaction(computed.states, |tx, states| {
            Box::pin(async move {
                demand::store::replace_zones(tx, states).await?;
                leader::fence(tx, states.epoch).await
            })
        })
        .await?;
    demand::worker::read(platform, demand).await?;
    drop(order);
    if !hints.is_on() {
        return Ok(counted);
    }
    let since = now - HINT_LASTS;
    let sent = platform.db.read(since, |conn, since| Box::pin(store::sent_hints(conn, *since))).await?;
    let (balances, drivers, map) = (computed.balances, computed.drivers, cycle.router.map());
    let planned = blocking(move || hints::plan(&map, &balances, &drivers, &sent, now)).await?;
    Ok(counted + send(platform, &planned, epoch).await?)
}

/// What the matcher computed.
struct Computed {
    balances: Vec<CellBalance>,
    drivers: Vec<IdleDriver>,
    states: ZoneStates,
}

async fn compute(cycle: &ZoneCycle, epoch: i64, now: DomainTime) -> Result<Computed> {
    let ZoneCycle { platform, supply, demand, .. } = cycle.clone();
    blocking(move || {
        let idle =
            |free: crate::supply::FreeDriver| IdleDriver { driver: free.last.driver, position: free.last.position };
        let drivers: Vec<IdleDriver> = supply.free_drivers(now).into_iter().map(idle).collect();
        let mut per_cell: HashMap<Cell, i32> = HashMap::new();
        for driver in &drivers {
            *per_cell.entry(Cell::at(driver.position)).or_default() += 1;
        }
        let (view, machine_now) = (demand.view(), platform.clock.machine());
        let balances = zones::balances(&view.sketch, &per_cell, now);
        // After a gap nothing is known of the time between, and one sample must not set a price: smoothing starts again from no surge.
        let previous = view.current_zones(machine_now);
        let zones = zones::next_zones(&balances, previous, now, demand.surge().is_on());
        let states = ZoneStates { epoch, as_of: now, computed_at: machine_now, zones };
        Computed { balances, drivers, states }
    })
    .await
}

/// Computes on a thread of its own: many drivers and drives take milliseconds.
async fn blocking<T: Send + 'static>(compute: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let computed = tokio::task::spawn_blocking(compute).await;
    computed.map_err(|error| Error::Bug(format!("the zone cycle: {error}")))
}

/// Writes the hints to the drivers' streams, each in a transaction of its own: one that fails delays no other, and the rows of many drivers
/// are never locked together. Returns the number written: a driver who got an offer meanwhile, or whom another transaction has locked,
/// gets none.
async fn send(platform: &Platform, planned: &[PlannedHint], epoch: i64) -> Result<usize> {
    let mut sent = Ok(0);
    for hint in planned {
        match send_one(platform, *hint, epoch).await {
            Ok(is_sent) => sent = sent.map(|number| number + usize::from(is_sent)),
            Err(error) => sent = sent.and(Err(error)),
        }
    }
    sent
}

async fn send_one(platform: &Platform, hint: PlannedHint, epoch: i64) -> Result<bool> {
    let stamp = Stamp::new(platform);
    let id: HintId = platform.random.id(stamp.machine_now);
    platform
        .db
        .waiting_briefly()
        .transaction((id, hint, epoch, stamp), |tx, (id, hint, epoch, stamp)| {
            Box::pin(async move {
                let data = json!({
                    "id": id,
                    "cell": hint.cell,
                    "position": hint.cell.center(),
                    "reason": reason(hint),
                    "expires_at": stamp.now + HINT_LASTS,
                });
                let is_sent = notify_idle_driver(tx, hint.driver, store::HINT_CREATED, data, stamp).await?;
                // Last, so that an election waits for the commit only.
                leader::fence(tx, *epoch).await?;
                Ok(is_sent)
            })
        })
        .await
}

/// Says why a driver got a hint.
fn reason(hint: &PlannedHint) -> String {
    let (requests, minutes) = ((hint.own.expected_milli + 500) / 1_000, HORIZON.num_minutes());
    let drivers = match hint.own.idle {
        0 => "no driver is".to_owned(),
        1 => "1 driver is".to_owned(),
        more => format!("{more} drivers are"),
    };
    let rides = if requests == 1 { "ride is" } else { "rides are" };
    format!("About {requests} {rides} expected here within {minutes} minutes, and {drivers} free.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demand::surge::Balance;
    use crate::geo::Position;

    #[test]
    fn reason_of_a_hint_has_demand_and_supply() {
        let cell = Cell::at(Position::new(40.75, -73.99).expect("in range"));
        let driver = crate::platform::ids::DriverId::from(uuid::Uuid::nil());
        let hint = |expected_milli, idle| PlannedHint { driver, cell, own: Balance { expected_milli, idle } };
        assert_eq!(
            reason(&hint(4_200, 0)),
            "About 4 rides are expected here within 10 minutes, and no driver is free."
        );
        assert_eq!(reason(&hint(1_000, 3)), "About 1 ride is expected here within 10 minutes, and 3 drivers are free.");
    }
}
