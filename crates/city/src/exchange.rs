//! The few words that a rider and a driver exchange at the kerb.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::sync::lock;

/// What a driver hears from the rider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The PIN.
    Pin(String),
    /// The rider is not there.
    Nobody,
    /// No rider of this program asked for this trip.
    Stranger,
}

/// PINs by trip, from riders to drivers within this program; a trip is in it while its rider is.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    words: Mutex<HashMap<String, Option<String>>>,
}

impl Exchange {
    /// A rider says the PIN, or is not there to say it.
    pub fn tell(&self, trip_id: &str, pin: Option<String>) {
        lock(&self.words).insert(trip_id.to_owned(), pin);
    }

    /// A driver asks.
    pub fn ask(&self, trip_id: &str) -> Answer {
        match lock(&self.words).get(trip_id) {
            Some(Some(pin)) => Answer::Pin(pin.clone()),
            Some(None) => Answer::Nobody,
            None => Answer::Stranger,
        }
    }

    /// The rider's trip is over.
    pub fn forget(&self, trip_id: &str) {
        lock(&self.words).remove(trip_id);
    }
}
