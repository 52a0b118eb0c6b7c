//! What a published map shows beside its streets: a name, the class and name of each line, and areas.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::geo::Position;

/// The most areas of one map.
pub const AREAS_MAX: usize = 500;

/// The most positions in the rings of one map.
pub const RING_POINTS_MAX: usize = 20_000;

/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 80;

/// A ring of positions `[longitude, latitude]`, degrees.
type Ring = Vec<[f64; 2]>;

/// The class of a road, from large to small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoadClass {
    /// A main road.
    Arterial,
    /// A road between districts.
    Avenue,
    /// Any other street.
    Street,
    /// A narrow street.
    Lane,
}

/// The road of a line.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Road {
    /// The class: the map draws larger roads wider.
    pub class: RoadClass,
    /// The name, if the road has one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 80, example = "Grand Diagonal")]
    pub name: Option<String>,
}

/// Reads a member that may be absent, and is not `null` if it is there.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// The kind of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AreaKind {
    /// Sea, river or lake.
    Water,
    /// A park.
    Park,
    /// A district: only its name is drawn.
    District,
}

/// An area.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Area {
    /// The kind.
    pub kind: AreaKind,
    /// The name, if the area has one.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 80, example = "Great Meadow")]
    pub name: Option<String>,
    /// The edge: at least four positions `[longitude, latitude]`, degrees, of which the last is the first. All rings of a map have at most
    /// 20,000 positions.
    #[schema(value_type = Vec<RingPosition>, min_items = 4, max_items = 20_000)]
    pub ring: Ring,
}

/// A position: longitude, then latitude, in degrees.
#[derive(ToSchema)]
#[schema(as = RingPosition, min_items = 2, max_items = 2, example = json!([-73.9857, 40.7484]))]
#[expect(dead_code, reason = "only a schema")]
struct RingPosition(Vec<RingDegrees>);

/// Degrees, -180 to 180.
#[derive(ToSchema)]
#[schema(as = RingDegrees, minimum = -180.0, maximum = 180.0)]
#[expect(dead_code, reason = "only a schema")]
struct RingDegrees(f64);

/// What is stored beside the streets.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Features {
    /// The name of the map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A road for each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roads: Option<Vec<Road>>,
    /// The areas. Later ones are drawn over earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub areas: Option<Vec<Area>>,
}

/// A wrong member: its JSON pointer, and what it must be.
pub type InvalidFeature = (String, String);

impl Features {
    /// Returns whether there is anything to show.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.roads.is_none() && self.areas.is_none()
    }

    /// Checks names, numbers and positions, for a map of so many lines.
    ///
    /// # Errors
    /// The first wrong member.
    pub fn check(&self, lines: usize) -> Result<(), InvalidFeature> {
        check_name("/name".to_owned(), self.name.as_deref())?;
        if let Some(roads) = &self.roads {
            if roads.len() != lines {
                let detail = format!("must have an item for each of the {lines} lines, not {}", roads.len());
                return Err(("/roads".to_owned(), detail));
            }
            for (number, road) in roads.iter().enumerate() {
                check_name(format!("/roads/{number}/name"), road.name.as_deref())?;
            }
        }
        let areas = self.areas.as_deref().unwrap_or_default();
        let points: usize = areas.iter().map(|area| area.ring.len()).sum();
        if areas.len() > AREAS_MAX || points > RING_POINTS_MAX {
            return Err(("/areas".to_owned(), format!("at most {AREAS_MAX} areas and {RING_POINTS_MAX} positions")));
        }
        for (number, area) in areas.iter().enumerate() {
            check_name(format!("/areas/{number}/name"), area.name.as_deref())?;
            check_ring(&format!("/areas/{number}/ring"), &area.ring)?;
        }
        Ok(())
    }
}

fn check_name(pointer: String, name: Option<&str>) -> Result<(), InvalidFeature> {
    let is_right =
        |name: &str| (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    match name {
        Some(name) if !is_right(name) => {
            Err((pointer, format!("must have 1 to {NAME_CHARS_MAX} characters, none of them a control character")))
        }
        _ => Ok(()),
    }
}

fn check_ring(pointer: &str, ring: &Ring) -> Result<(), InvalidFeature> {
    for (index, [lon, lat]) in ring.iter().enumerate() {
        Position::new(*lat, *lon).map_err(|error| {
            let axis = if error.field == "lon" { 0 } else { 1 };
            (format!("{pointer}/{index}/{axis}"), error.to_string())
        })?;
    }
    if ring.len() < 4 || ring.first() != ring.last() {
        return Err((
            pointer.to_owned(),
            "must have at least four positions, of which the last is the first".to_owned(),
        ));
    }
    Ok(())
}
