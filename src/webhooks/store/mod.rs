//! The room's SQL: endpoints, and deliveries with their log. The guard stands in the `where`.

mod deliveries;
mod endpoints;
mod log;

pub use deliveries::{
    Insert, Pace, counts, finish, insert_attempt, insert_event, kill_hopeless, lease, restart, was_reached_since,
};
pub use endpoints::{
    InsertEndpoint, busy, count, delete, endpoint, endpoints, insert_endpoint, lock, lock_subscriptions, rotate,
    set_disabled, subscribe, wanting,
};
pub use log::{deliveries, delivery};
