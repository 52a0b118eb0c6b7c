//! The routes of the city's cars, to compare other routers with.

use super::{Route, Streets, read_road_network};
use crate::position::Position;

/// The streets of a scenario.
#[derive(Debug)]
pub struct RoadNetwork(Streets);

impl RoadNetwork {
    /// Reads a `road_network.json`.
    ///
    /// # Errors
    /// The text is not a node-link graph.
    pub fn read(json: &[u8]) -> Result<Self, serde_json::Error> {
        Ok(Self(read_road_network(json)?.0))
    }

    /// Returns how long a car of the city drives, in seconds.
    pub fn drive_s(&self, from: Position, to: Position) -> f64 {
        Route::plan(&self.0, from, to).duration_s()
    }
}
