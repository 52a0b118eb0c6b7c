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
use crate::platform::work::{Obstacle, RowBackoff, RunOutcome};
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
    /// The trips that could not be offered or postponed.
    pub backoff: Arc<RowBackoff<TripId>>,
}

/// Runs one match cycle. A trip is done when it is offered, or when its next search is postponed because there is no driver.
///
/// # Errors
/// If the database does not answer. A trip that fails is left for later and does not delay others.
pub async fn run_once(dispatch: &Dispatch) -> Result<RunOutcome> {
    let Dispatch { platform, supply, backoff } = dispatch;
    let Some(epoch) = platform.leadership.epoch() else { return Ok(RunOutcome::default()) };
    let now = platform.clock.domain();
    let input = (now, backoff.postponed(platform.clock.machine()));
    let due = platform.db.read(input, |conn, (now, postponed)| Box::pin(due(conn, *now, postponed))).await?;
    let mut outcome = RunOutcome::default();
    for (trip, error) in due.unreadable {
        outcome += backoff.record(platform, &trip, Err(error))?;
    }
    let batch_size = batch_size(due.trips.len());
    let plans = plan(searches(supply, due.trips, due.excluded, now));
    let (found, mut empty): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| !plan.order.is_empty());
    let taken = Mutex::new(HashSet::new());
    let cycle = RunningCycle { dispatch, epoch, batch_size, taken: &taken };
    let offers = stream::iter(found).map(|plan| cycle.offer_in_order(plan)).buffer_unordered(CONCURRENT_MAX);
    for end in offers.collect::<Vec<_>>().await {
        match end {
            OfferEnd::Ended(trip, end) => outcome += backoff.record(platform, &trip, end)?,
            OfferEnd::DriverLocked(trip) => {
                outcome += backoff.postpone(platform, &trip, Obstacle::Locked, &"a driver is locked");
            }
            OfferEnd::NoDriver(plan) => empty.push(plan),
        }
    }
    outcome += save_empty(dispatch, empty, now).await?;
    Ok(outcome)
}

/// Saves the plans without an offer, and postpones the next search of their trips.
async fn save_empty(dispatch: &Dispatch, empty: Vec<Plan>, now: DomainTime) -> Result<RunOutcome> {
    let Dispatch { platform, backoff, .. } = dispatch;
    let mut outcome = RunOutcome::default();
    if empty.is_empty() {
        return Ok(outcome);
    }
    let trips: Vec<TripId> = empty.iter().map(|plan| plan.trip).collect();
    let input = (empty, now, now + SEARCH_RETRY_AFTER);
    let saved = platform
        .db
        .waiting_briefly()
        .transaction(input, |tx, (empty, now, retry_at)| Box::pin(store::save_empty_cycles(tx, empty, *now, *retry_at)))
        .await?;
    for trip in trips {
        outcome += if saved.contains(&trip) {
            backoff.record(platform, &trip, Ok(true))?
        } else {
            backoff.postpone(platform, &trip, Obstacle::Locked, &"the trip is locked")
        };
    }
    Ok(outcome)
}

/// Returns the real time until the next search is due, or until a trip that was left for later is tried again; `None` if no trip is
/// searching, or if another process is the matcher.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next(dispatch: &Dispatch) -> Result<Option<Duration>> {
    let Dispatch { platform, backoff, .. } = dispatch;
    if platform.leadership.epoch().is_none() {
        return Ok(None);
    }
    let now = platform.clock.machine();
    let postponed = backoff.postponed(now);
    let due = platform.db.read(postponed, |conn, postponed| Box::pin(store::next_search(conn, postponed))).await?;
    let until_due = due.map(|due| platform.clock.until(due));
    Ok(until_due.into_iter().chain(backoff.until_next(now)).min())
}

/// The trips whose search is due, the excluded drivers of each, and the trips that cannot be read.
struct Due {
    trips: Vec<SearchingTrip>,
    excluded: HashMap<TripId, HashSet<DriverId>>,
    unreadable: Vec<(TripId, Error)>,
}

async fn due(conn: &mut crate::platform::db::Conn, now: DomainTime, postponed: &[TripId]) -> Result<Due> {
    let (mut trips, mut unreadable) = (Vec::new(), Vec::new());
    for row in store::due_trips(conn, now, postponed, BATCH_MAX).await? {
        match row {
            Ok(trip) => trips.push(trip),
            Err(impossible) => unreadable.push(impossible),
        }
    }
    let ids: Vec<_> = trips.iter().map(|search| search.trip.uuid()).collect();
    let mut excluded: HashMap<TripId, HashSet<DriverId>> = HashMap::new();
    if !ids.is_empty() {
        for (trip, driver) in crate::trips::store::excluded_drivers(conn, &ids).await? {
            excluded.entry(trip).or_default().insert(driver);
        }
    }
    Ok(Due { trips, excluded, unreadable })
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

/// How offering a trip to the drivers of its plan ended.
enum OfferEnd {
    /// It was offered, it no longer searches, or this failed.
    Ended(TripId, Result<bool>),
    /// No driver was accepted, and another transaction has locked one of them.
    DriverLocked(TripId),
    /// No driver was accepted.
    NoDriver(Plan),
}

impl RunningCycle<'_> {
    /// Offers a trip to the drivers of its plan in order, until the database accepts one.
    async fn offer_in_order(&self, plan: Plan) -> OfferEnd {
        let platform = &self.dispatch.platform;
        let mut is_driver_locked = false;
        for candidate in plan.order.clone() {
            if !self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(candidate.driver) {
                continue;
            }
            match self.offer(&plan, &candidate).await {
                Ok(Some((_, trip))) => {
                    self.observe(&trip);
                    return OfferEnd::Ended(plan.trip, Ok(true));
                }
                Ok(None) => return OfferEnd::Ended(plan.trip, Ok(true)),
                Err(Error::Refused(refusal)) if refusal.code == Code::DriverUnavailable => {
                    let why = refusal.more.get("why").and_then(|why| why.as_str()).unwrap_or("unknown").to_owned();
                    platform.metrics.candidates_refused.with_label_values(&[&why]).inc();
                    if why == "locked" {
                        is_driver_locked = true;
                        continue;
                    }
                    self.dispatch.supply.evict(candidate.driver);
                    // The driver's wake may have come before the eviction: this one makes the index read the driver again.
                    platform.db.wake_hub().wake_here(&[Wake::Driver(candidate.driver.uuid())]);
                    self.expire_offer_of(candidate.driver).await;
                }
                // The trip is locked or cannot be read, another process has become the matcher, or the database failed.
                Err(error) => return OfferEnd::Ended(plan.trip, Err(error)),
            }
        }
        if is_driver_locked { OfferEnd::DriverLocked(plan.trip) } else { OfferEnd::NoDriver(plan) }
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
            .waiting_briefly()
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
            .waiting_briefly()
            .transaction((driver, stamp), |tx, (driver, stamp)| {
                Box::pin(async move {
                    match crate::trips::store::engagement(tx, *driver).await? {
                        Some(engagement) if !engagement.is_ride => {
                            crate::trips::store::lock_at_once(tx, engagement.trip_id).await?;
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
