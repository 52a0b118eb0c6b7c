//! The HTTP server: Stripe's routes under `/v1`, and the control interface under `/sim`.
//!
//! Imports go in one direction: `shared` and `connection`, then `stripe` and `control`, then this module.

mod connection;
mod control;
mod shared;
mod stripe;

use actix_web::web;

pub use connection::keep_handle;
pub use shared::Credentials;

/// Adds all routes. Needs a `Provider` and [`Credentials`] as application data.
pub fn routes(config: &mut web::ServiceConfig) {
    config.configure(stripe::routes).configure(control::routes).default_service(web::to(shared::unrecognized));
}
