//! What a map shows beside the streets.

use serde::Serialize;

use crate::position::Position;

/// The kind of an area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AreaKind {
    Water,
    Park,
    District,
}

/// An area: a closed ring and its name.
#[derive(Debug, Clone)]
pub(crate) struct Area {
    pub kind: AreaKind,
    pub name: Option<&'static str>,
    pub ring: Vec<Position>,
}

/// The name and the areas of a city; a scenario has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedMap {
    pub name: Option<&'static str>,
    pub areas: Vec<Area>,
}
