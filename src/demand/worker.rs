//! The sync of a process: merges what it counted into the counts of all processes, and reads the state of demand and surge.

use super::state::{Demand, DemandView};
use super::{commands, store};
use crate::platform::Platform;
use crate::platform::error::Result;

/// Saves the counts since the last run, then reads the state. Returns the number of cells that were counted.
///
/// A process that ends loses what it counted since its last run. Counts that cannot be saved are kept for the next one; if the connection
/// is lost at the commit, they may be counted twice. The caller holds [`Demand::in_order`].
///
/// # Errors
/// If the database does not answer. The state that was read before stays; its multipliers end when they are stale.
pub async fn sync_once(platform: &Platform, demand: &Demand) -> Result<usize> {
    let saved = save(platform, demand).await;
    read(platform, demand).await?;
    saved
}

async fn save(platform: &Platform, demand: &Demand) -> Result<usize> {
    let counts = demand.take_pending();
    if counts.is_empty() {
        return Ok(0);
    }
    let number = counts.counters().len();
    let input = (counts.clone(), platform.clock.domain());
    let db = platform.db.waiting_briefly();
    let merged = db.transaction(input, |tx, (counts, now)| Box::pin(commands::merge(tx, counts, *now)));
    match merged.await {
        Ok(()) => Ok(number),
        Err(error) => {
            demand.give_back(&counts);
            Err(error)
        }
    }
}

/// Reads the state of demand and surge, in order with other changes of it.
///
/// # Errors
/// If the database does not answer.
pub async fn refresh(platform: &Platform, demand: &Demand) -> Result<()> {
    let _order = demand.in_order().await;
    read(platform, demand).await
}

/// Reads the state of demand and surge. The caller holds [`Demand::in_order`].
///
/// # Errors
/// If the database does not answer.
pub async fn read(platform: &Platform, demand: &Demand) -> Result<()> {
    let now = platform.clock.domain();
    let view = platform.db.read(now, |conn, now| {
        Box::pin(async move {
            let (version, sketch) = store::sketch(conn).await?.unwrap_or_default();
            let zones = store::zones(conn).await?;
            let overrides = store::overrides(conn, *now).await?.into_iter().map(|set| (set.cell, set)).collect();
            Ok(DemandView { sketch, version, zones, overrides })
        })
    });
    demand.set_view(view.await?);
    Ok(())
}
