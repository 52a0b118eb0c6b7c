//! What ops does by itself: [`reconciliation`], and retention, which is below: what is kept for a while only goes in small batches.

pub mod reconciliation;

use chrono::TimeDelta;

pub use reconciliation::RECENT;

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

/// How long events of webhooks, and the log of their deliveries, are kept (machine time): for whoever asks what a receiver was told.
const WEBHOOK_EVENTS_KEPT: TimeDelta = TimeDelta::days(30);

/// How long a quote that came to nothing is kept (domain time): for whoever asks what a rider was promised.
const QUOTES_KEPT: TimeDelta = TimeDelta::hours(24);

/// How long a run of reconciliation is kept that repaired nothing (machine time). Findings are kept for good.
const RUNS_KEPT: TimeDelta = TimeDelta::days(30);

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
    /// Events of webhooks, with their deliveries.
    pub webhook_events: u64,
    /// Quotes that nobody used.
    pub quotes: u64,
    /// Runs of reconciliation that repaired nothing.
    pub runs: u64,
}

impl Reaped {
    /// Whether a batch was full, so that there may be more.
    pub fn is_full(&self) -> bool {
        let full = BATCH.unsigned_abs();
        let Self { keys, outbox_events, driver_events, provider_events, webhook_events, quotes, runs } = *self;
        [keys, outbox_events, driver_events, provider_events, webhook_events, quotes, runs]
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
        webhook_events: db
            .transaction((), move |tx, ()| {
                Box::pin(store::reap_webhook_events(tx, machine - WEBHOOK_EVENTS_KEPT, BATCH))
            })
            .await?,
        quotes: db.transaction((), move |tx, ()| Box::pin(store::reap_quotes(tx, domain - QUOTES_KEPT, BATCH))).await?,
        runs: db.transaction((), move |tx, ()| Box::pin(store::reap_runs(tx, machine - RUNS_KEPT, BATCH))).await?,
    })
}
