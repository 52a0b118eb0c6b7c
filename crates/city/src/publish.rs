//! Publishes the streets and areas to the sandbox, for the map of the console and for the service's drive times.

use serde::Serialize;

use crate::model::{AreaKind, NamedMap};
use crate::position::Position;
use crate::run_context::RunContext;
use crate::streets::{Junction, Road, Streets};
use crate::web::CallError;

/// The limits of the service; a larger map is not published.
const LINES_MAX: usize = 20_000;
const POINTS_MAX: usize = 50_000;

/// Degrees are rounded to 0.1 m, and lengths too.
const DEGREES_ROUNDING: f64 = 1e6;
const METERS_ROUNDING: f64 = 10.0;

/// The lines of a map as GeoJSON, the drives along them, and what the map shows beside them.
#[derive(Debug, Serialize)]
struct PublishedStreets<'a> {
    r#type: &'static str,
    coordinates: Vec<Vec<[f64; 2]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drives: Option<Vec<LineDrives>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    /// One for each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    roads: Option<Vec<&'a Road>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    areas: Option<Vec<PublishedArea>>,
}

#[derive(Debug, Serialize)]
struct PublishedArea {
    kind: AreaKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    ring: Vec<[f64; 2]>,
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
    let mut published = published(streets, &lines, &context.city.map);
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

fn published<'a>(streets: &'a Streets, lines: &[Vec<Junction>], map: &NamedMap) -> PublishedStreets<'a> {
    let rounded = |number: f64, parts: f64| (number * parts).round() / parts;
    let degrees = |place: &Position| [place.lon, place.lat].map(|degrees| rounded(degrees, DEGREES_ROUNDING));
    let place = |junction: &Junction| degrees(&streets.junctions()[*junction as usize]);
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
        name: map.name,
        // `None` for a map without roads.
        roads: lines.iter().map(|line| streets.road(line[0], line[1])).collect(),
        areas: (!map.areas.is_empty()).then(|| {
            let ring = |ring: &[Position]| ring.iter().map(degrees).collect();
            map.areas
                .iter()
                .map(|area| PublishedArea { kind: area.kind, name: area.name, ring: ring(&area.ring) })
                .collect()
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::model::procedural;
    use crate::streets::{Segment, read_road_network};

    /// The service refuses longer bodies.
    const BODY_BYTES_MAX: usize = 1 << 20;

    #[test]
    fn each_piece_has_the_fastest_drive_in_each_direction() {
        let junctions = [0.0, 0.01, 0.02].map(|lon| Position { lat: 0.0, lon }).to_vec();
        let segment = |(from, to, travel_s)| Segment { from, to, length_m: 100.06 * travel_s, travel_s };
        let streets =
            Streets::new(junctions, [(0, 1, 3.0), (0, 1, 2.0), (1, 0, 5.0), (1, 2, 1.0)].map(segment).to_vec());
        let published = published(&streets, &[vec![0, 1, 2]], &NamedMap::default());
        assert!(published.roads.is_none() && published.areas.is_none());
        assert_eq!(published.coordinates, [[[0.0, 0.0], [0.01, 0.0], [0.02, 0.0]]]);
        let drives = LineDrives {
            forward_ms: vec![Some(2_000), Some(1_000)],
            backward_ms: vec![Some(5_000), None],
            lengths_m: vec![200.1, 100.1],
        };
        assert_eq!(published.drives.unwrap(), [drives]);
    }

    #[test]
    fn procedural_city_fits_into_one_body_with_a_road_for_each_line() {
        let city = procedural::city(1, 0);
        let lines = city.streets.lines();
        let published = published(&city.streets, &lines, &city.map);
        assert_eq!(published.roads.as_ref().unwrap().len(), lines.len());
        assert!(published.areas.as_ref().unwrap().len() > 10);
        let bytes = serde_json::to_vec(&published).unwrap().len();
        assert!(bytes < BODY_BYTES_MAX / 2, "{bytes} bytes");
    }

    #[test]
    fn streets_of_manhattan_fit_into_one_body() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/scenarios/manhattan/road_network.json");
        let Ok(json) = std::fs::read(path) else {
            eprintln!("the scenario is absent: {path}");
            return;
        };
        let (streets, _) = read_road_network(&json).unwrap();
        let bytes = serde_json::to_vec(&published(&streets, &streets.lines(), &NamedMap::default())).unwrap().len();
        assert!(bytes < BODY_BYTES_MAX / 2, "{bytes} bytes");
    }
}
