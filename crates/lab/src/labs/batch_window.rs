//! Lab 9: what it brings to wait some seconds and match several riders at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::StdRng;

use super::{BetQuestion, Kind, Lab, matching};
use crate::context::Context;
use crate::geometry::{self, Place};
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, random, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 9,
    name: "batch-window",
    title: "Batch window",
    question: "Riders are matched at once, or every 2, 5 or 10 s together. How many meters of pickup does a window \
               save, and how many seconds of wait does it add, at 50 % and at 95 % utilization?",
    bet: BetQuestion {
        ask: "how many meters of pickup per ride does a window of 5 s save at 95 % utilization?",
        unit: "m",
    },
    kind: Kind::Simulation,
    held_fixed: "A city of 8 km by 8 km and 150 cars; riders arrive at random (Poisson) at random places, as many as \
                 keep the cars busy for the named share of the time; the same riders for every window. Cars drive 8 \
                 m/s on 1.3 times the straight way. A rider gives up after 5 min. Without a window the nearest car \
                 comes at once, and a car that becomes free takes the nearest waiting rider. With one, the sum of \
                 all pickup ways is the smallest (exact assignment). One simulated hour to fill the city, and two \
                 that count.",
    would_change: "More riders to a window save more: a larger city in the same time, an event that ends. Cars that \
                   can be reassigned while they drive to the pickup need no window. Riders who give up sooner make \
                   each second of wait dearer. Streets make two near cars less alike.",
    run: |context| Box::pin(async move { measure(context, &FULL) }),
};

const CITY_M: f64 = 8_000.0;
const SPEED_M_S: f64 = 8.0;
const CIRCUITY: f64 = 1.3;

/// How long a rider waits for a match.
const PATIENCE_S: f64 = 300.0;

/// The mean distance of two random places in a square, in sides. Santaló, L. A. (1976), *Integral Geometry and Geometric
/// Probability*.
const MEAN_DISTANCE: f64 = 0.521_405;

const WINDOWS_S: [f64; 4] = [0.0, 2.0, 5.0, 10.0];
const UTILIZATIONS: [f64; 2] = [0.5, 0.95];

/// What the bet is about.
const OF_BET: (f64, f64) = (0.95, 5.0);

/// The columns of the table.
const SAVED: usize = 1;
const ADDED: usize = 3;

/// The sizes of a measurement.
struct Sizes {
    cars: usize,
    warm_up_s: f64,
    counted_s: f64,
}

const FULL: Sizes = Sizes { cars: 150, warm_up_s: 3_600.0, counted_s: 7_200.0 };

/// A rider's request.
#[derive(Debug, Clone, Copy)]
struct Request {
    at_s: f64,
    pickup: Place,
    dropoff: Place,
}

/// A car that drives, and is free at its dropoff. The earliest is the greatest.
#[derive(Debug, Clone, Copy)]
struct Busy {
    free_at_s: f64,
    at: Place,
}

impl PartialEq for Busy {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Busy {}

impl PartialOrd for Busy {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Busy {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.free_at_s.total_cmp(&other.free_at_s)
    }
}

/// What the rides of a simulation were like.
#[derive(Debug, Default)]
struct Rides {
    pickups_m: Vec<f64>,
    waits_s: Vec<f64>,
    until_car_s: Vec<f64>,
    busy_s: f64,
    given_up: usize,
}

struct Simulation<'a> {
    sizes: &'a Sizes,
    window_s: f64,
    free: Vec<Place>,
    busy: BinaryHeap<Reverse<Busy>>,
    waiting: Vec<Request>,
    rides: Rides,
}

fn drive_s(from: Place, to: Place) -> f64 {
    geometry::distance_m(from, to) * CIRCUITY / SPEED_M_S
}

