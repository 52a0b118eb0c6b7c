//! The match cycle: reads the searching trips, finds drivers near each, plans, and writes the offers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::plan::{CANDIDATES_MAX, Plan, SEARCH_RADIUS_M, Search, plan};
use super::store::{self, SearchingTrip};
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Error, Result};
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::leader;
use crate::platform::wake::Wake;
use crate::supply::{Candidate, Query, Supply};
use crate::trips::commands::{self, NewOffer, Stamp};
use crate::trips::state_machine::SEARCH_RETRY_AFTER;
use crate::trips::{Offer, Trip};

/// The maximum number of trips per match cycle. If more are due, the next cycle starts at once.
const BATCH_MAX: i64 = 64;

/// The maximum number of offers written concurrently.
const CONCURRENT_MAX: usize = 8;

/// The dependencies of the dispatch worker.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Dispatch {
    pub platform: Platform,
    pub supply: Arc<Supply>,
}

/// Runs one match cycle. Returns the number of trips whose search was due.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(dispatch: &Dispatch) -> Result<usize> {
    let platform = &dispatch.platform;
    let Some(epoch) = platform.leadership.epoch() else { return Ok(0) };
    let now = platform.clock.domain();
    let (trips, excluded) = platform.db.read(now, |conn, now| Box::pin(due(conn, *now))).await?;
    let count = trips.len();
    let plans = plan(searches(&dispatch.supply, trips, excluded, now));
    let (found, empty): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| !plan.order.is_empty());
    let taken = Mutex::new(HashSet::new());
    let cycle = RunningCycle { dispatch, epoch, batch_size: batch_size(count), taken: &taken };
    let unmatched: Vec<Option<Plan>> =
        stream::iter(found).map(|plan| cycle.offer_in_order(plan)).buffer_unordered(CONCURRENT_MAX).collect().await;
    let empty: Vec<Plan> = empty.into_iter().chain(unmatched.into_iter().flatten()).collect();
    if !empty.is_empty() {
        let retry_at = now + SEARCH_RETRY_AFTER;
        platform
            .db
            .transaction((empty, now, retry_at), |tx, (empty, now, retry_at)| {
                Box::pin(store::save_empty_cycles(tx, empty, *now, *retry_at))
            })
            .await?;
    }
    Ok(count)
}

/// Returns the real time until the next search is due; `None` if no trip is searching.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next(platform: &Platform) -> Result<Option<Duration>> {
    let due = platform.db.read((), |conn, ()| Box::pin(store::next_search(conn))).await?;
    Ok(due.map(|due| platform.clock.until(due)))
}

/// The trips whose search is due, and the excluded drivers of each.
type Due = (Vec<SearchingTrip>, HashMap<TripId, HashSet<DriverId>>);

async fn due(conn: &mut crate::platform::db::Conn, now: DomainTime) -> Result<Due> {
    let trips = store::due_trips(conn, now, BATCH_MAX).await?;
    let ids: Vec<_> = trips.iter().map(|search| search.trip.uuid()).collect();
    let mut excluded: HashMap<TripId, HashSet<DriverId>> = HashMap::new();
    if !ids.is_empty() {
        for (trip, driver) in crate::trips::store::excluded_drivers(conn, &ids).await? {
            excluded.entry(trip).or_default().insert(driver);
        }
    }
    Ok((trips, excluded))
}

fn searches(
    supply: &Supply,
    trips: Vec<SearchingTrip>,
    mut excluded: HashMap<TripId, HashSet<DriverId>>,
    now: DomainTime,
) -> Vec<Search> {
    let search = |SearchingTrip { trip, pickup, class, since }| {
        let excluded = excluded.remove(&trip).unwrap_or_default();
        let candidates = supply.nearest(&Query {
            center: pickup,
            radius_m: SEARCH_RADIUS_M,
            class: Some(class),
            // Excluded drivers are found too, so that `explain` shows them.
            limit: CANDIDATES_MAX + excluded.len(),
            now,
        });
        Search { trip, pickup, since, excluded, candidates }
    };
    trips.into_iter().map(search).collect()
}

/// Returns the label of the match latency histogram for a cycle with this many trips.
fn batch_size(trips: usize) -> &'static str {
    match trips {
        0..=1 => "1",
        2..=5 => "2-5",
        6..=20 => "6-20",
        _ => "21+",
    }
}

