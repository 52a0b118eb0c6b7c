//! Trips, offers and drivers: rides to their end, races, the nearest driver, prices, the ledger of a ride.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../harness/mod.rs"]
mod harness;

mod dispatch;
mod drive_times;
mod index;
mod ledger;
mod nearby;
mod nearest;
mod races;
mod tips;
mod trip_states;
mod trips;
mod zones;
