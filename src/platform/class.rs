//! Vehicle classes: what a rider requests and what a driver's car is.

use super::names::string_enum;

string_enum! {
    /// The class of a vehicle. A quote, a trip and a driver have one each; a trip is offered only to drivers of its class.
    pub enum VehicleClass {
        /// Up to four riders.
        Standard = "standard",
        /// Up to four riders, in a larger and newer car.
        Comfort = "comfort",
        /// Up to six riders.
        Xl = "xl",
    }
}
