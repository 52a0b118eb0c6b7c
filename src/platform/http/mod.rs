//! HTTP for all modules: requests, responses, problem documents and streams. Besides this, only `routes.rs` files know actix.

mod accept;
mod audience;
mod body;
mod conditional;
pub mod connection;
mod head;
pub mod json;
pub mod middleware;
pub mod origin_check;
pub mod problem;
pub mod request;
pub mod shell;
pub mod socket;
pub mod sse;
pub mod stream_permit;

pub use accept::negotiate;
pub use audience::{
    Audience, Drivers, DriversAndOperators, Gateways, Operators, Participants, Public, Riders, RidersAndDrivers,
    RidersAndOperators,
};
pub use conditional::is_known;
pub use head::answer_head;
pub use problem::Problem;
pub use request::Request;

/// The result of a handler.
pub type HttpResult = Result<actix_web::HttpResponse, Problem>;
