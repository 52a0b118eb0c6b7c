//! The SQL of trips, offers and engagements. Each write names the expected row and version in its `where`; no changed row is a
//! conflict.

mod engagements;
mod events;
mod history;
mod offers;
mod trips;

pub use engagements::*;
pub use events::*;
pub use history::*;
pub use offers::*;
pub use trips::*;

use uuid::Uuid;

use crate::platform::error::{Error, Result};
use crate::platform::ids::{Id, TripId};

/// Returns the ids as the database stores them.
fn uuids(trips: &[TripId]) -> Vec<Uuid> {
    trips.iter().map(|trip| trip.uuid()).collect()
}

/// Parses a name in a row.
fn parsed<T>(
    at: (&'static str, &'static str),
    row: impl ToString,
    name: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<T> {
    let (table, column) = at;
    parse(name).ok_or_else(|| Error::impossible_row(table, column, row, name))
}
