//! Where a city comes from: its streets, its cars, and who wants to go where.

mod demand;
mod names;
pub(crate) mod procedural;
mod scenario;
mod table;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde::Serialize;

use crate::position::Position;
use crate::streets::Streets;

pub(crate) use demand::Demand;
pub use procedural::CENTRE;
pub use scenario::TimeOfDay;
pub(crate) use scenario::{Scenario, Window};

/// What kind of car.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Standard,
    Comfort,
    Xl,
}

/// A car and who drives it.
#[derive(Debug, Clone)]
pub(crate) struct Vehicle {
    /// Unique within the fleet; with the seed it makes the driver's identity.
    pub name: String,
    pub driver: String,
    pub plate: String,
    pub class: Class,
    pub starts_at: Position,
}

/// Somebody who wants to go somewhere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    /// Unique within one run; with the seed it makes the rider's identity.
    pub name: String,
    /// When, in domain time since the city began.
    pub departs_after: TimeDelta,
    pub pickup: Position,
    pub dropoff: Position,
    pub class: Class,
}

/// How much longer drives take at some hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// As the map says, always: a scenario's speeds are what was measured.
    AsMapped,
    /// Rush hours in the morning and in the evening.
    RushHours,
}

impl Traffic {
    /// By what factor the map's travel times are multiplied at a moment; at least 1.
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
    /// The file's name within the scenario.
    pub file: &'static str,
    /// Its line, counted from 1; the header is a line.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// A city, still without its demand.
#[derive(Debug)]
pub(crate) struct Place {
    pub streets: Streets,
    pub fleet: Vec<Vehicle>,
    pub traffic: Traffic,
}
