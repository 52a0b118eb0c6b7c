//! Drives between positions: along the streets where there is a map, else by the estimate of [`roads`]. Every answer says which.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::streets::{self, OFF_MAP_M, Streets, file};
use super::{Position, roads};
use crate::platform::config::StreetFile;
use crate::platform::error::{Error, Result};
use crate::platform::names::string_enum;

string_enum! {
    /// What a drive was computed from.
    pub enum EtaSource {
        /// The street map.
        Streets = "streets",
        /// The great-circle distance: there is no map, or a position is not on it.
        Estimate = "estimate",
    }
}

/// The duration of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Eta {
    /// Milliseconds.
    pub ms: i64,
    /// What it was computed from.
    pub source: EtaSource,
}

impl Eta {
    /// Returns whole seconds, rounded up.
    pub fn seconds(self) -> i64 {
        (self.ms + 999) / 1_000
    }
}

/// Length and duration of a drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    /// Length and duration.
    pub leg: roads::Leg,
    /// What they were computed from.
    pub source: EtaSource,
}

/// The current map of a process. The lock is held to copy a pointer.
#[derive(Debug, Default)]
pub struct Router(RwLock<StreetMap>);

/// The map at one time; without streets, all drives are estimates. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct StreetMap {
    streets: Option<Arc<Streets>>,
    /// Grows with each change.
    version: u64,
    /// Whether a position off the map was logged.
    is_off_map_logged: Arc<AtomicBool>,
}

/// The start of a drive.
#[derive(Debug, Clone)]
pub struct Departure {
    position: Position,
    on_map: Option<streets::Departure>,
}

/// The end of a drive.
#[derive(Debug, Clone)]
pub struct Arrival {
    position: Position,
    on_map: Option<streets::Arrival>,
}

impl Arrival {
    /// Returns the end itself.
    pub fn position(&self) -> Position {
        self.position
    }
}

impl Router {
    /// Creates a router with a map, or without.
    pub fn new(streets: Option<Streets>) -> Self {
        let router = Self::default();
        router.replace(streets);
        router
    }

    /// Creates a router with the map of a file, or without a map.
    ///
    /// # Errors
    /// [`Error::Configuration`] names the file and the first invalid value.
    pub fn open(file: Option<&StreetFile>) -> Result<Self> {
        let Some(StreetFile { path, json }) = file else { return Ok(Self::default()) };
        let path = path.display();
        let streets =
            file::read(json).map_err(|error| Error::Configuration(format!("the street map {path}: {error}")))?;
        let ((junctions, segments), [latitudes, longitudes]) = (streets.size(), streets.bounds());
        tracing::info!(%path, junctions, segments, ?latitudes, ?longitudes, "drives follow the street map");
        Ok(Self::new(Some(streets)))
    }

    /// Returns the current map.
    pub fn map(&self) -> StreetMap {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the map. Drives that are being computed end with the old one.
    pub fn replace(&self, streets: Option<Streets>) {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *map = StreetMap { streets: streets.map(Arc::new), version: map.version + 1, ..StreetMap::default() };
    }
}

impl StreetMap {
    /// Returns the number of the map; another one after each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the start of drives from a position, for several calls of [`StreetMap::eta`].
    pub fn departure(&self, position: Position) -> Departure {
        Departure { position, on_map: self.streets.as_ref().and_then(|streets| streets.departure(position)) }
    }

    /// Returns the end of drives to a position, for several calls of [`StreetMap::eta`].
    pub fn arrival(&self, position: Position) -> Arrival {
        Arrival { position, on_map: self.streets.as_ref().and_then(|streets| streets.arrival(position)) }
    }

    /// Returns the duration of a drive; `None` if it is longer than `max_ms`.
    pub fn eta(&self, from: &Departure, to: &Arrival, max_ms: i64) -> Option<Eta> {
        if let (Some(streets), Some(from), Some(to)) = (&self.streets, &from.on_map, &to.on_map) {
            let ms = streets.duration_ms(from, to, u32::try_from(max_ms).unwrap_or(u32::MAX))?;
            return Some(Eta { ms: i64::from(ms), source: EtaSource::Streets });
        }
        self.log_off_map();
        let ms = roads::duration_ms(from.position, to.position);
        Some(Eta { ms, source: EtaSource::Estimate }).filter(|eta| eta.ms <= max_ms)
    }

    /// Returns the duration of one drive.
    pub fn eta_between(&self, from: Position, to: Position) -> Eta {
        let estimate = Eta { ms: roads::duration_ms(from, to), source: EtaSource::Estimate };
        self.eta(&self.departure(from), &self.arrival(to), i64::MAX).unwrap_or(estimate)
    }

