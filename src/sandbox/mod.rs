//! The sandbox: tokens for everybody, and a domain clock that can be set. Nothing imports it but the start-up, which opens it
//! only when told to.

pub mod routes;
pub mod store;
