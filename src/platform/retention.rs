//! Retention: deletes expired rows, batch by batch, while there are any. Also the rules of the platform's tables: idempotency keys,
//! outbox events and dead deliveries.
//!
//! Each module has a rule for each of its tables that grow; the composition root passes all of them to [`run_once`]. A rule finds its
//! rows by an index, so that a pass costs what it deletes.

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use super::Platform;
use super::clock::{DomainTime, MachineTime, Stopwatch};
use super::config::{RetentionConfig, retention::days};
use super::error::Result;
use super::work::RunOutcome;

/// How long idempotency keys are kept (machine time); the OpenAPI document states it too.
const KEYS_KEPT: TimeDelta = TimeDelta::hours(24);

/// How long delivered events are kept, for debugging.
const EVENTS_KEPT: TimeDelta = TimeDelta::hours(24);

/// Rows that one transaction deletes: few enough that it holds locks only briefly.
pub const BATCH: i64 = 1_000;

/// The longest pass. A further pass follows; meanwhile the metrics say which rows are behind.
const PASS_MAX: Duration = Duration::from_secs(60);

/// The longest pause after a batch. Otherwise it is as long as the batch took, so that a pass keeps one connection half busy at most.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The rows of a table that expire.
#[derive(Debug, Clone, Copy)]
pub struct RetentionRule {
    /// The label of the metrics: the table, or what is deleted together.
    pub rows: &'static str,
    /// Deletes at most `batch` expired rows, the oldest first, and returns their number.
    pub delete: for<'a> fn(&'a mut PgConnection, Expiry) -> BoxFuture<'a, Result<u64>>,
    /// The number of rows in one transaction.
    pub batch: i64,
}

/// The times that ages are measured against.
#[derive(Debug, Clone, Copy)]
pub struct Expiry {
    machine: MachineTime,
    domain: DomainTime,
    batch: i64,
    config: RetentionConfig,
}

impl Expiry {
    /// Returns the machine time before which rows have expired that are kept for `period`.
    pub fn machine(&self, period: TimeDelta) -> MachineTime {
        self.machine - period
    }

    /// Returns the machine time before which rows have expired that are kept for a configured number of days.
    pub fn machine_days(&self, period: fn(&RetentionConfig) -> u16) -> MachineTime {
        self.machine - days(period(&self.config))
    }

    /// Returns the domain time before which rows have expired that are kept for `period`.
    pub fn domain(&self, period: TimeDelta) -> DomainTime {
        self.domain - period
    }

    /// Returns the domain time before which rows have expired that are kept for a configured number of days.
    pub fn domain_days(&self, period: fn(&RetentionConfig) -> u16) -> DomainTime {
        self.domain - days(period(&self.config))
    }

    /// Returns the current domain time.
    pub fn domain_now(&self) -> DomainTime {
        self.domain
    }

    /// Returns the number of rows to delete at most.
    pub fn batch(&self) -> i64 {
        self.batch
    }
}

/// The rules of the platform's tables. Deliveries are deleted with their event.
pub const RULES: [RetentionRule; 3] = [
    RetentionRule {
        rows: "idempotency_keys",
        delete: |conn, expiry| Box::pin(delete_keys(conn, expiry.machine(KEYS_KEPT), expiry.batch)),
        batch: BATCH,
    },
    RetentionRule {
        rows: "dead_outbox_deliveries",
        delete: |conn, expiry| {
            Box::pin(delete_dead(conn, expiry.machine_days(|kept| kept.keep_dead_deliveries_days), expiry.batch))
        },
        batch: BATCH,
    },
    RetentionRule {
        rows: "outbox_events",
        delete: |conn, expiry| Box::pin(delete_events(conn, expiry.machine(EVENTS_KEPT), expiry.batch)),
        batch: BATCH,
    },
];

/// Deletes expired rows until none are left, the process shuts down, or the pass has lasted for a minute. The rules take turns, so
/// that a table with many expired rows does not delay the others. A rule that fails does not stop the others either.
///
/// # Errors
/// None: failed rules are counted.
pub async fn run_once(platform: &Platform, rules: &[RetentionRule]) -> Result<RunOutcome> {
    let watch = Stopwatch::start();
    let mut outcome = RunOutcome::default();
    let mut open: Vec<_> = rules.to_vec();
    while !open.is_empty() && watch.elapsed() < PASS_MAX && !platform.shutdown.is_cancelled() {
        let mut with_more = Vec::new();
        for rule in open {
            let batch = Stopwatch::start();
            let end = delete_batch(platform, rule).await;
            let behind = platform.metrics.retention.behind.with_label_values(&[rule.rows]);
            behind.set(i64::from(end.as_ref().map_or(true, |deleted| is_full(rule, *deleted))));
            match end {
                Ok(deleted) => {
                    outcome.done += usize::try_from(deleted).unwrap_or(usize::MAX);
                    platform.metrics.retention.deleted.with_label_values(&[rule.rows]).inc_by(deleted);
                    with_more.extend(is_full(rule, deleted).then_some(rule));
                }
                Err(error) => {
                    tracing::warn!(%error, rows = rule.rows, "expired rows could not be deleted; the next run tries again");
                    outcome.failed += 1;
                }
            }
            tokio::time::sleep(batch.elapsed().min(PAUSE_MAX)).await;
        }
        open = with_more;
    }
    Ok(outcome)
}

/// Returns whether there may be more rows.
fn is_full(rule: RetentionRule, deleted: u64) -> bool {
    i64::try_from(deleted).is_ok_and(|deleted| deleted >= rule.batch)
}

async fn delete_batch(platform: &Platform, rule: RetentionRule) -> Result<u64> {
    let (machine, domain) = (platform.clock.machine(), platform.clock.domain());
    let expiry = Expiry { machine, domain, batch: rule.batch, config: platform.retention };
    let db = platform.db.waiting_briefly();
    db.transaction(expiry, move |tx, expiry| (rule.delete)(tx, *expiry)).await
}

/// Deletes at most `limit` keys that were stored before `before`.
async fn delete_keys(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from idempotency_keys where id = any (array(
             select id from idempotency_keys where created_at < $1 order by created_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes at most `limit` deliveries that died before `before`. Their events then expire like others.
async fn delete_dead(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    let done = sqlx::query!(
        "delete from outbox_deliveries where ctid = any (array(
             select ctid from outbox_deliveries where dead_at < $1 order by dead_at limit $2
             for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes at most `limit` events from before `before` whose deliveries were all made, with the deliveries.
async fn delete_events(conn: &mut PgConnection, before: MachineTime, limit: i64) -> Result<u64> {
    // `offset 0` keeps the planner from reading all deliveries at once: they are probed for each expired event.
    let done = sqlx::query!(
        "delete from outbox_events where id = any (array(
             select e.id from outbox_events e
             where e.created_at < $1 and not exists (
                 select from outbox_deliveries d where d.event_id = e.id and d.delivered_at is null offset 0)
             order by e.created_at limit $2 for update skip locked))",
        before as _,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
