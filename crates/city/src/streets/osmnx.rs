//! `road_network.json`: a street graph in the node-link JSON of OSMnx and NetworkX.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::position::Position;

use super::{Junction, OFF_STREET_METERS_PER_S, Segment, Streets};

/// A graph whose elements are parsed one by one, so that an invalid one is skipped.
#[derive(Deserialize)]
struct NodeLink {
    nodes: Vec<Lenient<Node>>,
    /// NetworkX 3.4 renamed `links` to `edges`.
    #[serde(alias = "edges")]
    links: Vec<Lenient<Link>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Good(T),
    Bad(IgnoredAny),
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(untagged)]
enum NodeId {
    Number(i64),
    Text(String),
}

#[derive(Deserialize)]
struct Node {
    id: NodeId,
    x: f64,
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

/// Reads the graph, and returns the number of skipped nodes and links.
///
/// A link without `travel_time` has its `speed_kmph`, or else 25 km/h; one without `length` is straight.
///
/// # Errors
/// The text is not a node-link graph.
pub(crate) fn read(json: &[u8]) -> Result<(Streets, usize), serde_json::Error> {
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let graph: NodeLink = serde_json::from_slice(json)?;
    let mut skipped = 0;
    let mut junctions = Vec::with_capacity(graph.nodes.len());
    let mut by_id: HashMap<NodeId, Junction> = HashMap::with_capacity(graph.nodes.len());
    for node in graph.nodes {
        match node.good().and_then(|node| Some((node.id, Position::new(node.y, node.x).ok()?))) {
            Some((id, place)) => {
                // A file with four billion nodes does not fit into memory.
                by_id.insert(id, u32::try_from(junctions.len()).unwrap_or(Junction::MAX));
                junctions.push(place);
            }
            None => skipped += 1,
        }
    }
    let mut segments = Vec::with_capacity(graph.links.len());
    for link in graph.links {
        match link.good().and_then(|link| segment(&link, &by_id, &junctions)) {
            Some(segment) => segments.push(segment),
            None => skipped += 1,
        }
    }
    Ok((Streets::new(junctions, segments), skipped))
}

impl<T> Lenient<T> {
    fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(IgnoredAny) => None,
        }
    }
}

fn segment(link: &Link, by_id: &HashMap<NodeId, Junction>, junctions: &[Position]) -> Option<Segment> {
    let (from, to) = (*by_id.get(&link.source)?, *by_id.get(&link.target)?);
    let straight_m = || junctions[from as usize].meters_to(junctions[to as usize]);
    let length_m = link.length.unwrap_or_else(straight_m);
    let speed = link.speed_kmph.map_or(OFF_STREET_METERS_PER_S, |kmph| kmph / 3.6);
    let travel_s = link.travel_time.unwrap_or(length_m / speed);
    let usable = |number: f64| number.is_finite() && number >= 0.0;
    (usable(length_m) && usable(travel_s)).then_some(Segment { from, to, length_m, travel_s })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn missing_values_have_defaults_and_invalid_elements_are_skipped() {
        let json = br#"{"directed": true, "nodes": [
            {"id": 1, "x": 0.0, "y": 0.0}, {"id": "b", "x": 0.001, "y": 0.0, "street_count": 3},
            {"id": 3, "x": 400.0, "y": 0.0}, {"id": 4}, null],
          "edges": [
            {"source": 1, "target": "b", "length": 100, "travel_time": 8.5, "speed_kmph": 40},
            {"source": "b", "target": 1, "length": 100, "speed_kmph": 36.0},
            {"source": 1, "target": "b"},
            {"source": 1, "target": 99, "length": 1},
            {"source": 1, "target": "b", "length": -4},
            {"source": 1, "target": "b", "length": "long"}, 7]}"#;
        let (streets, skipped) = read(json).unwrap();
        assert_eq!((streets.junctions().len(), skipped), (2, 7));
        let times: Vec<i32> = streets.segments().iter().map(|s| (s.travel_s * 10.0).round() as i32).collect();
        assert_eq!(times, [85, 160, 100]);
        assert!(read(b"[]").is_err());
    }
}
