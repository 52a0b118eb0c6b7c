//! The endless demand of the procedural city, with rush hours and centers of attraction.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;
use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::Streets;

use super::Request;
use super::procedural::{ATTRACTIONS, Attraction, CENTER, class};

/// Requests per driver and hour at a factor of 1: about half of what drivers can serve.
const REQUESTS_PER_DRIVER_HOUR: f64 = 1.6;
/// The factor of the demand by hour of the day.
const HOUR_FACTORS: [f64; 24] = [
    0.5, 0.4, 0.3, 0.3, 0.3, 0.5, 0.9, 1.6, 1.8, 1.3, 0.9, 0.9, 1.0, 0.9, 0.9, 1.0, 1.4, 1.8, 1.8, 1.4, 1.2, 1.1, 1.0,
    0.8,
];
/// The largest offset of a pickup or dropoff from its junction, along each axis.
const OFFSET_M: f64 = 35.0;

/// The shares of rides that start, or end, at offices, at stations and where nightlife is. The others are anywhere.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Shares {
    offices: f64,
    stations: f64,
    nightlife: f64,
}

impl Shares {
    /// The shares of pickups and of dropoffs at an hour: to work in the morning, home and out in the evening.
    fn at(hour: u32) -> [Self; 2] {
        let shares = |[offices, stations, nightlife]: [f64; 3]| Self { offices, stations, nightlife };
        let [pickups, dropoffs] = match hour {
            5..=10 => [[0.05, 0.22, 0.02], [0.55, 0.15, 0.02]],
            11..=15 => [[0.28, 0.12, 0.05], [0.28, 0.12, 0.06]],
            16..=18 => [[0.52, 0.12, 0.03], [0.08, 0.22, 0.10]],
            19..=22 => [[0.15, 0.10, 0.18], [0.04, 0.08, 0.42]],
            _ => [[0.04, 0.06, 0.55], [0.02, 0.05, 0.08]],
        };
        [shares(pickups), shares(dropoffs)]
    }

    /// What attracts a ride, by a draw from 0 to 1.
    fn attraction(self, draw: f64) -> Option<Attraction> {
        let mut limit = 0.0;
        let shares = [
            (self.offices, Attraction::Offices),
            (self.stations, Attraction::Station),
            (self.nightlife, Attraction::Nightlife),
        ];
        shares.into_iter().find_map(|(share, attraction)| {
            limit += share;
            (draw < limit).then_some(attraction)
        })
    }
}

/// The endless requests of the procedural city.
#[derive(Debug)]
pub(crate) struct Demand {
    random: StdRng,
    started_at: DateTime<Utc>,
    elapsed: TimeDelta,
    requests_per_hour: f64,
    number: u64,
    everywhere: Vec<Position>,
    /// The junctions of each place that attracts.
    attracting: Vec<(Attraction, Vec<Position>)>,
}

impl Demand {
    /// The demand from `started_at` on, for this number of drivers.
    pub fn new(seed: u64, started_at: DateTime<Utc>, drivers: u32, streets: &Streets) -> Self {
        let everywhere = streets.junctions().to_vec();
        let near = |([north_m, east_m], radius_m): ([f64; 2], f64)| {
            let place = CENTER.offset(north_m, east_m);
            everywhere.iter().filter(|junction| junction.meters_to(place) < radius_m).copied().collect::<Vec<_>>()
        };
        let attracting = ATTRACTIONS.map(|(attraction, place, radius_m)| (attraction, near((place, radius_m))));
        Self {
            random: seeded_random(seed, "demand"),
            started_at,
            elapsed: TimeDelta::zero(),
            requests_per_hour: f64::from(drivers) * REQUESTS_PER_DRIVER_HOUR,
            number: 0,
            attracting: attracting.into_iter().filter(|(_, junctions)| !junctions.is_empty()).collect(),
            everywhere,
        }
    }

    fn random_place(&mut self, shares: Shares) -> Position {
        let attraction = shares.attraction(self.random.random());
        let places: Vec<&Vec<Position>> = self
            .attracting
            .iter()
            .filter(|(its, _)| Some(*its) == attraction)
            .map(|(_, junctions)| junctions)
            .collect();
        let among = match places.len() {
            0 => &self.everywhere,
            n => places[self.random.random_range(0..n)],
        };
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
        let [pickups, dropoffs] = Shares::at(hour);
        self.number += 1;
        Some(Request {
            name: self.number.to_string(),
            departs_after: self.elapsed,
            pickup: self.random_place(pickups),
            dropoff: self.random_place(dropoffs),
            class: class(&mut self.random),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::model::procedural;

    /// The share of the requests of an hour whose position is within the radius of an attraction.
    fn share_at(attraction: Attraction, hour: i64, position: fn(&Request) -> Position) -> f64 {
        let streets = procedural::city(1, 0).streets;
        let started_at = DateTime::from_timestamp(hour * 3_600, 0).unwrap();
        let requests: Vec<Request> = Demand::new(1, started_at, 2_000, &streets)
            .take_while(|request| request.departs_after < TimeDelta::minutes(55))
            .collect();
        assert!(requests.len() > 300, "{} requests", requests.len());
        let places = ATTRACTIONS.into_iter().filter(|(its, ..)| *its == attraction);
        let places: Vec<_> =
            places.map(|(_, [north_m, east_m], radius_m)| (CENTER.offset(north_m, east_m), radius_m)).collect();
        let is_near =
            |place: Position| places.iter().any(|(middle, radius_m)| place.meters_to(*middle) < radius_m + OFFSET_M);
        requests.iter().filter(|request| is_near(position(request))).count() as f64 / requests.len() as f64
    }

    #[test]
    fn rides_go_to_offices_in_the_morning_and_to_nightlife_in_the_evening() {
        let (to, from) = (|request: &Request| request.dropoff, |request: &Request| request.pickup);
        assert!(share_at(Attraction::Offices, 8, to) > 2.0 * share_at(Attraction::Offices, 20, to));
        assert!(share_at(Attraction::Nightlife, 20, to) > 2.0 * share_at(Attraction::Nightlife, 8, to));
        assert!(share_at(Attraction::Nightlife, 1, from) > 2.0 * share_at(Attraction::Nightlife, 12, from));
    }
}
