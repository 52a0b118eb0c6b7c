//! How a match cycle assigns drivers to trips.

use super::names::string_enum;

string_enum! {
    /// How a match cycle assigns drivers to trips.
    pub enum MatchPolicy {
        /// Each trip in turn, the longest waiting first, gets the nearest driver.
        Nearest = "nearest",
        /// All trips at once, with the smallest sum of drives and waits.
        Batched = "batched",
    }
}
