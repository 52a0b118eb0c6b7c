//! Roads: which segments belong together, with a class and a name.

use serde::Serialize;

/// The class of a road, from large to small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RoadClass {
    Arterial,
    Avenue,
    Street,
    Lane,
}

impl RoadClass {
    /// The speed without traffic.
    pub fn meters_per_s(self) -> f64 {
        let km_per_h = match self {
            Self::Arterial => 50.0,
            Self::Avenue => 42.0,
            Self::Street => 30.0,
            Self::Lane => 18.0,
        };
        km_per_h / 3.6
    }
}

/// A road: the segments with its number are it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Road {
    pub class: RoadClass,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}