    /// Returns length and duration of one drive.
    pub fn drive(&self, from: Position, to: Position) -> Drive {
        let (departure, arrival) = (self.departure(from), self.arrival(to));
        if let (Some(streets), Some(from), Some(to)) = (&self.streets, &departure.on_map, &arrival.on_map)
            && let Some(leg) = streets.leg(from, to)
        {
            return Drive { leg, source: EtaSource::Streets };
        }
        self.log_off_map();
        Drive { leg: roads::estimate(from, to), source: EtaSource::Estimate }
    }

    /// Returns the positions along one drive, from its start to its end; a straight line if the drive is an estimate.
    pub fn path(&self, from: Position, to: Position) -> (Vec<Position>, EtaSource) {
        let (departure, arrival) = (self.departure(from), self.arrival(to));
        if let (Some(streets), Some(from), Some(to)) = (&self.streets, &departure.on_map, &arrival.on_map)
            && let Some(path) = streets.path(from, to)
        {
            return (path, EtaSource::Streets);
        }
        (vec![from, to], EtaSource::Estimate)
    }

    /// Returns a great-circle distance in meters that no drive of this duration exceeds.
    pub fn reach_m(&self, duration_ms: i64) -> f64 {
        let estimate_m = roads::reach_m(duration_ms);
        self.streets.as_ref().map_or(estimate_m, |streets| streets.reach_m(duration_ms).max(estimate_m))
    }

    /// Logs once for each map that a position is not on it: perhaps it is the map of another city.
    fn log_off_map(&self) {
        let Some(streets) = &self.streets else { return };
        if !self.is_off_map_logged.swap(true, Ordering::Relaxed) {
            let [latitudes, longitudes] = streets.bounds();
            tracing::warn!(
                ?latitudes,
                ?longitudes,
                "a position is more than {OFF_MAP_M} m from every street, so the drive is an estimate; is the map of this city? \
                 Further ones are counted in ridematch_drives_total"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::streets::Segment;

    fn at(lat: f64, lon: f64) -> Position {
        Position::new(lat, lon).expect("in range")
    }

    /// A street of 1.1 km, driven in 60 s.
    fn streets() -> Streets {
        let segment = |from, to| Segment { from, to, ms: 60_000, length_m: 1_200.0 };
        Streets::new(vec![at(40.0, -74.0), at(40.01, -74.0)], vec![segment(0, 1), segment(1, 0)]).expect("connected")
    }

    #[test]
    fn drive_follows_the_streets_and_says_so() {
        let (from, to) = (at(40.0, -74.0), at(40.01, -74.0));
        let router = Router::default();
        assert_eq!(router.map().drive(from, to), Drive { leg: roads::estimate(from, to), source: EtaSource::Estimate });
        router.replace(Some(streets()));
        let leg = roads::Leg { distance_m: 1_200, duration_s: 60 };
        assert_eq!(router.map().drive(from, to), Drive { leg, source: EtaSource::Streets });
        assert_eq!(router.map().eta_between(from, to), Eta { ms: 60_000, source: EtaSource::Streets });
    }

    #[test]
    fn drive_off_the_map_is_an_estimate() {
        let map = Router::new(Some(streets())).map();
        let (on, off) = (at(40.0, -74.0), at(48.85, 2.35));
        for (from, to) in [(on, off), (off, on), (off, off)] {
            assert_eq!(map.drive(from, to), Drive { leg: roads::estimate(from, to), source: EtaSource::Estimate });
        }
        assert!(map.is_off_map_logged.load(Ordering::Relaxed));
    }

    #[test]
    fn path_of_a_drive_goes_from_junction_to_junction() {
        // Too far from the street to be on it.
        let (from, to) = (at(40.0001, -74.0005), at(40.0099, -74.0005));
        let router = Router::default();
        assert_eq!(router.map().path(from, to), (vec![from, to], EtaSource::Estimate));
        router.replace(Some(streets()));
        let along = vec![from, at(40.0, -74.0), at(40.01, -74.0), to];
        assert_eq!(router.map().path(from, to), (along, EtaSource::Streets));
        assert_eq!(router.map().path(to, at(48.85, 2.35)).1, EtaSource::Estimate);
    }

    #[test]
    fn longer_drive_than_the_limit_has_no_eta() {
        let router = Router::new(Some(streets()));
        for streets in [true, false] {
            let map = router.map();
            let (from, to) = (map.departure(at(40.0, -74.0)), map.arrival(at(40.01, -74.0)));
            let ms = map.eta(&from, &to, i64::MAX).expect("a drive").ms;
            assert_eq!(map.eta(&from, &to, ms).map(|eta| eta.ms), Some(ms), "{streets}");
            assert_eq!(map.eta(&from, &to, ms - 1), None, "{streets}");
            router.replace(None);
        }
    }

    #[test]
    fn change_makes_another_version_and_old_maps_stay() {
        let router = Router::new(Some(streets()));
        let old = router.map();
        router.replace(None);
        assert_ne!(router.map().version(), old.version());
        assert_eq!(old.drive(at(40.0, -74.0), at(40.01, -74.0)).source, EtaSource::Streets);
    }
}
