//! The seeded load of a run: actors over the published HTTP API. Every request and its response is recorded.
//!
//! - `model` (what a pack describes), `recording` (what happened)
//! - `clock`, `places`, `context` (what actors share), `caller` (an HTTP client that records),
//!   `hang_up` (a client that does not wait)
//! - `driver`, `offer_stream`, `gateway`, `rider`, `operator`, `open_loop` (the actors)
//! - `run` (starts and ends them all)

mod caller;
pub mod clock;
mod context;
mod driver;
mod gateway;
mod hang_up;
pub mod model;
mod offer_stream;
mod open_loop;
mod operator;
mod places;
pub mod recording;
mod rider;
mod run;

pub use caller::{ApiResponse, Call, Caller};
pub use context::{Context, DriverName, Target};
pub use model::LoadSpec;
pub use recording::Recording;
pub use run::{Actors, operation_matches};
