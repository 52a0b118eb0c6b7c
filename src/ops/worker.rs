//! Retention: what is kept for a while only, and goes in small batches.

use chrono::TimeDelta;

use super::store;
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::{idempotency, outbox};

/// How long idempotency keys are remembered (machine time); the published document says so too.
pub const KEYS_KEPT: TimeDelta = TimeDelta::hours(24);

/// How long a driver's stream can be resumed (machine time).
const DRIVER_EVENTS_KEPT: TimeDelta = TimeDelta::hours(24);

/// How long the provider's events are kept (machine time). It sends one again for three days at most.
const PROVIDER_EVENTS_KEPT: TimeDelta = TimeDelta::days(7);

/// How long a quote that came to nothing is kept (domain time): for whoever asks what a rider was promised.
const QUOTES_KEPT: TimeDelta = TimeDelta::hours(24);

/// Rows that one transaction removes. Small enough to hold nobody up, for locks and for the log.
const BATCH: i64 = 1_000;

/// What a round removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    /// Idempotency keys.
    pub keys: u64,
    /// Events of the outbox, delivered everywhere.
    pub outbox_events: u64,
    /// News for drivers.
    pub driver_events: u64,
    /// Events of the payment provider.
    pub provider_events: u64,
    /// Quotes that nobody used.
    pub quotes: u64,
}

impl Reaped {
    /// Whether a batch was full, so that there may be more.
    pub fn is_full(&self) -> bool {
        let full = BATCH.unsigned_abs();
        [self.keys, self.outbox_events, self.driver_events, self.provider_events, self.quotes]
            .into_iter()
            .any(|count| count >= full)
    }
}

/// Removes a batch of each kind that has been kept for long enough. Again at once if [`Reaped::is_full`], else in a minute or so.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(platform: &Platform) -> Result<Reaped> {
    let (machine, domain) = (platform.clock.machine(), platform.clock.domain());
    let db = &platform.db;
    Ok(Reaped {
        keys: db.transaction((), move |tx, ()| Box::pin(idempotency::reap(tx, machine - KEYS_KEPT, BATCH))).await?,
        outbox_events: db
            .transaction((), move |tx, ()| Box::pin(outbox::reap(tx, machine - outbox::KEPT, BATCH)))
            .await?,
        driver_events: db
            .transaction((), move |tx, ()| Box::pin(store::reap_driver_events(tx, machine - DRIVER_EVENTS_KEPT, BATCH)))
            .await?,
        provider_events: db
            .transaction((), move |tx, ()| {
                Box::pin(store::reap_provider_events(tx, machine - PROVIDER_EVENTS_KEPT, BATCH))
            })
            .await?,
        quotes: db.transaction((), move |tx, ()| Box::pin(store::reap_quotes(tx, domain - QUOTES_KEPT, BATCH))).await?,
    })
}
