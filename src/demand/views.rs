//! The surge of a place as it is published: in quotes and with zones.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::PlaceSurge;
use crate::geo::cells::Cell;

/// The surge of a place.
#[derive(Debug, Serialize, ToSchema)]
pub struct SurgeBody {
    /// The factor on the metered price, basis points; 10,000 is no surge.
    #[schema(minimum = 10_000, maximum = 30_000)]
    multiplier_bp: i32,
    /// The cell with the surge; `null` without surge.
    cell: Option<Cell>,
    /// Why, as a sentence.
    #[schema(max_length = 500)]
    reason: String,
}

impl From<PlaceSurge> for SurgeBody {
    fn from(surge: PlaceSurge) -> Self {
        Self { multiplier_bp: surge.multiplier_bp, cell: surge.cell, reason: surge.reason }
    }
}
