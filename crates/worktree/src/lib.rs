//! A copy of the source tree with replacements, built by cargo against a migrated database. Mutations and drills use it.

mod cargo;
mod database;
mod overlay;
mod tree;

use std::error::Error;

pub use cargo::{Artifact, ArtifactProfile, ArtifactTarget, Cargo};
pub use database::migrated_database;
pub use overlay::{Overlay, Replace};
pub use tree::{Applied, Tree, TreeCopy, read_tree, write_if_different};

/// Errors here are only shown.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
