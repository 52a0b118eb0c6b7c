//! Packs: their format, their sealing, and the closed lists of a diagnosis.

pub mod catalog;
pub mod changes;
pub mod evidence;
pub mod load;
pub mod model;
pub mod problems;
pub mod recognize;
pub mod seal;

pub use catalog::Catalog;
pub use evidence::EvidencePattern;
pub use load::Drill;
pub use model::{Card, Change, Pack, WrongFix};
