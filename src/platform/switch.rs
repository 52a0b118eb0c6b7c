//! A feature that is on or off by configuration.

use super::names::string_enum;

string_enum! {
    /// Whether a feature is on.
    pub enum Switch {
        /// Off.
        Off = "off",
        /// On.
        On = "on",
    }
}

impl Switch {
    /// Returns whether it is on.
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}
