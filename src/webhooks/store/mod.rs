//! The module's SQL: endpoints, and deliveries with their log. Each guard is in the `where` clause.

mod deliveries;
mod endpoints;
mod log;

pub use deliveries::{
    DISCARD_BATCH, DeliveryUpdate, NewEvent, RETENTION, counts, discard_undeliverable, finish, has_delivered_since,
    insert_attempt, insert_event, lease, restart_delivery,
};
pub use endpoints::{
    NewEndpointRow, count, delete, due_endpoints, endpoint, endpoints, insert_endpoint, lock, lock_subscriptions,
    rotate, set_disabled, subscribe, subscribed_endpoints,
};
pub use log::{deliveries, delivery};
