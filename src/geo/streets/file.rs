//! The road network of a scenario: a street graph in the node-link JSON of OSMnx and NetworkX.

use std::collections::HashMap;

use serde::Deserialize;

use super::{InvalidStreets, Junction, Segment, Streets};
use crate::geo::roads::URBAN_SPEED_KMH;
use crate::geo::{Position, distance_m};

/// The graph. Members that are not needed are ignored.
#[derive(Deserialize)]
struct NodeLink {
    nodes: Vec<Node>,
    /// NetworkX 3.4 renamed `links` to `edges`.
    #[serde(alias = "edges")]
    links: Vec<Link>,
}

#[derive(Debug, Clone, Deserialize, PartialEq, Eq, Hash)]
#[serde(untagged, expecting = "expected an integer or a string")]
enum NodeId {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
struct Node {
    id: NodeId,
    /// Longitude, degrees.
    x: f64,
    /// Latitude, degrees.
    y: f64,
}

#[derive(Deserialize)]
struct Link {
    source: NodeId,
    target: NodeId,
    /// Meters.
    length: Option<f64>,
    /// Seconds.
    travel_time: Option<f64>,
    speed_kmph: Option<f64>,
}

/// Why a file is no street graph.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStreetFile {
    /// It is not JSON of this form. Names the place by path, line and column.
    #[error("{0}")]
    Json(String),
    /// A value cannot be used.
    #[error("`{at}` {problem}")]
    Value {
        /// The path of the value, as `links[7].speed_kmph`.
        at: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The streets as a whole cannot be used.
    #[error("{0}")]
    Streets(#[from] InvalidStreets),
}

/// Reads a street graph.
///
/// A link without `travel_time` has its `speed_kmph`, or else [`URBAN_SPEED_KMH`]; one without `length` is straight. Driving times are
/// rounded up to milliseconds. A byte-order mark is skipped.
///
/// # Errors
/// The first value that is missing or invalid, by its path; if the streets are not connected.
pub fn read(json: &[u8]) -> Result<Streets, InvalidStreetFile> {
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let graph: NodeLink = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let at = if [".", "?"].contains(&path.as_str()) { String::new() } else { format!("`{path}`: ") };
        InvalidStreetFile::Json(format!("{at}{}", error.inner()))
    })?;
    deserializer.end().map_err(|error| InvalidStreetFile::Json(error.to_string()))?;
    let mut junctions = Vec::with_capacity(graph.nodes.len());
    let mut by_id: HashMap<&NodeId, Junction> = HashMap::with_capacity(graph.nodes.len());
    for (index, (node, junction)) in graph.nodes.iter().zip(0..).enumerate() {
        let position = Position::new(node.y, node.x).map_err(|error| {
            let field = if error.field == "lon" { "x" } else { "y" };
            let problem = format!("must be from -{0} to {0} degrees, not {1}", error.limit, error.value);
            InvalidStreetFile::Value { at: format!("nodes[{index}].{field}"), problem }
        })?;
        junctions.push(position);
        if by_id.insert(&node.id, junction).is_some() {
            let problem = "is the id of an earlier node too".to_owned();
            return Err(InvalidStreetFile::Value { at: format!("nodes[{index}].id"), problem });
        }
    }
    let segments = graph.links.iter().enumerate().map(|(index, link)| {
        segment(link, &by_id, &junctions)
            .map_err(|(field, problem)| InvalidStreetFile::Value { at: format!("links[{index}].{field}"), problem })
    });
    let segments = segments.collect::<Result<_, _>>()?;
    Ok(Streets::new(junctions, segments)?)
}

/// Returns the segment of a link, or its first invalid field and the problem.
fn segment(
    link: &Link,
    by_id: &HashMap<&NodeId, Junction>,
    junctions: &[Position],
) -> Result<Segment, (&'static str, String)> {
    let junction = |field, id: &NodeId| {
        let unknown = || (field, format!("names no node: {}", id.to_text()));
        by_id.get(id).copied().ok_or_else(unknown)
    };
    let (from, to) = (junction("source", &link.source)?, junction("target", &link.target)?);
    let straight_m = || distance_m(junctions[from as usize], junctions[to as usize]);
    let length_m = link.length.unwrap_or_else(straight_m);
    if length_m < 0.0 {
        return Err(("length", format!("must be 0 or more meters, not {length_m}")));
    }
    let speed_kmh = link.speed_kmph.unwrap_or(URBAN_SPEED_KMH as f64);
    if speed_kmh <= 0.0 {
        return Err(("speed_kmph", format!("must be more than 0, not {speed_kmh}")));
    }
    let travel_s = link.travel_time.unwrap_or(length_m / speed_kmh * 3.6);
    if travel_s < 0.0 || (travel_s == 0.0 && length_m > 0.0) {
        return Err(("travel_time", format!("must be more than 0 seconds, not {travel_s}")));
    }
    Ok(Segment { from, to, ms: ((travel_s * 1_000.0).ceil() as u32).max(1), length_m })
}

