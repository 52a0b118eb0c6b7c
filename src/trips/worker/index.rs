//! Keeps the driver index equal to the database: after each change of a driver, by a slow cycle, and at the election.
//!
//! A status is read and applied under one permit, so that a slow read never replaces the result of a later one.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::ids::{DriverId, Id};
use crate::platform::wake::Wake;
use crate::supply::{self, Status, Supply};
use crate::trips::store;

/// The most drivers per read.
const PAGE: usize = 1_000;

/// The time between the two looks at a difference. The wake of a change comes some milliseconds after its commit; a difference
/// that remains for a second has lost its wake.
const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// Applies the changes of drivers since the last call. When it returns, all changes before the call are in the index, whichever call
/// applied them.
///
/// # Errors
/// If the database does not answer. The changes stay due.
pub async fn sync(platform: &Platform, supply: &Arc<Supply>) -> Result<()> {
    let (platform, supply) = (platform.clone(), Arc::clone(supply));
    let db = platform.db.clone();
    // A tracked task, so that a caller who disconnects does not lose the changes.
    db.task(async move {
        let _permit = supply.sync_permit().await?;
        let changed = platform.db.wake_hub().take_changed_drivers();
        // Without a fleet they are dropped: the next load reads them.
        if !supply.is_loaded() {
            return Ok(());
        }
        let end = apply(&platform, &supply, &changed).await;
        if end.is_err() {
            let wakes: Vec<_> = changed.into_iter().map(Wake::Driver).collect();
            platform.db.wake_hub().wake_here(&wakes);
        }
        end
    })
    .await
}

async fn apply(platform: &Platform, supply: &Supply, drivers: &[Uuid]) -> Result<()> {
    for page in drivers.chunks(PAGE) {
        supply.apply(statuses(platform, page.to_vec()).await?);
    }
    Ok(())
}

/// Loads the index: the online drivers, and their fresh positions from the checkpoint.
///
/// # Errors
/// If the database does not answer.
pub async fn load(platform: &Platform, supply: &Supply) -> Result<()> {
    let _permit = supply.sync_permit().await?;
    let mut online = Vec::new();
    let mut pages = Pages::default();
    while let Some(page) = pages.next(platform).await? {
        online.extend(page.statuses);
    }
    let saved = platform.db.read((), |conn, ()| Box::pin(supply::store::checkpoint(conn))).await?;
    let positions = saved.map(|(_, positions)| positions).unwrap_or_default();
    let (drivers, saved) = (online.len(), positions.len());
    let kept = supply.load(online, positions, platform.clock.domain());
    tracing::info!(drivers, saved, kept, "index loaded");
    Ok(())
}

/// Reads the status of every driver in the index again, after the sandbox has deleted drivers.
///
/// # Errors
/// If the database does not answer.
pub async fn refresh(platform: &Platform, supply: &Supply) -> Result<()> {
    let _permit = supply.sync_permit().await?;
    let drivers: Vec<_> = supply.statuses().unwrap_or_default().keys().map(|driver| driver.uuid()).collect();
    apply(platform, supply, &drivers).await
}

/// Compares the index with the database, in both directions, and repairs it. Returns the number of repairs.
///
/// Every change of a driver is followed by a wake, so that there is nothing to repair unless wakes were lost.
///
/// # Errors
/// If the database does not answer.
pub async fn reconcile_once(platform: &Platform, supply: &Supply) -> Result<usize> {
    let mut repairs = 0;
    for page in twice_differing(platform, supply).await?.chunks(PAGE) {
        let _permit = supply.sync_permit().await?;
        let page = page.iter().map(|driver| driver.uuid()).collect();
        for (driver, difference) in supply.apply(statuses(platform, page).await?) {
            platform.metrics.supply.index_repairs.with_label_values(&[difference.as_str()]).inc();
            tracing::warn!(%driver, %difference, "the index was repaired: a change of the driver had no wake");
            repairs += 1;
        }
    }
    Ok(repairs)
}

/// Returns the number of drivers whose status in the index differs from the database; `None` if this process is not the matcher.
///
/// # Errors
/// If the database does not answer.
pub async fn differences(platform: &Platform, supply: &Supply) -> Result<Option<u64>> {
    if platform.leadership.epoch().is_none() {
        return Ok(None);
    }
    let count = twice_differing(platform, supply).await?.len();
    Ok(Some(u64::try_from(count).unwrap_or(u64::MAX)))
}

/// Returns the drivers whose status in the index differs from the database, now and a second ago.
async fn twice_differing(platform: &Platform, supply: &Supply) -> Result<Vec<DriverId>> {
    let Some(index) = supply.statuses() else { return Ok(Vec::new()) };
    let mut first = Vec::new();
    let mut pages = Pages::default();
    while let Some(page) = pages.next(platform).await? {
        first.extend(supply::differing(&index, &page.statuses, page.first..=page.last));
    }
    if !first.is_empty() {
        tokio::select! {
            () = tokio::time::sleep(SECOND_LOOK_AFTER) => {}
            () = platform.shutdown.cancelled() => return Ok(Vec::new()),
        }
    }
    let mut second = Vec::new();
    for page in first.chunks(PAGE) {
        let _permit = supply.sync_permit().await?;
        let page = page.iter().map(|driver| driver.uuid()).collect();
        second.extend(supply.differing(statuses(platform, page).await?));
    }
    Ok(second)
}

async fn statuses(platform: &Platform, drivers: Vec<Uuid>) -> Result<Vec<(DriverId, Status)>> {
    platform.db.read(drivers, |conn, drivers| Box::pin(store::statuses(conn, drivers))).await
}

/// The pages of the online drivers.
struct Pages {
    /// The first driver of the next page; `None` after the last page.
    next: Option<DriverId>,
}

/// The online drivers from `first` to `last`.
struct Page {
    first: DriverId,
    last: DriverId,
    statuses: Vec<(DriverId, Status)>,
}

impl Default for Pages {
    fn default() -> Self {
        Self { next: Some(Uuid::nil().into()) }
    }
}

impl Pages {
    async fn next(&mut self, platform: &Platform) -> Result<Option<Page>> {
        let Some(first) = self.next else { return Ok(None) };
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let read = platform
            .db
            .read((first, limit), |conn, (first, limit)| Box::pin(store::online_statuses(conn, *first, *limit)));
        let store::StatusPage { statuses, last } = read.await?;
        self.next = last.and_then(|last| last.uuid().as_u128().checked_add(1)).map(|next| Uuid::from_u128(next).into());
        Ok(Some(Page { first, last: last.unwrap_or(Uuid::max().into()), statuses }))
    }
}
