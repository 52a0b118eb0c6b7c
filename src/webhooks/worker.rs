//! Turns outbox events into webhook events and delivers them: leases due deliveries, commits, posts, and records the results.
//!
//! Its only input is the database, so several processes can run it. If one dies, its leases expire and another takes over.

use chrono::TimeDelta;
use tokio_util::task::TaskTracker;

use super::commands::{self, AttemptReport, SourceEvent};
use super::model::{AttemptFailure, AttemptResult, DeliveryDecision, DeliveryTask, SUBSCRIBER, decide};
use super::{signature, store};
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::db::Tx;
use crate::platform::egress::public::{AddressPolicy, Post, PostFailure, PublicEgress, TOTAL_TIMEOUT, Target};
use crate::platform::error::Result;
use crate::platform::outbox::{self, Delivery};
use crate::platform::telemetry;
use crate::platform::wake::Wake;
use crate::platform::work::RunOutcome;

/// Batches of undeliverable deliveries that one sweep discards at most; the next one follows within seconds.
const SWEEP_BATCHES_MAX: usize = 100;

/// What the worker needs. Clones share the deliveries in flight.
#[derive(Debug, Clone)]
pub struct WebhooksContext {
    platform: Platform,
    egress: PublicEgress,
    policy: AddressPolicy,
    in_flight: TaskTracker,
}

impl WebhooksContext {
    /// Creates the context of a worker that calls the addresses that `policy` allows.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(platform: Platform, policy: AddressPolicy) -> Result<Self> {
        Ok(Self { platform, egress: PublicEgress::new(policy)?, policy, in_flight: TaskTracker::new() })
    }

    /// Waits until the deliveries in flight have ended.
    pub async fn finished(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }
}

/// Handles outbox events and starts the due deliveries.
///
/// It does not wait for the receivers: [`WebhooksContext::finished`] does.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(context: &WebhooksContext) -> Result<RunOutcome> {
    let platform = &context.platform;
    let mut outcome = outbox::run_once(
        platform,
        SUBSCRIBER,
        || platform.clone(),
        |tx, platform, delivery| Box::pin(react(tx, platform, delivery)),
    )
    .await?;
    let now = platform.clock.machine();
    let tasks = platform.db.transaction((), move |tx, ()| Box::pin(commands::lease(tx, now))).await?;
    outcome.done += tasks.len();
    for task in tasks {
        spawn_delivery(context.clone(), task);
    }
    Ok(outcome)
}

async fn react(tx: &mut Tx, platform: &Platform, delivery: &Delivery) -> Result<()> {
    let now = platform.clock.machine();
    let source = SourceEvent {
        id: platform.random.id(now),
        topic: &delivery.topic,
        trip_id: delivery.trip_id,
        payload: &delivery.payload,
        now,
    };
    commands::fan_out(tx, source, || platform.random.id(now)).await
}

/// Makes a delivery in a task of its own, under the trace of what caused its event. If the task fails, the delivery is due again when its lease expires.
fn spawn_delivery(context: WebhooksContext, task: DeliveryTask) {
    let new_trace = || context.platform.random.uuid(context.platform.clock.machine()).simple().to_string();
    let trace_id = task.trace_id.clone().unwrap_or_else(new_trace);
    let trace = telemetry::Context { trip_id: Some(task.trip_id), ..telemetry::Context::new(trace_id, "webhooks") };
    let tracker = context.in_flight.clone();
    let logged = async move {
        if let Err(error) = deliver(&context, task).await {
            tracing::warn!(%error, "webhook delivery failed");
        }
        // The endpoint has room for another delivery.
        context.platform.db.wake_hub().wake_here(&[Wake::Webhooks]);
    };
    tracker.spawn(telemetry::traced(trace, logged));
}

async fn deliver(context: &WebhooksContext, task: DeliveryTask) -> Result<()> {
    let platform = &context.platform;
    let started_at = platform.clock.machine();
    // After a long pause of the process, the lease could expire during the call: then another process would deliver too.
    if started_at + TimeDelta::from_std(TOTAL_TIMEOUT).unwrap_or(TimeDelta::MAX) > task.leased_until {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let result = post(context, &task).await;
    let duration_ms = i32::try_from(watch.elapsed().as_millis()).unwrap_or(i32::MAX);
    let now = platform.clock.machine();
    let retry_at = match decide(task.step, result) {
        DeliveryDecision::Retry(pause) => {
            let pause = platform.random.jitter(pause.to_std().unwrap_or_default());
            now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
        }
        DeliveryDecision::Delivered | DeliveryDecision::Dead | DeliveryDecision::EndpointGone => now,
    };
    let report = AttemptReport { task, started_at, duration_ms, result, now, retry_at };
    let decision = platform.db.transaction(report, |tx, report| Box::pin(commands::record_attempt(tx, report))).await?;
    let end = match decision {
        Some(DeliveryDecision::Delivered) => "delivered",
        Some(DeliveryDecision::Retry(_)) => "failed",
        Some(DeliveryDecision::Dead | DeliveryDecision::EndpointGone) => "dead",
        None => "lease_lost",
    };
    platform.metrics.webhooks.attempts.with_label_values(&[end]).inc();
    Ok(())
}

async fn post(context: &WebhooksContext, task: &DeliveryTask) -> AttemptResult {
    // Checked at each attempt, because the policy may have changed since the endpoint was registered.
    let target = Target::parse(&task.url, context.policy).map_err(|_| AttemptFailure::NotPublic)?;
    let id = task.event_id.to_string();
    let headers = signature::headers(task.secrets.iter(), &id, context.platform.clock.machine(), &task.body);
    let post = Post { target: &target, headers, body: task.body.clone() };
    context.egress.post(post).await.map_err(|failure| match failure {
        PostFailure::NotPublic => AttemptFailure::NotPublic,
        PostFailure::NoConnection => AttemptFailure::NoConnection,
        PostFailure::TimedOut => AttemptFailure::TimedOut,
        PostFailure::BrokenOff => AttemptFailure::BrokenOff,
    })
}

/// Discards undeliverable deliveries, batch by batch while there are more. Returns their number.
///
/// # Errors
/// If the database does not answer.
pub async fn sweep_once(platform: &Platform) -> Result<usize> {
    let mut total = 0;
    for _ in 0..SWEEP_BATCHES_MAX {
        let now = platform.clock.machine();
        let discard = platform.db.transaction((), move |tx, ()| Box::pin(commands::discard_undeliverable(tx, now)));
        let count = discard.await?;
        platform.metrics.webhooks.attempts.with_label_values(&["swept"]).inc_by(count);
        total += usize::try_from(count).unwrap_or(usize::MAX);
        let is_full = i64::try_from(count).is_ok_and(|count| count >= store::DISCARD_BATCH);
        if !is_full || platform.shutdown.is_cancelled() {
            break;
        }
    }
    Ok(total)
}

/// Updates the gauges of the module's tables.
///
/// # Errors
/// If the database does not answer.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (pending, dead) = platform.db.read((), |conn, ()| Box::pin(store::counts(conn))).await?;
    platform.metrics.webhooks.deliveries.with_label_values(&["pending"]).set(pending);
    platform.metrics.webhooks.deliveries.with_label_values(&["dead"]).set(dead);
    Ok(())
}
