//! The sandbox: tokens for everybody, a domain clock that can be set, the console, and the city as it moves for its map. Nothing
//! imports it but the start-up, which opens it only when told to.

pub mod console;
pub mod live;
pub mod machines;
pub mod routes;
pub mod store;
