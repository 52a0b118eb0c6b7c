//! Guards in the `where` of a write that stand behind a lock: no race would notice that one is gone, because whoever is overtaken
//! waits for the lock and then finds out by reading. They are for the day on which the lock is forgotten, so each is tried here by
//! itself: by somebody who has read a row, and then writes when it has changed.
//!
//! `cargo xtask variants` takes each of them away and looks which of these tests die.
#![allow(clippy::unwrap_used, reason = "tests")]

mod harness;
#[path = "guards/money.rs"]
mod money;
#[path = "guards/outbox.rs"]
mod outbox;
#[path = "guards/rides.rs"]
mod rides;
#[path = "audit/world.rs"]
mod world;

use chrono::{DateTime, Utc};
use ridematch::platform::error::{Error, Result};
use sqlx::PgConnection;

use crate::harness::App;

/// The time of a test that is not to meet the service's own workers: nothing of theirs is due so late.
fn late() -> DateTime<Utc> {
    "2099-01-01T00:00:00Z".parse().unwrap()
}

/// A connection to the service's database that is not the service's.
async fn session(app: &App) -> PgConnection {
    app.sql().acquire().await.unwrap().detach()
}

/// Fails unless it was the guard that refused: it finds no row to change, and that is an answer, not an error of the database.
#[track_caller]
fn assert_guarded<T: std::fmt::Debug>(end: Result<T>) {
    assert!(
        matches!(end, Err(Error::Refused(_) | Error::Overtaken(_))),
        "it was let through, or stopped later: {end:?}"
    );
}
