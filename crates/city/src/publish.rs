//! Publishes the streets to the sandbox, for the map of the console and for the service's drive times.

use serde::Serialize;

use crate::run_context::RunContext;
use crate::streets::{Junction, Streets};
use crate::web::CallError;

/// The limits of the service; a larger map is not published.
const LINES_MAX: usize = 20_000;
const POINTS_MAX: usize = 50_000;

/// Degrees are rounded to 0.1 m, and lengths too.
const DEGREES_ROUNDING: f64 = 1e6;
const METERS_ROUNDING: f64 = 10.0;

/// The lines of a map as GeoJSON, and the drives along them.
#[derive(Debug, Serialize)]
struct PublishedStreets {
    r#type: &'static str,
    coordinates: Vec<Vec<[f64; 2]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drives: Option<Vec<LineDrives>>,
}

/// The drives along each piece of a line, in both directions.
#[derive(Debug, PartialEq, Serialize)]
struct LineDrives {
    forward_ms: Vec<Option<u32>>,
    backward_ms: Vec<Option<u32>>,
    lengths_m: Vec<f64>,
}

/// Publishes the streets of the city. A failure is only logged. A service without a sandbox responds with 404.
///
/// Drives are refused if the streets are not connected; then only the lines are published.
pub(crate) async fn streets(context: &RunContext) {
    let streets = &context.city.streets;
    let lines = streets.lines();
    let points: usize = lines.iter().map(Vec::len).sum();
    if lines.is_empty() || lines.len() > LINES_MAX || points > POINTS_MAX {
        tracing::info!("streets not published: {} lines, {points} positions", lines.len());
        return;
    }
    let mut published = published(streets, &lines);
    let mut end = context.client.publish("/v1/sandbox/streets", &published).await;
    if matches!(end, Err(CallError::Rejected { status: 422, .. })) {
        tracing::warn!("the service refuses the drives along the streets; publishing the lines alone");
        published.drives = None;
        end = context.client.publish("/v1/sandbox/streets", &published).await;
    }
    match end {
        Ok(()) | Err(CallError::Rejected { status: 404, .. }) => {}
        Err(error) => context.log_failure("city", "cannot publish the streets", &error),
    }
}

fn published(streets: &Streets, lines: &[Vec<Junction>]) -> PublishedStreets {
    let rounded = |number: f64, parts: f64| (number * parts).round() / parts;
    let place = |junction: &Junction| {
        let place = streets.junctions()[*junction as usize];
        [place.lon, place.lat].map(|degrees| rounded(degrees, DEGREES_ROUNDING))
    };
    let drives = |line: &Vec<Junction>| {
        let pieces =
            || line.windows(2).map(|ends| (streets.between(ends[0], ends[1]), streets.between(ends[1], ends[0])));
        LineDrives {
            forward_ms: pieces().map(|(forward, _)| Some(forward?.cost_ms())).collect(),
            backward_ms: pieces().map(|(_, backward)| Some(backward?.cost_ms())).collect(),
            lengths_m: pieces()
                .map(|(forward, backward)| forward.or(backward).map_or(0.0, |segment| segment.length_m))
                .map(|meters| rounded(meters, METERS_ROUNDING))
                .collect(),
        }
    };
    PublishedStreets {
        r#type: "MultiLineString",
        coordinates: lines.iter().map(|line| line.iter().map(place).collect()).collect(),
        drives: Some(lines.iter().map(drives).collect()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::position::Position;
    use crate::streets::{Segment, read_road_network};

    /// The service refuses longer bodies.
    const BODY_BYTES_MAX: usize = 1 << 20;

    #[test]
    fn each_piece_has_the_fastest_drive_in_each_direction() {
        let junctions = [0.0, 0.01, 0.02].map(|lon| Position { lat: 0.0, lon }).to_vec();
        let segment = |(from, to, travel_s)| Segment { from, to, length_m: 100.06 * travel_s, travel_s };
        let streets =
            Streets::new(junctions, [(0, 1, 3.0), (0, 1, 2.0), (1, 0, 5.0), (1, 2, 1.0)].map(segment).to_vec());
        let published = published(&streets, &[vec![0, 1, 2]]);
        assert_eq!(published.coordinates, [[[0.0, 0.0], [0.01, 0.0], [0.02, 0.0]]]);
        let drives = LineDrives {
            forward_ms: vec![Some(2_000), Some(1_000)],
            backward_ms: vec![Some(5_000), None],
            lengths_m: vec![200.1, 100.1],
        };
        assert_eq!(published.drives.unwrap(), [drives]);
    }

    #[test]
    fn streets_of_manhattan_fit_into_one_body() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/scenarios/manhattan/road_network.json");
        let Ok(json) = std::fs::read(path) else {
            eprintln!("the scenario is absent: {path}");
            return;
        };
        let (streets, _) = read_road_network(&json).unwrap();
        let bytes = serde_json::to_vec(&published(&streets, &streets.lines())).unwrap().len();
        assert!(bytes < BODY_BYTES_MAX / 2, "{bytes} bytes");
    }
}
