//! The sandbox: tokens for everybody, a domain clock that can be set, and the console. Nothing imports it but the start-up, which
//! opens it only when told to.

pub mod console;
pub mod machines;
pub mod routes;
pub mod store;
