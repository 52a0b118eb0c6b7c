//! The SQL of trips, offers and engagements. A write says in its `where` which row it means to change, version and all; no row
//! changed is a conflict.

mod engagements;
mod events;
mod offers;
mod trips;

pub use engagements::*;
pub use events::*;
pub use offers::*;
pub use trips::*;

use crate::platform::class::VehicleClass;

fn parse_class(name: &str) -> Option<VehicleClass> {
    VehicleClass::ALL.into_iter().find(|class| class.as_str() == name)
}
