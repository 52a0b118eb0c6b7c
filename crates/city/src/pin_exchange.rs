//! How drivers get the PINs of the riders of this program.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::sync::lock;

/// What a driver learns at the pickup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PinAnswer {
    /// The PIN.
    Pin(String),
    /// The rider does not show up.
    RiderAbsent,
    /// The rider is not a rider of this program.
    UnknownRider,
}

/// The PINs by trip, for as long as the trips run. `None` stands for a rider who does not show up.
#[derive(Debug, Default)]
pub(crate) struct PinExchange {
    pins: Mutex<HashMap<String, Option<String>>>,
}

impl PinExchange {
    /// Adds the PIN of a trip; `None` if the rider does not show up.
    pub fn add(&self, trip_id: &str, pin: Option<String>) {
        lock(&self.pins).insert(trip_id.to_owned(), pin);
    }

    /// The PIN of a trip.
    pub fn ask(&self, trip_id: &str) -> PinAnswer {
        match lock(&self.pins).get(trip_id) {
            Some(Some(pin)) => PinAnswer::Pin(pin.clone()),
            Some(None) => PinAnswer::RiderAbsent,
            None => PinAnswer::UnknownRider,
        }
    }

    /// Removes a trip that is over.
    pub fn remove(&self, trip_id: &str) {
        lock(&self.pins).remove(trip_id);
    }
}
