//! Makes events of news, and delivers them: leases what is due, commits, posts, and commits what came of it. Its only input is
//! the database, so any process may run it, and several may; one that died is missed for the length of a lease.

use chrono::TimeDelta;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::commands::{self, News, Report};
use super::model::{Heard, Task, Verdict, judge};
use super::{signature, store};
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::db::Tx;
use crate::platform::egress::public::{Failure, Post, PublicEgress, Reach, TOTAL_TIMEOUT, Target};
use crate::platform::error::Result;
use crate::platform::outbox::{self, Delivery};
use crate::platform::telemetry;
use crate::platform::wake::Wake;

/// The name under which this room subscribes to the outbox.
pub const SUBSCRIBER: &str = "webhooks";

/// What the worker needs. Clones share what is under way.
#[derive(Debug, Clone)]
pub struct WebhooksContext {
    platform: Platform,
    egress: PublicEgress,
    reach: Reach,
    under_way: TaskTracker,
}

impl WebhooksContext {
    /// A worker that calls addresses within `reach`.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(platform: Platform, reach: Reach) -> Result<Self> {
        Ok(Self { platform, egress: PublicEgress::new(reach)?, reach, under_way: TaskTracker::new() })
    }

    /// Returns when everything is finished that was set going so far.
    pub async fn finished(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}

/// Makes events of the news in the outbox and sets the deliveries going that are due; returns how much of both there was. Zero
/// means that nothing can be done now.
///
/// It does not wait for receivers: [`WebhooksContext::finished`] does.
///
/// # Errors
/// If the database does not answer.
pub async fn run_once(context: &WebhooksContext) -> Result<usize> {
    let platform = &context.platform;
    let news = outbox::run_once(platform, SUBSCRIBER, platform.clone(), |tx, platform, news| {
        Box::pin(react(tx, platform, news))
    })
    .await?;
    let now = platform.clock.machine();
    let tasks = platform.db.transaction((), move |tx, ()| Box::pin(commands::lease(tx, now))).await?;
    let count = tasks.len();
    for task in tasks {
        set_going(context.clone(), task);
    }
    Ok(news + count)
}

async fn react(tx: &mut Tx, platform: &Platform, delivery: &Delivery) -> Result<()> {
    let now = platform.clock.machine();
    let news = News {
        id: platform.dice.id(now),
        topic: &delivery.topic,
        trip_id: delivery.trip_id,
        payload: &delivery.payload,
        now,
    };
    commands::fan_out(tx, news, || platform.dice.id(now)).await
}

/// Makes a delivery in a task of its own, under a trace id of its own. One that breaks off is taken up again when its lease has run out.
fn set_going(context: WebhooksContext, task: Task) {
    let trace_id = context.platform.dice.uuid(context.platform.clock.machine()).simple().to_string();
    let trace = telemetry::Context { trace_id: trace_id.into(), path: "webhooks".into() };
    let span = telemetry::span(&trace);
    let tracker = context.under_way.clone();
    let logged = async move {
        if let Err(error) = deliver(&context, task).await {
            tracing::warn!(%error, "a webhook delivery was broken off");
        }
        // Its endpoint takes another one now.
        context.platform.db.hub().wake_here(&[Wake::Webhooks]);
    };
    tracker.spawn(telemetry::within(Some(trace), logged).instrument(span));
}

async fn deliver(context: &WebhooksContext, task: Task) -> Result<()> {
    let platform = &context.platform;
    let started_at = platform.clock.machine();
    // A process that was stopped for long, and wakes up with a call on its lips, holds its tongue.
    if started_at + TimeDelta::from_std(TOTAL_TIMEOUT).unwrap_or(TimeDelta::MAX) > task.leased_until {
        return Ok(());
    }
    let watch = Stopwatch::start();
    let heard = post(context, &task).await;
    let duration_ms = i32::try_from(watch.elapsed().as_millis()).unwrap_or(i32::MAX);
    let now = platform.clock.machine();
    let retry_at = match judge(task.step, heard) {
        Verdict::Again(pause) => {
            let pause = platform.dice.jitter(pause.to_std().unwrap_or_default());
            now + TimeDelta::from_std(pause).unwrap_or(TimeDelta::MAX)
        }
        Verdict::Delivered | Verdict::Dead | Verdict::Gone => now,
    };
    let report = Report { task, started_at, duration_ms, heard, now, retry_at };
    let verdict = platform.db.transaction(report, |tx, report| Box::pin(commands::conclude(tx, report))).await?;
    let end = match verdict {
        Some(Verdict::Delivered) => "delivered",
        Some(Verdict::Again(_)) => "failed",
        Some(Verdict::Dead | Verdict::Gone) => "dead",
        None => "overtaken",
    };
    platform.metrics.webhooks.attempts.with_label_values(&[end]).inc();
    Ok(())
}

async fn post(context: &WebhooksContext, task: &Task) -> Heard {
    // Checked at each attempt: what is in reach may have changed since the endpoint was registered.
    let target = Target::parse(&task.url, context.reach).map_err(|_| Failure::NotPublic.as_str())?;
    let id = task.event_id.to_string();
    let headers = signature::headers(task.secrets.iter(), &id, context.platform.clock.machine(), &task.body);
    let post = Post { target: &target, headers, body: task.body.clone() };
    context.egress.post(post).await.map_err(Failure::as_str)
}

/// Gives up what nobody will get. Returns how much it was.
///
/// # Errors
/// If the database does not answer.
pub async fn sweep_once(platform: &Platform) -> Result<usize> {
    let now = platform.clock.machine();
    let count = platform.db.transaction((), move |tx, ()| Box::pin(commands::sweep(tx, now))).await?;
    platform.metrics.webhooks.attempts.with_label_values(&["swept"]).inc_by(count);
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Brings the gauges of the room up to date, for `GET /metrics`.
///
/// # Errors
/// If the database does not answer.
pub async fn gauges(platform: &Platform) -> Result<()> {
    let (pending, dead) = platform.db.read((), |conn, ()| Box::pin(store::counts(conn))).await?;
    platform.metrics.webhooks.deliveries.with_label_values(&["pending"]).set(pending);
    platform.metrics.webhooks.deliveries.with_label_values(&["dead"]).set(dead);
    Ok(())
}
