//! Debugging exercises on seeded faults: a pack describes a fault, this crate exports a tree that has it, runs it under a seeded load, and
//! judges what the user makes of it.

pub mod cli;
pub mod commands;
pub mod export;
pub mod host;
pub mod judge;
pub mod load;
pub mod observe;
pub mod pack;
pub mod page;
pub mod session;
pub mod stack;

/// Any error; a command shows it and ends.
pub type Result<T> = std::result::Result<T, launcher::BoxError>;
