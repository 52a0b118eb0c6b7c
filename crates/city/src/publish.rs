//! Publishes the streets to the sandbox, for the map of the console.

use serde::Serialize;

use crate::position::Position;
use crate::run_context::RunContext;
use crate::web::CallError;

/// The limits of the service; a larger map is not published.
const LINES_MAX: usize = 20_000;
const POINTS_MAX: usize = 50_000;

/// Degrees are rounded to 0.1 m.
const ROUNDING: f64 = 1e6;

/// The lines of a map, as GeoJSON.
#[derive(Debug, Serialize)]
struct Streets {
    r#type: &'static str,
    coordinates: Vec<Vec<[f64; 2]>>,
}

/// Publishes the streets of the city. A failure is only logged. A service without a sandbox responds with 404.
pub(crate) async fn streets(context: &RunContext) {
    let lines = context.city.streets.lines();
    let points: usize = lines.iter().map(Vec::len).sum();
    if lines.is_empty() || lines.len() > LINES_MAX || points > POINTS_MAX {
        tracing::info!("streets not published: {} lines, {points} positions", lines.len());
        return;
    }
    let rounded = |degrees: f64| (degrees * ROUNDING).round() / ROUNDING;
    let place = |position: &Position| [rounded(position.lon), rounded(position.lat)];
    let coordinates = lines.iter().map(|line| line.iter().map(place).collect()).collect();
    let streets = Streets { r#type: "MultiLineString", coordinates };
    match context.client.publish("/v1/sandbox/streets", &streets).await {
        Ok(()) | Err(CallError::Rejected { status: 404, .. }) => {}
        Err(error) => context.log_failure("city", "cannot publish the streets", &error),
    }
}
