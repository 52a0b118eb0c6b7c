//! The match cycle: brings the backlog up to date, finds candidates, plans, and writes the offers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};

use super::backlog::Backlog;
use super::candidates::{self, Places};
use super::decision::{Attempts, Decision};
use super::plan::{Candidate, Search, plan};
use super::store::{self, Chosen, SearchingTrip};
use super::unavailable;
use super::wait::Wait;
use crate::geo::{EtaSource, Router};
use crate::platform::Platform;
use crate::platform::clock::{DomainTime, MachineTime, Stopwatch};
use crate::platform::config::Config;
use crate::platform::error::{Code, Error, Result};
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::leader;
use crate::platform::match_policy::MatchPolicy;
use crate::platform::metrics::Metrics;
use crate::platform::telemetry;
use crate::platform::wake::Wake;
use crate::platform::work::{Obstacle, RowBackoff, RunOutcome};
use crate::supply::Supply;
use crate::trips::commands::{self, NewOffer, Stamp};
use crate::trips::{Offer, Trip};

/// The maximum number of offers written concurrently.
const CONCURRENT_MAX: usize = 8;

/// The most trips of a cycle whose unavailable drivers are looked for: each is a street search, and the next cycle waits for them.
const EXPLAINED_TRIPS_MAX: usize = 20;

/// The dependencies of the dispatch worker.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the types say it")]
pub struct Dispatch {
    pub platform: Platform,
    pub supply: Arc<Supply>,
    pub router: Arc<Router>,
    pub policy: MatchPolicy,
    /// The trips that could not be read or offered.
    pub backoff: Arc<RowBackoff<TripId>>,
}

impl Dispatch {
    /// Builds the worker's dependencies.
    pub fn new(platform: Platform, supply: Arc<Supply>, router: Arc<Router>, config: &Config) -> Self {
        let backoff = Arc::new(RowBackoff::new("dispatch"));
        Self { platform, supply, router, policy: config.match_policy, backoff }
    }
}

/// Runs one match cycle: the whole backlog against all free drivers. The outcome counts offers. `triggered_at` is when the event that
/// started the cycle came.
///
/// # Errors
/// If the database does not answer. A trip that fails is left for later and does not delay others.
pub async fn run_once(dispatch: &Dispatch, backlog: &mut Backlog, triggered_at: MachineTime) -> Result<RunOutcome> {
    let Dispatch { platform, backoff, .. } = dispatch;
    let Some(epoch) = platform.leadership.epoch() else {
        backlog.clear(dispatch);
        return Ok(RunOutcome::default());
    };
    let mut outcome = backlog.update(dispatch, epoch).await?;
    let trips = backlog.trips(&backoff.postponed(platform.clock.machine()));
    if trips.is_empty() {
        // They hold searches of the map, which the next trips do not need.
        backlog.places = Places::default();
        return Ok(outcome);
    }
    let batch_size = batch_size(trips.len());
    let (began_at, now) = (platform.clock.machine(), platform.clock.domain());
    let decisions = decide(dispatch, &mut backlog.places, trips, now).await?;
    let watch = Stopwatch::start();
    let (mut empty, found): (Vec<_>, Vec<_>) = decisions.into_iter().partition(|decision| decision.plan.is_left_out());
    let found = found.into_iter().map(|decision| (backlog.wait(decision.plan.trip(), triggered_at), decision));
    let found: Vec<(Wait, Decision)> = found.collect();
    backlog.leave_out(empty.iter().map(|decision| &decision.plan), began_at);
    let attempts = &Attempts::default();
    let cycle = &RunningCycle { dispatch, epoch, batch_size, attempts };
    let offers =
        stream::iter(found).map(|(wait, decision)| async move { (wait, cycle.offer_in_order(decision, wait).await) });
    for (wait, end) in offers.buffer_unordered(CONCURRENT_MAX).collect::<Vec<_>>().await {
        match end {
            OfferEnd::Ended(trip, end) => {
                match &end {
                    Ok(_) => backlog.remove(trip),
                    Err(_) => backlog.keep_waiting(trip, wait),
                }
                outcome += backoff.record(platform, &trip, end)?;
            }
            OfferEnd::DriverLocked(trip) => {
                backlog.keep_waiting(trip, wait);
                outcome += backoff.postpone(platform, &trip, Obstacle::Locked, &"a driver is locked");
            }
            // Each offer of the cycle has ended.
            OfferEnd::NoDriver(decision) => empty.push(decision.after(attempts)),
        }
    }
    save_empty(dispatch, backlog, empty, now).await?;
    platform.metrics.dispatch.observe_phase("writes", watch.elapsed());
    Ok(outcome)
}

