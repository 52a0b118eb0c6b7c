//! The backlog: all searching trips, in the matcher's memory. A cache of the database, like the driver index.
//!
//! The database is read again for each trip that began or ended a search, as wakes tell, and for all of them at the election. A slow
//! comparison finds what lost wakes have missed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use uuid::Uuid;

use super::candidates::Places;
use super::decision::Decision;
use super::plan::Plan;
use super::store::{self, SearchingTrip};
use super::wait::Wait;
use super::worker::Dispatch;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, TripId};
use crate::platform::work::RunOutcome;

/// The most trips in the backlog. Further ones wait until there is room; the oldest come first.
const TRIPS_MAX: usize = 50_000;

/// The most trips per read.
const PAGE: usize = 1_000;

/// How often the backlog is compared with the database.
const RECONCILE_EVERY: TimeDelta = TimeDelta::seconds(10);

/// The time between the two looks at a difference. The wake of a change comes some milliseconds after its commit; a difference
/// that remains for a second has lost its wake.
const SECOND_LOOK_AFTER: TimeDelta = TimeDelta::seconds(1);

/// How often the decision to leave a trip without a driver is saved.
const RECORD_EVERY: TimeDelta = TimeDelta::seconds(5);

/// The most such decisions that a cycle saves.
const RECORDS_MAX: usize = 500;

/// The searching trips.
#[derive(Debug, Default)]
pub struct Backlog {
    /// The term of the matcher that loaded it.
    epoch: Option<i64>,
    trips: BTreeMap<TripId, Waiting>,
    /// Trips to read: changed since the last read, or not readable then.
    unread: BTreeSet<TripId>,
    /// Trips that differed from the database at the last look.
    differing: BTreeSet<TripId>,
    next_look: Option<MachineTime>,
    /// Where the drives of the last cycle began and ended.
    pub(super) places: Places,
}

#[derive(Debug)]
struct Waiting {
    trip: SearchingTrip,
    /// When the last decision to leave it without a driver was recorded, and whether it had candidates.
    recorded: Option<(MachineTime, bool)>,
    /// When the search began or resumed: the authorization, or after an offer the first read.
    began_at: MachineTime,
    /// The start of the last cycle that had no driver for it.
    left_out_at: Option<MachineTime>,
    /// When a driver was found whom it could not be offered to yet.
    matchable_at: Option<MachineTime>,
}

impl Backlog {
    /// Brings the backlog up to date: it has every trip whose search began before the call, as far as wakes tell.
    ///
    /// # Errors
    /// If the database does not answer. What was to be read remains so.
    pub async fn update(&mut self, dispatch: &Dispatch, epoch: i64) -> Result<RunOutcome> {
        let platform = &dispatch.platform;
        let now = platform.clock.machine();
        let changed = platform.db.wake_hub().take_changed_searches();
        if self.epoch != Some(epoch) {
            *self = Self { unread: searching(dispatch).await?, epoch: Some(epoch), ..Self::default() };
            self.next_look = Some(now + RECONCILE_EVERY);
        }
        self.unread.extend(changed.into_iter().map(TripId::from));
        if self.next_look.is_some_and(|next_look| next_look <= now) {
            self.look(dispatch, now).await?;
        }
        let outcome = self.read_unread(dispatch).await?;
        platform.metrics.dispatch.backlog_trips.set(i64::try_from(self.trips.len()).unwrap_or(i64::MAX));
        Ok(outcome)
    }

    /// Forgets everything: this process is not the matcher. Wakes that came meanwhile are dropped; the next load reads all trips.
    pub fn clear(&mut self, dispatch: &Dispatch) {
        *self = Self::default();
        dispatch.platform.db.wake_hub().take_changed_searches();
        dispatch.platform.metrics.dispatch.backlog_trips.set(0);
    }

    /// Returns the trips but those of `postponed`.
    pub fn trips(&self, postponed: &[TripId]) -> Vec<SearchingTrip> {
        let trips = self.trips.values().filter(|waiting| !postponed.contains(&waiting.trip.id));
        trips.map(|waiting| waiting.trip.clone()).collect()
    }

    /// Returns a trip of the backlog.
    pub fn find(&self, trip: TripId) -> Option<&SearchingTrip> {
        self.trips.get(&trip).map(|waiting| &waiting.trip)
    }

    /// Removes a trip that has got an offer or no longer searches.
    pub fn remove(&mut self, trip: TripId) {
        self.trips.remove(&trip);
    }

    /// Returns how long a trip has waited, for an offer of a cycle that this event started.
    pub fn wait(&self, trip: TripId, triggered_at: MachineTime) -> Wait {
        match self.trips.get(&trip) {
            Some(Waiting { began_at, matchable_at: Some(matchable_at), .. }) => Wait::since(*began_at, *matchable_at),
            Some(waiting) => Wait::new(waiting.began_at, waiting.left_out_at, triggered_at),
            None => Wait::new(triggered_at, None, triggered_at),
        }
    }

    /// Records that a driver was found for a trip whose offer could not be written: from then on it waits for the service.
    pub fn keep_waiting(&mut self, trip: TripId, wait: Wait) {
        if let Some(waiting) = self.trips.get_mut(&trip) {
            waiting.matchable_at = Some(wait.matchable_at());
        }
    }

