//! The oracle with the same distance formula, through moves and status changes.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use ridematch::geo::{Position, distance_m};
use ridematch::platform::class::VehicleClass;
use ridematch::platform::ids::DriverId;
use ridematch::supply::{Candidate, Fleet, LastKnown, PositionReport, PositionVerdict, Query, Status};
use uuid::Uuid;

use crate::nearest::{SEED, anywhere, at, at_ms};

/// A minimal model of a fleet.
#[derive(Default)]
struct Model(BTreeMap<DriverId, (Status, Option<LastKnown>)>);

impl Model {
    fn nearest(&self, query: &Query) -> Vec<Candidate> {
        let candidate = |(&driver, &(status, last)): (_, &(Status, Option<LastKnown>))| {
            let (Status::Free { class }, Some(LastKnown { position, .. })) = (status, last) else { return None };
            let age_ms = last?.age(query.now).num_milliseconds();
            Some(Candidate { driver, class, position, distance_m: distance_m(position, query.center), age_ms })
        };
        let mut found: Vec<_> = self.0.iter().filter_map(candidate).filter(|found| found.age_ms <= 30_000).collect();
        found.retain(|found| query.class.is_none_or(|class| class == found.class));
        found.retain(|found| found.distance_m <= query.radius_m);
        found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m).then(a.driver.cmp(&b.driver)));
        found.truncate(query.limit);
        found
    }
}

/// A position that many drivers share: an intersection of the 45° meridians and parallels.
fn crossing(rng: &mut StdRng) -> Position {
    at(f64::from(rng.random_range(-2..=2)) * 45.0, f64::from(rng.random_range(-4..=4)) * 45.0)
}

#[test]
fn search_is_exact_while_drivers_move_and_change_status() {
    for seed in SEED..SEED + 20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut fleet, mut model) = (Fleet::default(), Model::default());
        let drivers: Vec<_> = (1..=60).map(|number| DriverId::from(Uuid::from_u128(number))).collect();
        for step in 0..2_000 {
            let now = at_ms(step * 50);
            let driver = *drivers.choose(&mut rng).unwrap();
            let class = *VehicleClass::ALL.choose(&mut rng).unwrap();
            match rng.random_range(0..20) {
                0 => {
                    fleet.set_status(driver, Status::Offline);
                    model.0.remove(&driver);
                }
                1 => {
                    fleet.evict(driver);
                    model.0.entry(driver).and_modify(|(status, _)| {
                        if let Status::Free { class } = *status {
                            *status = Status::Busy { class };
                        }
                    });
                }
                choice @ 2..=6 => {
                    let status = if choice < 4 { Status::Busy { class } } else { Status::Free { class } };
                    fleet.set_status(driver, status);
                    model.0.entry(driver).or_insert((status, None)).0 = status;
                }
                7 | 8 => _ = fleet.restore([], now),
                _ => {
                    let recorded_at = now + TimeDelta::milliseconds(rng.random_range(-2_000..=0));
                    let position = if rng.random() { anywhere(&mut rng) } else { crossing(&mut rng) };
                    let verdict = fleet.report(PositionReport { driver, position, recorded_at }, now);
                    let last = LastKnown { driver, position, recorded_at, received_at: now };
                    match model.0.get_mut(&driver) {
                        Some((_, known)) if verdict == PositionVerdict::Accepted => *known = Some(last),
                        // Of two positions with the same time the greater one is kept.
                        Some((_, Some(known)))
                            if verdict == PositionVerdict::Duplicate && position > known.position =>
                        {
                            *known = last;
                        }
                        driver => assert_eq!(verdict == PositionVerdict::Offline, driver.is_none()),
                    }
                }
            }
            let center = if rng.random() { anywhere(&mut rng) } else { crossing(&mut rng) };
            let radius_m = *[1e6, 5e6, f64::INFINITY].choose(&mut rng).unwrap();
            let query = Query { center, radius_m, class: (step % 3 == 0).then_some(class), limit: 7, now };
            assert_eq!(fleet.nearest(&query), model.nearest(&query), "seed {seed:#x}, step {step}");
            fleet.check_invariants().unwrap_or_else(|fault| panic!("seed {seed:#x}, step {step}: {fault}"));
        }
        assert!(model.0.keys().all(|driver| fleet.position(*driver) == model.0[driver].1));
        let statuses: BTreeMap<_, _> = model.0.iter().map(|(driver, (status, _))| (*driver, *status)).collect();
        assert_eq!(fleet.statuses(), statuses);
    }
}