struct RunningCycle<'a> {
    dispatch: &'a Dispatch,
    epoch: i64,
    batch_size: &'static str,
    /// Drivers that a trip of this cycle has tried: the second choice of one trip may be the first choice of another.
    taken: &'a Mutex<HashSet<DriverId>>,
}

impl RunningCycle<'_> {
    /// Offers a trip to the drivers of its plan in order, until the database accepts one.
    ///
    /// Returns the plan if no driver was accepted or the database failed: the trip is then postponed, and does not delay others.
    async fn offer_in_order(&self, plan: Plan) -> Option<Plan> {
        let platform = &self.dispatch.platform;
        for candidate in plan.order.clone() {
            if !self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(candidate.driver) {
                continue;
            }
            match self.offer(&plan, &candidate).await {
                Ok(Some((_, trip))) => {
                    self.observe(&trip);
                    return None;
                }
                Ok(None) => return None,
                Err(Error::Refused(refusal)) if refusal.code == Code::DriverUnavailable => {
                    let why = refusal.more.get("why").and_then(|why| why.as_str()).unwrap_or("unknown").to_owned();
                    platform.metrics.candidates_refused.with_label_values(&[&why]).inc();
                    self.dispatch.supply.evict(candidate.driver);
                    // The driver's wake may have come before the eviction: this one makes the index read the driver again.
                    platform.db.wake_hub().wake_here(&[Wake::Driver(candidate.driver.uuid())]);
                    self.expire_offer_of(candidate.driver).await;
                }
                // Another process has become the matcher and owns the trip.
                Err(Error::Refused(refusal)) => {
                    tracing::warn!(?refusal, trip = %plan.trip, "offer refused");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, trip = %plan.trip, "offer failed");
                    return Some(plan);
                }
            }
        }
        Some(plan)
    }

    /// Writes the offer and the match cycle in one transaction, fenced by the epoch. Returns `None` if the trip stopped searching.
    async fn offer(&self, plan: &Plan, candidate: &Candidate) -> Result<Option<(Offer, Trip)>> {
        let platform = &self.dispatch.platform;
        let stamp = Stamp::new(platform);
        let new = NewOffer {
            id: platform.random.id(stamp.machine_now),
            trip_id: plan.trip,
            driver_id: candidate.driver,
            pickup_distance_m: candidate.distance_m.round() as i64,
            epoch: self.epoch,
            stamp,
        };
        platform
            .db
            .transaction((new, plan.clone()), |tx, (new, plan)| {
                Box::pin(async move {
                    if !store::lock_searching(tx, plan.trip).await? {
                        return Ok(None);
                    }
                    leader::fence(tx, new.epoch).await?;
                    let trip = commands::lock_trip(tx, plan.trip).await?;
                    let (offer, after) = commands::offer(tx, &trip, new).await?;
                    let chosen = (offer.id, offer.driver_id);
                    store::save_cycle(tx, plan, chosen, trip.offers_made, new.stamp.now).await?;
                    Ok(Some((offer, after)))
                })
            })
            .await
    }

    /// Records the match latency: from the authorization to the trip's first offer.
    fn observe(&self, trip: &Trip) {
        let platform = &self.dispatch.platform;
        if let (1, Some(authorized_at)) = (trip.offers_made, trip.authorized_at) {
            let latency = platform.clock.machine().since(authorized_at).to_std().unwrap_or_default();
            platform.metrics.match_latency.with_label_values(&[self.batch_size]).observe(latency.as_secs_f64());
        }
    }

    /// Expires the driver's offer if its deadline has passed: the engagement may be left over from it.
    async fn expire_offer_of(&self, driver: DriverId) {
        let platform = &self.dispatch.platform;
        let stamp = Stamp::new(platform);
        let expired = platform
            .db
            .transaction((driver, stamp), |tx, (driver, stamp)| {
                Box::pin(async move {
                    match crate::trips::store::engagement(tx, *driver).await? {
                        Some(engagement) if !engagement.is_ride => {
                            commands::apply_deadline(tx, engagement.trip_id, stamp).await
                        }
                        _ => Ok(false),
                    }
                })
            })
            .await;
        if let Err(error) = expired {
            tracing::warn!(%error, %driver, "expiring the driver's offer failed");
        }
    }
}
