//! A stateful payment simulator with faults, which speaks a subset of Stripe's API.
//!
//! It authorizes, declines Stripe's test cards, captures, cancels and refunds. It replays idempotency keys, stored errors
//! included, signs webhooks, and keeps its state across `kill -9`. The README describes the protocol and the faults.
//!
//! ```no_run
//! # async fn example() -> Result<(), psp_sim::Error> {
//! let running = psp_sim::start(psp_sim::Settings::new("psp-sim-data", "sk_test_1")).await?;
//! println!("http://{}", running.address());
//! running.stop().await;
//! # Ok(()) }
//! ```
//!
//! A module imports only from modules above it in this list:
//!
//! - values: `error`, `clock`, `random`, `cards`, `model`, then `state_machine` (commands on a payment intent)
//! - protocol: `render` (JSON), `api_error`, `params`, `currencies`, `response`
//! - faults: `fault_kinds`, `faults`, `fault_plan`, `active_faults`, `request_faults`
//! - state: `request`, `catalog`, `event_queue`, `records`, `journal`, `store` (records with journal), `state_view`
//! - provider: `operations` (a request applied to values), `events`, `provider`
//! - edges: `webhooks`, `http`, `server` (start and stop), `cli`

mod active_faults;
mod api_error;
mod cards;
mod catalog;
mod cli;
mod clock;
mod currencies;
mod error;
mod event_queue;
mod events;
mod fault_kinds;
mod fault_plan;
mod faults;
mod http;
mod journal;
mod model;
mod operations;
mod params;
mod provider;
mod random;
mod records;
mod render;
mod request;
mod request_faults;
mod response;
mod server;
mod state_machine;
mod state_view;
mod store;
mod webhooks;

pub use crate::cli::{Cli, run};
pub use crate::clock::Clock;
pub use crate::error::Error;
pub use crate::fault_kinds::{FaultKind, FaultStep};
pub use crate::render::API_VERSION;
pub use crate::server::{Running, Settings, start};
pub use crate::webhooks::{Webhook, signature};
