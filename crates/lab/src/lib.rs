//! Experiments that settle a bet. A lab asks for a number, measures it at least five times, and shows a table, the answer and how
//! far off the bet was. It writes a plot and a JSON file.
//!
//! A module imports only from modules above it in this list:
//!
//! - `random`, `statistics`, `geometry`, `numbers` (how figures are written)
//! - `outcome` (table, answer, records), `plot` (the SVG)
//! - `context` (what a running lab has), `postgres`
//! - `labs` (the ten experiments and their catalog)
//! - `machine`, `document` (the JSON file), `bets` (what the user predicted)
//! - `cli`, `commands`

pub mod bets;
pub mod cli;
pub mod commands;
pub mod context;
pub mod document;
mod geometry;
pub mod labs;
pub mod machine;
mod numbers;
pub mod outcome;
pub mod plot;
mod postgres;
mod random;
mod statistics;

/// Any error; a command shows it and ends.
pub type Result<T, E = launcher::BoxError> = std::result::Result<T, E>;
