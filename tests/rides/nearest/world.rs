//! The oracle with an independent distance formula.

use std::collections::HashSet;

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use ridematch::geo::{EARTH_RADIUS_M, Position};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::clock::DomainTime;
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Candidate, Fleet, PositionReport, PositionVerdict, Query, Status};
use uuid::Uuid;

use crate::nearest::at_ms;

const MILLIMETER_M: f64 = 1e-3;

/// A driver in the oracle's table.
pub struct Car {
    pub driver: DriverId,
    pub class: VehicleClass,
    pub position: Position,
    pub recorded_at: DomainTime,
    pub free: bool,
}

impl Car {
    fn age_ms(&self, query: &Query) -> i64 {
        (query.now.utc() - self.recorded_at.utc()).num_milliseconds()
    }

    /// Whether the query matches this driver, ignoring radius and limit.
    fn matches(&self, query: &Query) -> bool {
        self.free && self.age_ms(query) <= 30_000 && query.class.is_none_or(|class| class == self.class)
    }
}

/// A table of drivers, and a fleet with the same drivers.
pub struct World {
    /// Sorted by id.
    pub cars: Vec<Car>,
    pub fleet: Fleet,
}

impl World {
    /// One driver at each position: random class, 90 % free, position up to 25 s old.
    pub fn new(positions: Vec<Position>, rng: &mut StdRng) -> Self {
        let mut fleet = Fleet::default();
        let mut cars = Vec::new();
        for position in positions {
            let driver = DriverId::from(Uuid::from_u128(rng.random()));
            let class = *VehicleClass::ALL.choose(rng).unwrap();
            let (recorded_at, free) = (at_ms(rng.random_range(-25_000..=0)), rng.random_bool(0.9));
            fleet.set_status(driver, if free { Status::Free { class } } else { Status::Busy { class } });
            assert_eq!(
                fleet.report(PositionReport { driver, position, recorded_at }, at_ms(0)),
                PositionVerdict::Accepted
            );
            cars.push(Car { driver, class, position, recorded_at, free });
        }
        fleet.check_invariants().unwrap();
        cars.sort_by_key(|car| car.driver);
        Self { cars, fleet }
    }

    /// The expected result: the matching drivers with their distances, sorted and limited.
    fn expected<'a>(&'a self, query: &Query) -> Vec<(f64, &'a Car)> {
        let fitting = self.cars.iter().filter(|car| car.matches(query));
        let mut expected: Vec<_> = fitting.map(|car| (vincenty_m(query.center, car.position), car)).collect();
        expected.retain(|(m, _)| *m <= query.radius_m + MILLIMETER_M);
        let order = |a: &(f64, &Car), b: &(f64, &Car)| a.0.total_cmp(&b.0).then(a.1.driver.cmp(&b.1.driver));
        if query.limit < expected.len() {
            expected.select_nth_unstable_by(query.limit, order);
            expected.truncate(query.limit);
        }
        expected.sort_unstable_by(order);
        expected
    }

    /// Checks a result.
    pub fn verify(&self, query: &Query, result: &[Candidate]) -> Result<(), String> {
        let expected = self.expected(query);
        // A driver at the edge of the radius may be found or not.
        let certain = expected.iter().filter(|(m, _)| *m <= query.radius_m - MILLIMETER_M).count();
        if result.len() < certain || result.len() > expected.len() {
            return Err(format!("{} found, {certain} to {} expected", result.len(), expected.len()));
        }
        let key = |found: &Candidate| (found.distance_m, found.driver);
        if !result.is_sorted_by(|a, b| key(a) < key(b)) {
            return Err("not strictly in the order of distance and id".into());
        }
        for (found, (expected_m, car)) in result.iter().zip(&expected) {
            if (found.distance_m - expected_m).abs() > MILLIMETER_M {
                return Err(format!("{found:?} in place of {} at {expected_m} m", car.driver));
            }
            self.verify_one(query, found)?;
        }
        let found: HashSet<_> = result.iter().map(|found| found.driver).collect();
        let missing = expected.iter().map(|(_, car)| car).filter(|car| !found.contains(&car.driver));
        for car in missing {
            if result.iter().any(|found| found.position == car.position && found.driver > car.driver) {
                return Err(format!("{} lost a tie to a greater id", car.driver));
            }
        }
        Ok(())
    }

    fn verify_one(&self, query: &Query, found: &Candidate) -> Result<(), String> {
        let row = self.cars.binary_search_by_key(&found.driver, |car| car.driver);
        let Some(car) = row.ok().map(|row| &self.cars[row]).filter(|car| car.matches(query)) else {
            return Err(format!("{found:?} does not fit"));
        };
        if (found.position, found.class, found.age_ms) != (car.position, car.class, car.age_ms(query)) {
            return Err(format!("{found:?} is not what was reported"));
        }
        let exact_m = vincenty_m(query.center, car.position);
        if (found.distance_m - exact_m).abs() > MILLIMETER_M {
            return Err(format!("{found:?} is at {exact_m} m"));
        }
        Ok(())
    }
}

/// Great-circle distance by Vincenty's formula for the sphere. Shares only the radius with `geo::distance_m`.
fn vincenty_m(a: Position, b: Position) -> f64 {
    let (sin_a, cos_a) = a.lat().to_radians().sin_cos();
    let (sin_b, cos_b) = b.lat().to_radians().sin_cos();
    let (sin_lon, cos_lon) = (b.lon() - a.lon()).to_radians().sin_cos();
    let across = (cos_b * sin_lon).hypot(cos_a * sin_b - sin_a * cos_b * cos_lon);
    EARTH_RADIUS_M * across.atan2(sin_a * sin_b + cos_a * cos_b * cos_lon)
}
