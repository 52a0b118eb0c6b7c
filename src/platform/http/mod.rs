//! HTTP, as far as all rooms share it: requests, answers, problems, lists, streams. Besides this only `routes.rs` files know actix.

pub mod json;
pub mod middleware;
pub mod names;
pub mod problem;
pub mod request;
pub mod socket;
pub mod sse;
pub mod strangers;

pub use problem::Problem;
pub use request::{
    Drivers, DriversAndOperators, Everybody, Gateways, Operators, Participants, Request, Riders, RidersAndDrivers,
    RidersAndOperators,
};

/// What a handler returns.
pub type Reply = Result<actix_web::HttpResponse, Problem>;