/// Finds the candidates of the trips and plans, on a thread of its own: it computes for up to a tenth of a second.
async fn decide(
    dispatch: &Dispatch,
    places: &mut Places,
    trips: Vec<SearchingTrip>,
    now: DomainTime,
) -> Result<Vec<Decision>> {
    let Dispatch { platform, supply, router, policy, .. } = dispatch.clone();
    let mut kept = std::mem::take(places);
    let decisions = tokio::task::spawn_blocking(move || {
        let metrics = &platform.metrics.dispatch;
        let watch = Stopwatch::start();
        let searches = candidates::find(&supply, &router.map(), &mut kept, &trips, now);
        observe_drives(&platform.metrics, &searches);
        let found = watch.elapsed();
        metrics.observe_phase("candidates", found);
        let cycle = plan(policy, searches, now);
        let computed = watch.elapsed();
        metrics.observe_phase("assignment", computed.saturating_sub(found));
        metrics.observe_size(cycle.size.trips, cycle.size.drivers, cycle.size.edges);
        (cycle.plans().into_iter().map(|plan| Decision::new(plan, computed)).collect(), kept)
    });
    let (decisions, kept) =
        decisions.await.map_err(|error| Error::Bug(format!("the plan of a match cycle: {error}")))?;
    *places = kept;
    Ok(decisions)
}

/// Counts the drives of the candidates.
fn observe_drives(metrics: &Metrics, searches: &[Search]) {
    for source in EtaSource::ALL {
        let drives = searches.iter().flat_map(|search| &search.candidates);
        let count = drives.filter(|candidate| candidate.eta.source == source).count();
        metrics.drives.with_label_values(&[source.as_str()]).inc_by(count as u64);
    }
}

/// Saves the decisions without an offer, each trip's every few seconds, for `explain`, with the drivers near these trips whom they
/// could not have.
async fn save_empty(dispatch: &Dispatch, backlog: &mut Backlog, empty: Vec<Decision>, now: DomainTime) -> Result<()> {
    let due = backlog.to_record(empty, dispatch.platform.clock.machine());
    if due.is_empty() {
        return Ok(());
    }
    let due = with_unavailable_drivers(dispatch, backlog, due, now).await?;
    let db = dispatch.platform.db.waiting_briefly();
    let save = db.transaction((due, now), |tx, (due, now)| {
        Box::pin(async move {
            let unavailable: Vec<DriverId> = due.iter().flat_map(Decision::unavailable_drivers).collect();
            let engagements = crate::trips::store::engaged_trips(tx, &unavailable).await?;
            store::save_empty_cycles(tx, due, &engagements, *now).await
        })
    });
    save.await
}

/// Adds the nearest unavailable drivers to the decisions about trips without a free driver, on a thread of its own.
async fn with_unavailable_drivers(
    dispatch: &Dispatch,
    backlog: &Backlog,
    mut due: Vec<Decision>,
    now: DomainTime,
) -> Result<Vec<Decision>> {
    let lacking = (0..due.len()).filter(|index| due[*index].plan.lacks_free_drivers()).take(EXPLAINED_TRIPS_MAX);
    let lacking: Vec<usize> = lacking.collect();
    let found = lacking.into_iter().filter_map(|index| Some((index, backlog.find(due[index].plan.trip())?.clone())));
    let (indices, trips): (Vec<usize>, Vec<SearchingTrip>) = found.unzip();
    if trips.is_empty() {
        return Ok(due);
    }
    let Dispatch { supply, router, .. } = dispatch.clone();
    let found = tokio::task::spawn_blocking(move || unavailable::find(&supply, &router.map(), &trips, now));
    let found =
        found.await.map_err(|error| Error::Bug(format!("the unavailable drivers of a match cycle: {error}")))?;
    for (index, unavailable) in indices.into_iter().zip(found) {
        due[index].unavailable = unavailable;
    }
    Ok(due)
}

/// Returns the real time until a trip that was left for later is tried again; `None` if there is none.
pub fn until_next(dispatch: &Dispatch) -> Option<Duration> {
    dispatch.backoff.until_next(dispatch.platform.clock.machine())
}

