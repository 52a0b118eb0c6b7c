//! The model of a city: streets, vehicles and ride requests, from a scenario or generated.

mod area;
mod demand;
mod names;
pub(crate) mod procedural;
mod scenario;
mod table;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde::Serialize;

use crate::position::Position;
use crate::streets::Streets;

pub(crate) use area::{AreaKind, NamedMap};
pub(crate) use demand::Demand;
pub use procedural::CENTER;
pub use scenario::TimeOfDay;
pub(crate) use scenario::{Scenario, Window};

/// The class of a vehicle. The city has no `xl`: that class is left to the console's experiments, which happen among its cars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Standard,
    Comfort,
}

/// A vehicle and its driver.
#[derive(Debug, Clone)]
pub(crate) struct Vehicle {
    /// Unique in the fleet; with the seed it determines the id of the driver.
    pub name: String,
    pub driver: String,
    pub plate: String,
    pub class: Class,
    pub starts_at: Position,
}

/// A ride request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// Unique in a run; with the seed it determines the id of the rider.
    pub name: String,
    /// The domain time since the start of the run.
    pub departs_after: TimeDelta,
    pub pickup: Position,
    pub dropoff: Position,
    pub class: Class,
}

/// The effect of traffic on travel times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// None: the speeds of a scenario are measured ones.
    AsMapped,
    /// Rush hours in the morning and in the evening.
    RushHours,
}

impl Traffic {
    /// The factor of travel times at this time; at least 1.
    pub fn slowness(self, at: DateTime<Utc>) -> f64 {
        match (self, at.hour()) {
            (Self::RushHours, 7..=9 | 16..=18) => 1.5,
            (Self::RushHours, 6 | 10..=15 | 19..=21) => 1.2,
            (Self::RushHours | Self::AsMapped, _) => 1.0,
        }
    }
}

/// A row or file entry that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// The name of the file.
    pub file: &'static str,
    /// The line, from 1 with the header.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The streets and the fleet of a city.
#[derive(Debug)]
pub(crate) struct CityModel {
    pub streets: Streets,
    pub fleet: Vec<Vehicle>,
    pub traffic: Traffic,
    /// What the map shows beside the streets.
    pub map: NamedMap,
}
