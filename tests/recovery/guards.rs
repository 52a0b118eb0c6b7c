//! Guards in the `where` clause of a write that stand behind a lock.
//!
//! No race test would notice that one is missing, because the loser waits for the lock and then reads the change. They protect
//! against a forgotten lock, so each is tested alone: a row is read, changes, and is then written with the old values.
//!
//! `cargo xtask mutations` removes each guard and checks that one of these tests fails.
#![allow(clippy::unwrap_used, reason = "tests")]

mod money;
mod outbox;
mod rides;

use chrono::{DateTime, Utc};
use ridematch::platform::error::{Error, Result};
use sqlx::PgConnection;

use crate::harness::App;

/// A time so late that the service's own workers have nothing due then.
fn late() -> DateTime<Utc> {
    "2099-01-01T00:00:00Z".parse().unwrap()
}

/// Opens a connection to the service's database of the test's own.
async fn session(app: &App) -> PgConnection {
    app.sql().acquire().await.unwrap().detach()
}

/// Fails unless the guard rejected the write: it finds no row to change, which is a refusal and not a database error.
#[track_caller]
pub(crate) fn assert_guarded<T: std::fmt::Debug>(end: Result<T>) {
    assert!(matches!(end, Err(Error::Refused(_) | Error::StaleWrite(_))), "not rejected, or rejected later: {end:?}");
}