/// Returns the label of the match latency histogram for a cycle with this many trips.
pub(super) fn batch_size(trips: usize) -> &'static str {
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
    attempts: &'a Attempts,
}

/// How offering a trip to the drivers of its plan ended.
enum OfferEnd {
    /// It was offered, it no longer searches, or this failed.
    Ended(TripId, Result<bool>),
    /// No driver was accepted, and another transaction has locked one of them.
    DriverLocked(TripId),
    /// No driver was accepted.
    NoDriver(Decision),
}

impl RunningCycle<'_> {
    /// Offers a trip to the drivers of its plan in order, until the database accepts one.
    async fn offer_in_order(&self, decision: Decision, wait: Wait) -> OfferEnd {
        let platform = &self.dispatch.platform;
        let trip_id = decision.plan.trip();
        let mut is_driver_locked = false;
        for candidate in decision.plan.order() {
            if !self.attempts.try_driver(candidate.driver, trip_id) {
                continue;
            }
            match self.offer(&decision, &candidate, wait).await {
                Ok(Some((_, trip))) => {
                    self.observe(&trip, wait);
                    return OfferEnd::Ended(trip_id, Ok(true));
                }
                Ok(None) => return OfferEnd::Ended(trip_id, Ok(true)),
                Err(Error::Refused(refusal)) if refusal.code == Code::DriverUnavailable => {
                    let why = refusal.more.get("why").and_then(|why| why.as_str()).unwrap_or("unknown").to_owned();
                    platform.metrics.dispatch.candidates_refused.with_label_values(&[&why]).inc();
                    self.attempts.refused(candidate.driver);
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
                Err(error) => return OfferEnd::Ended(trip_id, Err(error)),
            }
        }
        if is_driver_locked { OfferEnd::DriverLocked(trip_id) } else { OfferEnd::NoDriver(decision) }
    }

    /// Writes the offer and the match cycle in one transaction, fenced by the epoch. Returns `None` if the trip stopped searching.
    async fn offer(&self, decision: &Decision, candidate: &Candidate, wait: Wait) -> Result<Option<(Offer, Trip)>> {
        let platform = &self.dispatch.platform;
        let stamp = Stamp::new(platform);
        let new = NewOffer {
            id: platform.random.id(stamp.machine_now),
            trip_id: decision.plan.trip(),
            driver_id: candidate.driver,
            pickup_distance_m: candidate.distance_m,
            pickup_eta: candidate.eta,
            epoch: self.epoch,
            stamp,
        };
        let trip_id = new.trip_id;
        let db = platform.db.waiting_briefly();
        let decision = decision.clone().after(self.attempts);
        let offered = db.transaction((new, decision, wait), |tx, (new, decision, wait)| {
            Box::pin(async move {
                if !store::lock_searching(tx, new.trip_id).await? {
                    return Ok(None);
                }
                leader::fence(tx, new.epoch).await?;
                let trip = commands::lock_trip(tx, new.trip_id).await?;
                let (offer, after) = commands::offer(tx, &trip, new).await?;
                let chosen = Chosen {
                    offer: offer.id,
                    driver: offer.driver_id,
                    offers_before: trip.offers_made,
                    waited_for_driver_ms: wait.for_driver().num_milliseconds(),
                    waited_for_service_ms: wait.for_service(new.stamp.machine_now).num_milliseconds(),
                };
                store::save_cycle(tx, decision, chosen, new.stamp.now).await?;
                Ok(Some((offer, after)))
            })
        });
        telemetry::continue_trace("dispatch", (Some(trip_id), None), None, offered).await
    }

    /// Records the waits for a driver and for the service, and the match latency: from the authorization to the trip's first offer.
    fn observe(&self, trip: &Trip, wait: Wait) {
        let platform = &self.dispatch.platform;
        let (metrics, now) = (&platform.metrics.dispatch, platform.clock.machine());
        metrics.observe_wait("driver", wait.for_driver());
        metrics.observe_wait("service", wait.for_service(now));
        if let (1, Some(authorized_at)) = (trip.offers_made, trip.authorized_at) {
            let latency = now.since(authorized_at).to_std().unwrap_or_default();
            metrics.match_latency.with_label_values(&[self.batch_size]).observe(latency.as_secs_f64());
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
