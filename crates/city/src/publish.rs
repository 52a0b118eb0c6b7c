//! Tells the service's sandbox what the streets look like, for whoever watches the city on its map.

use serde::Serialize;

use crate::position::Position;
use crate::web::Failure;
use crate::world::World;

/// What the service takes; a map with more is not published.
const LINES_MAX: usize = 20_000;
const POINTS_MAX: usize = 50_000;

/// Decimal places of a degree: 0.1 m, which nobody sees on a map.
const PLACES: f64 = 1e6;

/// The lines of a map, as GeoJSON has them.
#[derive(Debug, Serialize)]
struct Streets {
    r#type: &'static str,
    coordinates: Vec<Vec<[f64; 2]>>,
}

/// Publishes the streets of the world's place. A city without a picture is still a city: whatever goes wrong is noted, and that
/// is all. A service without a sandbox has no such address.
pub(crate) async fn streets(world: &World) {
    let lines = world.place.streets.lines();
    let points: usize = lines.iter().map(Vec::len).sum();
    if lines.is_empty() || lines.len() > LINES_MAX || points > POINTS_MAX {
        tracing::info!("no streets for the map: {} lines, {points} positions", lines.len());
        return;
    }
    let rounded = |degrees: f64| (degrees * PLACES).round() / PLACES;
    let place = |position: &Position| [rounded(position.lon), rounded(position.lat)];
    let coordinates = lines.iter().map(|line| line.iter().map(place).collect()).collect();
    let streets = Streets { r#type: "MultiLineString", coordinates };
    match world.client.publish("/v1/sandbox/streets", &streets).await {
        Ok(()) | Err(Failure::Refused { status: 404, .. }) => {}
        Err(failure) => world.note("city", "can't publish the streets", &failure),
    }
}
