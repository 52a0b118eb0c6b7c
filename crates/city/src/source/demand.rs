//! Who wants to go where in the procedural city: endless, with rush hours.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;
use crate::dice::dice;
use crate::position::Position;
use crate::streets::Streets;

use super::Request;
use super::procedural::{CENTRE, class};

/// Requests an hour for each driver when the day is neither quiet nor busy: about half of what they can serve.
const REQUESTS_PER_DRIVER_HOUR: f64 = 1.6;
/// By hour of the day, how busy it is against that.
const BUSY: [f64; 24] = [
    0.5, 0.4, 0.3, 0.3, 0.3, 0.5, 0.9, 1.6, 1.8, 1.3, 0.9, 0.9, 1.0, 0.9, 0.9, 1.0, 1.4, 1.8, 1.8, 1.4, 1.2, 1.1, 1.0,
    0.8,
];
/// Riders stand within so many metres of a junction.
const DOOR_M: f64 = 35.0;
/// Where the centre is over: work by day, restaurants by night.
const CENTRE_RADIUS_M: f64 = 1_200.0;

/// The requests of the procedural city, one after the other, without end.
#[derive(Debug)]
pub(crate) struct Demand {
    dice: StdRng,
    began: DateTime<Utc>,
    elapsed: TimeDelta,
    requests_per_hour: f64,
    number: u64,
    everywhere: Vec<Position>,
    centre: Vec<Position>,
}

impl Demand {
    /// The demand of a city that begins at `began` and has so many drivers.
    pub fn new(seed: u64, began: DateTime<Utc>, drivers: u32, streets: &Streets) -> Self {
        let everywhere = streets.junctions().to_vec();
        let central = |place: &&Position| place.metres_to(CENTRE) < CENTRE_RADIUS_M;
        Self {
            dice: dice(seed, "demand"),
            began,
            elapsed: TimeDelta::zero(),
            requests_per_hour: f64::from(drivers) * REQUESTS_PER_DRIVER_HOUR,
            number: 0,
            centre: everywhere.iter().filter(central).copied().collect(),
            everywhere,
        }
    }

    fn door(&mut self, central: f64) -> Position {
        let among = if self.dice.random_bool(central) { &self.centre } else { &self.everywhere };
        let junction = among[self.dice.random_range(0..among.len())];
        junction.offset(self.dice.random_range(-DOOR_M..DOOR_M), self.dice.random_range(-DOOR_M..DOOR_M))
    }
}

impl Iterator for Demand {
    type Item = Request;

    /// `None` only for a city without drivers, which nobody asks for a ride.
    fn next(&mut self) -> Option<Request> {
        if self.requests_per_hour <= 0.0 {
            return None;
        }
        let hour = (self.began + self.elapsed).hour();
        // Time to the next request of a Poisson process; the logarithm's argument is never zero.
        let luck: f64 = 1.0 - self.dice.random::<f64>();
        self.elapsed += seconds(-luck.ln() * 3600.0 / (self.requests_per_hour * BUSY[hour as usize]));
        // In the morning people go to the centre, in the evening away from it, and out again at night.
        let (from_centre, to_centre) = match hour {
            5..=10 => (0.1, 0.7),
            16..=20 => (0.7, 0.2),
            _ => (0.4, 0.4),
        };
        self.number += 1;
        Some(Request {
            name: self.number.to_string(),
            departs_after: self.elapsed,
            pickup: self.door(from_centre),
            dropoff: self.door(to_centre),
            class: class(&mut self.dice),
        })
    }
}