impl Simulation<'_> {
    /// Runs through the requests and returns what the rides were like.
    fn run(mut self, requests: &[Request]) -> Rides {
        let end_s = self.sizes.warm_up_s + self.sizes.counted_s;
        let mut next = 0;
        let mut cycle_s = self.window_s;
        loop {
            let request_s = requests.get(next).map_or(f64::INFINITY, |request| request.at_s);
            let free_s = self.busy.peek().map_or(f64::INFINITY, |Reverse(busy)| busy.free_at_s);
            let match_s = if self.window_s > 0.0 { cycle_s } else { f64::INFINITY };
            let now_s = request_s.min(free_s).min(match_s);
            if now_s > end_s {
                return self.rides;
            }
            if free_s <= now_s {
                self.free.extend(self.busy.pop().map(|Reverse(busy)| busy.at));
            } else if request_s <= now_s {
                self.waiting.push(requests[next]);
                next += 1;
            }
            self.give_up(now_s);
            if match_s <= now_s {
                cycle_s += self.window_s;
                self.match_all(now_s);
            } else if self.window_s <= 0.0 {
                self.match_all(now_s);
            }
        }
    }

    /// Removes riders who have waited too long.
    fn give_up(&mut self, now_s: f64) {
        let before = self.waiting.len();
        self.waiting.retain(|request| now_s - request.at_s < PATIENCE_S);
        if now_s > self.sizes.warm_up_s {
            self.rides.given_up += before - self.waiting.len();
        }
    }

    /// Matches as many riders as there are cars, so that the sum of the pickup ways is the smallest.
    fn match_all(&mut self, now_s: f64) {
        if self.waiting.is_empty() || self.free.is_empty() {
            return;
        }
        let pickup_m = |request: &Request, car: &Place| geometry::distance_m(request.pickup, *car) * CIRCUITY;
        let (riders, cars) = (&self.waiting, &self.free);
        let are_riders_rows = riders.len() <= cars.len();
        let pairs: Vec<(usize, usize)> = if are_riders_rows {
            let cost: Vec<Vec<f64>> =
                riders.iter().map(|rider| cars.iter().map(|car| pickup_m(rider, car)).collect()).collect();
            matching::assign(&cost).into_iter().enumerate().collect()
        } else {
            let cost: Vec<Vec<f64>> =
                cars.iter().map(|car| riders.iter().map(|rider| pickup_m(rider, car)).collect()).collect();
            matching::assign(&cost).into_iter().enumerate().map(|(car, rider)| (rider, car)).collect()
        };
        for (rider, car) in &pairs {
            let (request, car) = (self.waiting[*rider], self.free[*car]);
            let (pickup_s, ride_s) = (drive_s(car, request.pickup), drive_s(request.pickup, request.dropoff));
            self.busy.push(Reverse(Busy { free_at_s: now_s + pickup_s + ride_s, at: request.dropoff }));
            if now_s > self.sizes.warm_up_s {
                self.rides.pickups_m.push(pickup_m(&request, &car));
                self.rides.waits_s.push(now_s - request.at_s);
                self.rides.until_car_s.push(now_s - request.at_s + pickup_s);
                self.rides.busy_s += pickup_s + ride_s;
            }
        }
        let mut riders: Vec<usize> = pairs.iter().map(|(rider, _)| *rider).collect();
        let mut cars: Vec<usize> = pairs.iter().map(|(_, car)| *car).collect();
        riders.sort_unstable_by_key(|at| Reverse(*at));
        cars.sort_unstable_by_key(|at| Reverse(*at));
        for at in riders {
            self.waiting.swap_remove(at);
        }
        for at in cars {
            self.free.swap_remove(at);
        }
    }
}

/// Returns the requests that keep the cars busy for this share of the time.
fn requests(rng: &mut StdRng, sizes: &Sizes, utilization: f64) -> Vec<Request> {
    let free = sizes.cars as f64 * (1.0 - utilization);
    // The mean distance to the nearest of some random places is half the root of the area of each.
    let pickup_s = 0.5 * CITY_M / free.sqrt() * CIRCUITY / SPEED_M_S;
    let ride_s = MEAN_DISTANCE * CITY_M * CIRCUITY / SPEED_M_S;
    let rate = utilization * sizes.cars as f64 / (pickup_s + ride_s);
    let times = random::arrivals(rng, rate, sizes.warm_up_s + sizes.counted_s);
    let request = |at_s| Request {
        at_s,
        pickup: geometry::random_place(rng, CITY_M),
        dropoff: geometry::random_place(rng, CITY_M),
    };
    times.into_iter().map(request).collect()
}

fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let mut measured = Measurements::new(vec![
        Column::new("way to the pickup", "m", 0),
        Column::new("saved", "m", 0),
        Column::new("wait for the match", "s", 1),
        Column::new("added wait for the match", "s", 1),
        Column::new("wait until the car is there", "s", 0),
        Column::new("cars busy", "%", 1),
        Column::new("riders who give up", "%", 1),
    ]);
    for run in 0..context.runs {
        for utilization in UTILIZATIONS {
            let requests = requests(&mut context.random("riders", run), sizes, utilization);
            let mut rng = context.random("cars", run);
            let cars: Vec<Place> = (0..sizes.cars).map(|_| geometry::random_place(&mut rng, CITY_M)).collect();
            let mut at_once = None;
            for window_s in WINDOWS_S {
                context.step(run, &label(utilization, window_s))?;
                let (free, busy) = (cars.clone(), BinaryHeap::new());
                let simulation =
                    Simulation { sizes, window_s, free, busy, waiting: Vec::new(), rides: Rides::default() };
                let rides = simulation.run(&requests);
                let (pickup_m, wait_s) = (statistics::mean(&rides.pickups_m), statistics::mean(&rides.waits_s));
                let (first_m, first_s) = *at_once.get_or_insert((pickup_m, wait_s));
                let busy = 100.0 * rides.busy_s / (sizes.cars as f64 * sizes.counted_s);
                let given_up = 100.0 * rides.given_up as f64 / (rides.given_up + rides.waits_s.len()).max(1) as f64;
                let until_car_s = statistics::mean(&rides.until_car_s);
                let figures = [pickup_m, first_m - pickup_m, wait_s, wait_s - first_s, until_car_s, busy, given_up];
                measured.record(&label(utilization, window_s), &figures);
            }
        }
    }
    Ok(result(measured))
}

fn label(utilization: f64, window_s: f64) -> String {
    format!("{:.0} %, window {window_s} s", utilization * 100.0)
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let of = |(utilization, window_s): (f64, f64), column| table.median(&label(utilization, window_s), column);
    let figure = numbers::short;
    let value = of(OF_BET, SAVED);
    let (quiet, full) = (UTILIZATIONS[0], UTILIZATIONS[1]);
    let sentence = |utilization: f64| {
        let windows = WINDOWS_S[1..].iter().map(|window_s| {
            let at = (utilization, *window_s);
            format!("{window_s} s: {} m saved, {} s added", figure(of(at, SAVED)), figure(of(at, ADDED)))
        });
        format!("At {:.0} % utilization, by window: {}.", utilization * 100.0, windows.collect::<Vec<_>>().join("; "))
    };
    let at_10_s = (full, 10.0);
    let conclusions = vec![
        sentence(quiet),
        sentence(full),
        format!(
            "What the rider feels is the wait until the car is there. At {:.0} % it is {} s without a window and {} \
             s with 10 s: a window pays only if it saves more driving than it waits.",
            full * 100.0,
            figure(of((full, 0.0), 4)),
            figure(of(at_10_s, 4))
        ),
    ];
    let plot = Plot::bars("Pickup way saved by a window", Axis::linear("saved for each ride", "m"), &table, &[SAVED]);
    let text = format!(
        "Pickup way saved for each ride by 5 s at 95 %, with {} s of wait added. At 50 %: {} m saved, {} s added.",
        figure(of(OF_BET, ADDED)),
        figure(of((quiet, OF_BET.1), SAVED)),
        figure(of((quiet, OF_BET.1), ADDED))
    );
    LabResult { answer: LAB.bet.answer(value, text), table, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Sizes = Sizes { cars: 40, warm_up_s: 600.0, counted_s: 1_200.0 };

    #[test]
    fn window_adds_wait_where_cars_are_free() {
        let result = measure(&Context::quiet(1, 2, None), &SMALL).expect("a result");
        let figure = |window_s, column| result.table.median(&label(0.5, window_s), column);
        // Half of the window on average, and no wait without one.
        assert!(figure(0.0, 2) < 1.0, "{}", result.table.text());
        assert!((3.0..8.0).contains(&figure(10.0, ADDED)), "{}", result.table.text());
        assert!(figure(2.0, ADDED) < figure(10.0, ADDED), "{}", result.table.text());
    }

    #[test]
    fn same_seed_gives_the_same_table() {
        let table = || measure(&Context::quiet(7, 1, None), &SMALL).expect("a result").table;
        assert_eq!(table(), table());
    }

    #[test]
    fn every_rider_is_driven_gives_up_or_still_waits() {
        let requests = requests(&mut random::generator(1, "test", 0), &SMALL, 0.95);
        let mut rng = random::generator(1, "cars", 0);
        let free: Vec<Place> = (0..SMALL.cars).map(|_| geometry::random_place(&mut rng, CITY_M)).collect();
        let sizes = Sizes { warm_up_s: 0.0, ..SMALL };
        let simulation = Simulation {
            sizes: &sizes,
            window_s: 5.0,
            free,
            busy: BinaryHeap::new(),
            waiting: Vec::new(),
            rides: Rides::default(),
        };
        let rides = simulation.run(&requests);
        let seen = requests.iter().filter(|request| request.at_s <= sizes.counted_s).count();
        assert!(rides.waits_s.len() + rides.given_up <= seen);
        assert!(rides.waits_s.iter().all(|wait_s| (0.0..PATIENCE_S).contains(wait_s)));
    }
}
