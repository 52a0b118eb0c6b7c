//! A round of matching: the searching trips, who is near them, a plan, and an offer for each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::plan::{CANDIDATES_MAX, Plan, RINGS_M, Search, plan};
use super::store::{self, Searching};
use crate::platform::Platform;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Error, Result};
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::leader;
use crate::platform::wake::Wake;
use crate::supply::{Candidate, Query, Supply};
use crate::trips::commands::{self, NewOffer, Stamp};
use crate::trips::machine::SEARCH_AGAIN;
use crate::trips::{Offer, Trip};

/// Trips matched in one round at most. More wait for the next one, which follows at once.
const BATCH_MAX: i64 = 64;

/// Offers written at the same time.
const CONCURRENT_MAX: usize = 8;

/// What dispatch works with.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Dispatch {
    pub platform: Platform,
    pub supply: Arc<Supply>,
}

/// Matches the trips whose search is due. Returns how many there were.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(dispatch: &Dispatch) -> Result<usize> {
    let platform = &dispatch.platform;
    let Some(epoch) = platform.leadership.epoch() else { return Ok(0) };
    let now = platform.clock.domain();
    let (searching, asked) = platform.db.read(now, |conn, now| Box::pin(due(conn, *now))).await?;
    let count = searching.len();
    let plans = plan(candidates(&dispatch.supply, searching, asked, now));
    let (found, empty): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| !plan.order.is_empty());
    let taken = Mutex::new(HashSet::new());
    let round = Round { dispatch, epoch, burst: burst(count), taken: &taken };
    let left: Vec<Option<Plan>> =
        stream::iter(found).map(|plan| round.ask(plan)).buffer_unordered(CONCURRENT_MAX).collect().await;
    let empty: Vec<Plan> = empty.into_iter().chain(left.into_iter().flatten()).collect();
    if !empty.is_empty() {
        let again = now + SEARCH_AGAIN;
        platform
            .db
            .transaction((empty, now, again), |tx, (empty, now, again)| {
                Box::pin(store::save_empty_rounds(tx, empty, *now, *again))
            })
            .await?;
    }
    Ok(count)
}

/// Real time until the next search is due; `None` if none is.
///
/// # Errors
/// If the database does not answer.
pub async fn until_next(platform: &Platform) -> Result<Option<Duration>> {
    let due = platform.db.read((), |conn, ()| Box::pin(store::next_search(conn))).await?;
    Ok(due.map(|due| platform.clock.until(due)))
}

type Due = (Vec<Searching>, HashMap<TripId, HashSet<DriverId>>);

async fn due(conn: &mut crate::platform::db::Conn, now: DomainTime) -> Result<Due> {
    let searching = store::searching(conn, now, BATCH_MAX).await?;
    let trips: Vec<_> = searching.iter().map(|search| search.trip.uuid()).collect();
    let mut asked: HashMap<TripId, HashSet<DriverId>> = HashMap::new();
    if !trips.is_empty() {
        for (trip, driver) in crate::trips::store::excluded_drivers(conn, &trips).await? {
            asked.entry(trip).or_default().insert(driver);
        }
    }
    Ok((searching, asked))
}

fn candidates(
    supply: &Supply,
    searching: Vec<Searching>,
    mut asked: HashMap<TripId, HashSet<DriverId>>,
    now: DomainTime,
) -> Vec<Search> {
    let nobody = HashSet::new();
    let search = |search: Searching| {
        let asked = asked.remove(&search.trip).unwrap_or_default();
        let candidates = supply.nearest(&Query {
            center: search.pickup,
            radius_m: f64::from(RINGS_M[RINGS_M.len() - 1]),
            class: Some(search.class),
            limit: CANDIDATES_MAX + asked.len(),
            now,
            exclude: &nobody,
        });
        Search { trip: search.trip, pickup: search.pickup, since: search.since, asked, candidates }
    };
    searching.into_iter().map(search).collect()
}

/// The label of the match-latency histogram: how many trips the round had.
fn burst(trips: usize) -> &'static str {
    match trips {
        0..=1 => "1",
        2..=5 => "2-5",
        6..=20 => "6-20",
        _ => "21+",
    }
}

struct Round<'a> {
    dispatch: &'a Dispatch,
    epoch: i64,
    burst: &'static str,
    /// Drivers whom a trip of this round has gone for: the second choice of one may be the first of another.
    taken: &'a Mutex<HashSet<DriverId>>,
}

impl Round<'_> {
    /// Asks the drivers of a plan in turn until one can be asked. Gives the plan back if none can, or if something went wrong
    /// that would go wrong again at once: it is put off, and the other trips are not held up by it.
    async fn ask(&self, plan: Plan) -> Option<Plan> {
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
                    // The news that he is free again may have come just before: so the index looks once more.
                    platform.db.hub().wake_here(&[Wake::Driver(candidate.driver.uuid())]);
                    self.sweep(candidate.driver).await;
                }
                // Somebody else is the matcher now, and the trip is theirs.
                Err(Error::Refused(refusal)) => {
                    tracing::warn!(?refusal, trip = %plan.trip, "the offer was refused");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, trip = %plan.trip, "the offer could not be made");
                    return Some(plan);
                }
            }
        }
        Some(plan)
    }

    /// One transaction: the epoch, the trip, the offer, and what was decided. `None` if the trip searches no more.
    async fn offer(&self, plan: &Plan, candidate: &Candidate) -> Result<Option<(Offer, Trip)>> {
        let platform = &self.dispatch.platform;
        let stamp = Stamp::new(platform);
        let new = NewOffer {
            id: platform.dice.id(stamp.machine_now),
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
                    let trip = commands::locked(tx, plan.trip).await?;
                    let (offer, after) = commands::offer(tx, &trip, new).await?;
                    let chosen = Some((offer.id, offer.driver_id));
                    store::save_round(tx, plan, chosen, trip.offers_made, new.stamp.now).await?;
                    Ok(Some((offer, after)))
                })
            })
            .await
    }

    /// The match latency: from the authorisation to the first offer written.
    fn observe(&self, trip: &Trip) {
        let platform = &self.dispatch.platform;
        if let (1, Some(authorised_at)) = (trip.offers_made, trip.authorised_at) {
            let latency = platform.clock.machine().since(authorised_at).to_std().unwrap_or_default();
            platform.metrics.match_latency.with_label_values(&[self.burst]).observe(latency.as_secs_f64());
        }
    }

    /// The driver may only seem engaged, by an offer that the clock has ended: then it is ended now.
    async fn sweep(&self, driver: DriverId) {
        let platform = &self.dispatch.platform;
        let stamp = Stamp::new(platform);
        let swept = platform
            .db
            .transaction((driver, stamp), |tx, (driver, stamp)| {
                Box::pin(async move {
                    match crate::trips::store::engagement(tx, *driver).await? {
                        Some(engagement) if !engagement.is_ride => {
                            commands::time_passed(tx, engagement.trip_id, stamp).await
                        }
                        _ => Ok(false),
                    }
                })
            })
            .await;
        if let Err(error) = swept {
            tracing::warn!(%error, %driver, "the driver's offer could not be swept");
        }
    }
}
