//! What a process knows of demand: the requests it served since its last sync, and the merged state of all processes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::model::{self, Override, PlaceSurge};
use super::sketch::{HALF_LIFE, Sketch};
use super::zones::ZoneStates;
use crate::geo::Position;
use crate::geo::cells::Cell;
use crate::platform::clock::{Clock, DomainTime, MachineTime};
use crate::platform::ids::RiderId;
use crate::platform::switch::Switch;

/// Demand as the database had it at the last sync.
#[derive(Debug, Clone, Default)]
pub struct DemandView {
    /// The merged counts of all processes.
    pub sketch: Sketch,
    /// The version of the counts.
    pub version: i64,
    /// The zones of the last matcher, if any were computed.
    pub zones: Option<ZoneStates>,
    /// What operators have set, by cell.
    pub overrides: BTreeMap<Cell, Override>,
}

impl DemandView {
    /// Returns the zones, if they are recent enough to decide a price.
    pub fn current_zones(&self, now: MachineTime) -> Option<&ZoneStates> {
        self.zones.as_ref().filter(|states| model::is_current(states, now))
    }

    /// Returns the surge of a cell. With `computed` off only what operators have set counts, whatever another process has computed.
    pub fn surge_of(&self, cell: Cell, (now, machine_now): (DomainTime, MachineTime), computed: Switch) -> PlaceSurge {
        let zones = self.current_zones(machine_now).filter(|_| computed.is_on());
        let zone = zones.and_then(|states| states.zones.get(&cell));
        PlaceSurge::of(cell, zone, self.overrides.get(&cell).filter(|set| set.expires_at > now))
    }
}

/// The riders that are remembered at most: 1 MB. Of more, some may count twice.
const RIDERS_MAX: usize = 20_000;

/// What a process counted since its last sync.
#[derive(Debug, Default)]
struct Pending {
    counts: Sketch,
    /// When each rider was counted, for a half-life.
    riders: HashMap<RiderId, DomainTime>,
}

impl Pending {
    /// Returns whether a rider counts: once in a half-life, so that requests and cancellations in turn raise no price.
    fn is_new(&mut self, rider: RiderId, at: DomainTime) -> bool {
        let is_recent = |counted: &DomainTime| at.since(*counted) < HALF_LIFE;
        if self.riders.get(&rider).is_some_and(is_recent) {
            return false;
        }
        if self.riders.len() >= RIDERS_MAX {
            self.riders.retain(|_, counted| is_recent(counted));
        }
        if self.riders.len() < RIDERS_MAX {
            self.riders.insert(rider, at);
        }
        true
    }
}

/// The demand that one process knows. Each call holds a lock for microseconds, never across an await, but for [`Demand::in_order`].
#[derive(Debug)]
pub struct Demand {
    surge: Switch,
    order: tokio::sync::Mutex<()>,
    pending: Mutex<Pending>,
    view: RwLock<Arc<DemandView>>,
}

impl Demand {
    /// Creates an empty state.
    pub fn new(surge: Switch) -> Self {
        Self { surge, order: tokio::sync::Mutex::default(), pending: Mutex::default(), view: RwLock::default() }
    }

    /// Waits for the other changes of the state in this process. Every caller that reads the database to replace the state,
    /// saves counts or resets holds it from first to last, so that nothing read earlier replaces what was read later, and nothing outlives
    /// a reset. Quotes do not need it.
    pub async fn in_order(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.order.lock().await
    }

    /// Whether multipliers are computed.
    pub fn surge(&self) -> Switch {
        self.surge
    }

    /// Counts a rider's request for a ride, once in a half-life.
    pub fn record(&self, rider: RiderId, pickup: Position, at: DomainTime) {
        let mut pending = self.pending();
        if pending.is_new(rider, at) {
            pending.counts.record(Cell::at(pickup), at);
        }
    }

    /// Returns the surge at a place now. It reads memory only: a quote waits for no lock of the database.
    pub fn surge_at(&self, place: Position, clock: &Clock) -> PlaceSurge {
        self.view().surge_of(Cell::at(place), (clock.domain(), clock.machine()), self.surge)
    }

    /// Returns the state at the last sync.
    pub fn view(&self) -> Arc<DemandView> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the state.
    pub(super) fn set_view(&self, view: DemandView) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Takes the counts since the last sync.
    pub(super) fn take_pending(&self) -> Sketch {
        std::mem::take(&mut self.pending().counts)
    }

    /// Gives counts back that could not be saved.
    pub(super) fn give_back(&self, counts: &Sketch) {
        self.pending().counts.merge(counts);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.pending() = Pending::default();
        self.set_view(DemandView::default());
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use uuid::Uuid;

    use super::*;
    use crate::demand::surge::Balance;
    use crate::demand::zones::Zone;
    use crate::platform::ids::OpsId;

    #[test]
    fn process_without_surge_ignores_computed_zones_but_not_overrides() {
        let clock = Clock::system();
        let place = Position::new(40.75, -73.99).expect("in range");
        let (cell, now) = (Cell::at(place), clock.domain());
        let zone = Zone { cell, multiplier_bp: 15_000, smoothed_bp: 15_000, idle: 0, nearby: Balance::default() };
        let zones =
            ZoneStates { epoch: 1, as_of: now, computed_at: clock.machine(), zones: HashMap::from([(cell, zone)]) };
        let set = Override {
            cell,
            multiplier_bp: 12_000,
            reason: "A concert.".to_owned(),
            set_by: OpsId::from(Uuid::nil()),
            set_at: now,
            expires_at: now + TimeDelta::hours(1),
        };
        for (surge, computed) in [(Switch::On, 15_000), (Switch::Off, 10_000)] {
            let demand = Demand::new(surge);
            let view = DemandView { zones: Some(zones.clone()), ..DemandView::default() };
            demand.set_view(view.clone());
            assert_eq!(demand.surge_at(place, &clock).multiplier_bp, computed);
            demand.set_view(DemandView { overrides: BTreeMap::from([(cell, set.clone())]), ..view });
            assert_eq!(demand.surge_at(place, &clock).multiplier_bp, 12_000);
        }
    }

    #[test]
    fn rider_counts_once_in_a_half_life_and_the_number_remembered_is_limited() {
        let (demand, at) = (Demand::new(Switch::On), DomainTime::new(DateTime::UNIX_EPOCH));
        let place = Position::new(40.75, -73.99).expect("in range");
        let rider = |n: usize| RiderId::from(Uuid::from_u128(n as u128));
        let total = |demand: &Demand| demand.pending().counts.total(at).round() as usize;
        for seconds in [0, 1, 299] {
            demand.record(rider(0), place, at + TimeDelta::seconds(seconds));
        }
        assert_eq!(total(&demand), 1);
        demand.record(rider(0), place, at + HALF_LIFE);
        assert_eq!(demand.pending().counts.total(at + HALF_LIFE).to_bits(), 1.5_f64.to_bits());
        (0..RIDERS_MAX + 10).for_each(|n| demand.record(rider(n), place, at + HALF_LIFE));
        assert!(demand.pending().riders.len() <= RIDERS_MAX);
    }
}