impl NodeId {
    fn to_text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => format!("{text:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::streets::CONNECTED_PERCENT_MIN;

    /// A file with a street in both directions, and `edit` in place of a part.
    fn file(edit: (&str, &str)) -> String {
        let text = r#"{"directed": true, "nodes": [{"id": 1, "x": 0.0, "y": 0.0}, {"id": "b", "x": 0.001, "y": 0.0}],
            "links": [{"source": 1, "target": "b", "length": 100, "travel_time": 8.5, "speed_kmph": 40},
                      {"source": "b", "target": 1, "length": 100, "speed_kmph": 36.0}]}"#;
        assert!(text.contains(edit.0), "{}", edit.0);
        text.replacen(edit.0, edit.1, 1)
    }

    fn error(edit: (&str, &str)) -> String {
        read(file(edit).as_bytes()).expect_err("invalid").to_string()
    }

    #[test]
    fn missing_values_have_the_defaults_of_the_city_and_both_names_of_the_links_are_read() {
        for edit in [("", ""), ("\"links\"", "\"edges\""), ("{", "\u{feff}{")] {
            let streets = read(file(edit).as_bytes()).expect("valid");
            let times: Vec<u32> = streets.graph.segments().iter().map(|segment| segment.ms).collect();
            assert_eq!(times, [8_500, 10_000]);
        }
        let straight = read(file((r#", "length": 100, "travel_time": 8.5, "speed_kmph": 40"#, "")).as_bytes());
        let straight = straight.expect("valid").graph.segments()[0];
        assert_eq!((straight.ms, straight.length_m.round() as i64), (16_013, 111));
    }

    #[test]
    fn invalid_value_is_named_with_its_path() {
        for (edit, expected) in [
            (("36.0", "0"), "`links[1].speed_kmph` must be more than 0, not 0"),
            (("8.5", "-1"), "`links[0].travel_time` must be more than 0 seconds, not -1"),
            (("8.5", "0"), "`links[0].travel_time` must be more than 0 seconds, not 0"),
            (("100", "-4"), "`links[0].length` must be 0 or more meters, not -4"),
            (("\"target\": \"b\"", "\"target\": 99"), "`links[0].target` names no node: 99"),
            (("\"y\": 0.0}", "\"y\": 91}"), "`nodes[0].y` must be from -90 to 90 degrees, not 91"),
            (("\"id\": \"b\"", "\"id\": 1"), "`nodes[1].id` is the id of an earlier node too"),
            (
                ("\"x\": 0.001", "\"x\": \"east\""),
                "`nodes[1].x`: invalid type: string \"east\", expected f64 at line 1",
            ),
            (("\"id\": 1,", "\"id\": 1.5,"), "`nodes[0].id`: expected an integer or a string at line 1"),
            (("\"target\": \"b\", ", ""), "`links[0]`: missing field `target` at line 2"),
            (("\"nodes\"", "\"vertices\""), "missing field `nodes` at line 3"),
            (("}]}", "}]"), "EOF while parsing an object at line 3"),
            (("}]}", "}]} ,"), "trailing characters at line 3"),
        ] {
            let found = error(edit);
            assert!(found.starts_with(expected), "{found}");
        }
    }

    #[test]
    fn streets_that_are_not_connected_are_refused() {
        let found = error(("\"source\": \"b\", \"target\": 1", "\"source\": 1, \"target\": \"b\""));
        let expected = format!(
            "the streets are not connected: at most 1 of 2 junctions can reach each other, and {CONNECTED_PERCENT_MIN} % must"
        );
        assert_eq!(found, expected);
        assert_eq!(read(br#"{"nodes": [], "links": []}"#).expect_err("empty").to_string(), "there are no streets");
    }
}
