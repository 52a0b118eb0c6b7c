//! What is measured when somebody asks, not when it happens.

use super::model::kinds::Kind;
use super::store;
use crate::platform::Platform;
use crate::platform::error::Result;
use crate::platform::outbox;

/// Brings the gauges of the process up to date, for `GET /metrics`. What only a room knows, such as the drivers in the index,
/// that room sets.
///
/// # Errors
/// If the database does not answer; the gauges of the process itself are set by then.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let metrics = &platform.metrics;
    let (size, idle) = (platform.db.pool().size(), platform.db.pool().num_idle());
    metrics.pool_connections.with_label_values(&["open"]).set(i64::from(size));
    metrics.pool_connections.with_label_values(&["idle"]).set(whole(idle));
    metrics.tasks.set(whole(platform.db.tasks_running()));
    metrics.followed.set(whole(platform.db.hub().followed()));
    metrics.matcher_epoch.set(platform.leadership.epoch().unwrap_or(0));
    metrics.clock_seconds.with_label_values(&["machine"]).set(platform.clock.machine().utc().timestamp());
    metrics.clock_seconds.with_label_values(&["domain"]).set(platform.clock.domain().utc().timestamp());
    let (deliveries, findings, last) = platform
        .db
        .read((), |conn, ()| {
            Box::pin(async move {
                let deliveries = outbox::open_deliveries(conn).await?;
                Ok((deliveries, store::open_by_kind(conn).await?, store::last_checked(conn).await?))
            })
        })
        .await?;
    metrics.outbox_open.set(deliveries);
    for kind in Kind::ALL {
        let open = findings.iter().find(|(name, _)| name == kind.as_str()).map_or(0, |(_, open)| *open);
        metrics.reconciliation_open.with_label_values(&[kind.as_str()]).set(open);
    }
    let began = last.and_then(|run| run.started_at);
    metrics.reconciliation_age.set(began.map_or(-1, |began| platform.clock.machine().seconds_since(began)));
    Ok(())
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
