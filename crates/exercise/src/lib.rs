//! The coding round of an interview: exercises over standard input and output, and an integration round against the service.
//!
//! A module imports only from modules above it in this list:
//!
//! - `random`
//! - `cases` (for each classic: a generator of inputs and an oracle)
//! - `catalog` (the folders of `exercises/`)
//! - `solution` (the candidate's command), `limited` (a run of it with limits)
//! - `judge` (the verdict on a run)
//! - `rides` (the integration round)
//! - `cli`, `commands`

pub mod cases;
pub mod catalog;
pub mod cli;
pub mod commands;
pub mod judge;

pub mod limited;
mod random;
pub mod rides;
pub mod solution;

/// Any error; a command shows it and ends.
pub type Result<T, E = launcher::BoxError> = std::result::Result<T, E>;
