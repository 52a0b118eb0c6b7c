//! The sandbox: tokens for everybody, a domain clock that can be set, and the city as it moves. Nothing imports it but the start-up, which opens it
//! only when told to.

pub mod live;
pub mod routes;
pub mod store;
