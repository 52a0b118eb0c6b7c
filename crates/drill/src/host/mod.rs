//! A game day: one faulty service, a page for the responders, a page for the facilitator, one report for the team.
//!
//! The responders need no checkout: the page of the drill has console, logs, metrics and read-only SQL. The facilitator's page has a key in
//! its address, and shows what the responders do not see: the cause, the hints, the second ticket, and the questions of the debriefing.

mod game;
mod report;
mod routes;
mod sql;

pub use game::{Act, Entry, Game, Kind, Script, Shown};
pub use routes::{Day, configure};
pub use sql::{Reader, Rows};