    /// Records that a cycle had no driver for these trips.
    pub fn leave_out<'a>(&mut self, plans: impl IntoIterator<Item = &'a Plan>, cycle_began_at: MachineTime) {
        for plan in plans {
            if let Some(waiting) = self.trips.get_mut(&plan.trip()) {
                (waiting.left_out_at, waiting.matchable_at) = (Some(cycle_began_at), None);
            }
        }
    }

    /// Returns the decisions to record, of trips without a driver: those of each trip every few seconds, and the first with candidates.
    pub fn to_record(&mut self, mut decisions: Vec<Decision>, now: MachineTime) -> Vec<Decision> {
        let recorded = |trip: &TripId| self.trips.get(trip).and_then(|waiting| waiting.recorded);
        decisions.retain(|decision| {
            recorded(&decision.plan.trip()).is_none_or(|(at, had_candidates)| {
                now.since(at) >= RECORD_EVERY || (!had_candidates && decision.plan.candidates() > 0)
            })
        });
        decisions.sort_by_key(|decision| recorded(&decision.plan.trip()).map(|(at, _)| at));
        decisions.truncate(RECORDS_MAX);
        for decision in &decisions {
            if let Some(waiting) = self.trips.get_mut(&decision.plan.trip()) {
                waiting.recorded = Some((now, decision.plan.candidates() > 0));
            }
        }
        decisions
    }

    /// Compares the ids with the database. What differs is read; what still differs a second later had lost its wake, and is counted.
    async fn look(&mut self, dispatch: &Dispatch, now: MachineTime) -> Result<()> {
        let searching = searching(dispatch).await?;
        let known: BTreeSet<TripId> = self.trips.keys().copied().collect();
        let differing: BTreeSet<TripId> =
            searching.symmetric_difference(&known).filter(|trip| !self.unread.contains(*trip)).copied().collect();
        for trip in self.differing.intersection(&differing) {
            let kind = if known.contains(trip) { "ended" } else { "missing" };
            dispatch.platform.metrics.dispatch.backlog_repairs.with_label_values(&[kind]).inc();
            tracing::warn!(%trip, kind, "the backlog was repaired: a change of the trip had no wake");
            self.unread.insert(*trip);
        }
        let is_first = self.differing.is_empty();
        self.differing = if is_first { differing } else { BTreeSet::new() };
        let pause = if self.differing.is_empty() { RECONCILE_EVERY } else { SECOND_LOOK_AFTER };
        self.next_look = Some(now + pause);
        Ok(())
    }

    /// Reads the trips that are to be read. One that cannot be read is tried again later.
    async fn read_unread(&mut self, dispatch: &Dispatch) -> Result<RunOutcome> {
        let Dispatch { platform, backoff, .. } = dispatch;
        let postponed = backoff.postponed(platform.clock.machine());
        let due: Vec<TripId> = self.unread.iter().filter(|trip| !postponed.contains(trip)).copied().collect();
        let mut outcome = RunOutcome::default();
        for page in due.chunks(PAGE) {
            let ids: Vec<Uuid> = page.iter().map(|trip| trip.uuid()).collect();
            let rows = platform.db.read(ids, |conn, ids| Box::pin(store::searching_trips(conn, ids))).await?;
            for trip in page {
                self.unread.remove(trip);
            }
            let mut found = BTreeSet::new();
            for row in rows {
                outcome += self.insert(dispatch, &mut found, row)?;
            }
            self.trips.retain(|trip, _| found.contains(trip) || !page.contains(trip));
        }
        Ok(outcome)
    }

    fn insert(
        &mut self,
        dispatch: &Dispatch,
        found: &mut BTreeSet<TripId>,
        row: Result<SearchingTrip, (TripId, Error)>,
    ) -> Result<RunOutcome> {
        match row {
            Ok(trip) => {
                found.insert(trip.id);
                if let Some(waiting) = self.trips.get_mut(&trip.id) {
                    waiting.trip = trip;
                } else if self.trips.len() < TRIPS_MAX {
                    let authorized_at = trip.authorized_at.filter(|_| trip.offers_made == 0);
                    let began_at = authorized_at.unwrap_or_else(|| dispatch.platform.clock.machine());
                    self.trips.insert(
                        trip.id,
                        Waiting { trip, recorded: None, began_at, left_out_at: None, matchable_at: None },
                    );
                }
                Ok(RunOutcome::default())
            }
            Err((trip, error)) => {
                self.unread.insert(trip);
                dispatch.backoff.record(&dispatch.platform, &trip, Err(error))
            }
        }
    }
}

/// Returns the ids of the searching trips, at most [`TRIPS_MAX`].
async fn searching(dispatch: &Dispatch) -> Result<BTreeSet<TripId>> {
    let limit = i64::try_from(TRIPS_MAX).unwrap_or(i64::MAX);
    let ids = dispatch.platform.db.read(limit, |conn, limit| Box::pin(store::searching_ids(conn, *limit))).await?;
    Ok(ids.into_iter().collect())
}
