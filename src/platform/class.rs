//! Vehicle classes: what a rider may ask for and a car may be.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kind of car.
///
/// A quote, a trip and a driver have one each, and they have to be the same.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum VehicleClass {
    /// Up to four riders.
    Standard,
    /// Up to four riders, in a larger and newer car.
    Comfort,
    /// Up to six riders.
    Xl,
}

impl VehicleClass {
    /// Every class, the cheapest first.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Comfort, Self::Xl];

    /// The name on the wire, in the database and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Comfort => "comfort",
            Self::Xl => "xl",
        }
    }
}

impl fmt::Display for VehicleClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_name_everywhere() {
        for class in VehicleClass::ALL {
            assert_eq!(serde_json::json!(class), class.as_str());
        }
    }
}
