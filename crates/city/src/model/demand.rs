//! The endless demand of the procedural city, with rush hours.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;
use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::Streets;

use super::Request;
use super::procedural::{CENTER, class};

/// Requests per driver and hour at a factor of 1: about half of what drivers can serve.
const REQUESTS_PER_DRIVER_HOUR: f64 = 1.6;
/// The factor of the demand by hour of the day.
const HOUR_FACTORS: [f64; 24] = [
    0.5, 0.4, 0.3, 0.3, 0.3, 0.5, 0.9, 1.6, 1.8, 1.3, 0.9, 0.9, 1.0, 0.9, 0.9, 1.0, 1.4, 1.8, 1.8, 1.4, 1.2, 1.1, 1.0,
    0.8,
];
/// The largest offset of a pickup or dropoff from its junction, along each axis.
const OFFSET_M: f64 = 35.0;
/// The radius of the center.
const CENTER_RADIUS_M: f64 = 1_200.0;

/// The endless requests of the procedural city.
#[derive(Debug)]
pub(crate) struct Demand {
    random: StdRng,
    started_at: DateTime<Utc>,
    elapsed: TimeDelta,
    requests_per_hour: f64,
    number: u64,
    everywhere: Vec<Position>,
    center: Vec<Position>,
}

impl Demand {
    /// The demand from `started_at` on, for this number of drivers.
    pub fn new(seed: u64, started_at: DateTime<Utc>, drivers: u32, streets: &Streets) -> Self {
        let everywhere = streets.junctions().to_vec();
        let central = |place: &&Position| place.meters_to(CENTER) < CENTER_RADIUS_M;
        Self {
            random: seeded_random(seed, "demand"),
            started_at,
            elapsed: TimeDelta::zero(),
            requests_per_hour: f64::from(drivers) * REQUESTS_PER_DRIVER_HOUR,
            number: 0,
            center: everywhere.iter().filter(central).copied().collect(),
            everywhere,
        }
    }

    fn random_place(&mut self, central: f64) -> Position {
        let among = if self.random.random_bool(central) { &self.center } else { &self.everywhere };
        let junction = among[self.random.random_range(0..among.len())];
        junction.offset(self.random.random_range(-OFFSET_M..OFFSET_M), self.random.random_range(-OFFSET_M..OFFSET_M))
    }
}

impl Iterator for Demand {
    type Item = Request;

    /// `None` only for a city without drivers.
    fn next(&mut self) -> Option<Request> {
        if self.requests_per_hour <= 0.0 {
            return None;
        }
        let hour = (self.started_at + self.elapsed).hour();
        // The interval of a Poisson process. The argument of the logarithm is never zero.
        let draw: f64 = 1.0 - self.random.random::<f64>();
        self.elapsed += seconds(-draw.ln() * 3600.0 / (self.requests_per_hour * HOUR_FACTORS[hour as usize]));
        // More trips to the center in the morning, and away from it in the evening.
        let (from_center, to_center) = match hour {
            5..=10 => (0.1, 0.7),
            16..=20 => (0.7, 0.2),
            _ => (0.4, 0.4),
        };
        self.number += 1;
        Some(Request {
            name: self.number.to_string(),
            departs_after: self.elapsed,
            pickup: self.random_place(from_center),
            dropoff: self.random_place(to_center),
            class: class(&mut self.random),
        })
    }
}
