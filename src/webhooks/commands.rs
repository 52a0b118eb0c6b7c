//! What may be done to endpoints and deliveries: by operators, by the outbox's news, and by the worker.

use chrono::TimeDelta;
use serde_json::Value;

use super::model::{
    Attempt, Delivery, ENDPOINTS_MAX, Endpoint, Heard, ROTATION, Reason, State, Task, UNDELIVERED_MAX, Verdict,
    asked_for_as, judge, why_not,
};
use super::signature::Secret;
use super::store::{self, Insert, InsertEndpoint, Pace};
use super::views;
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};

/// How long a lease lasts: some calls' length.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// An endpoint to be.
#[derive(Debug)]
pub struct NewEndpoint {
    /// As it will be.
    pub endpoint: Endpoint,
    /// What its deliveries will be signed with.
    pub secret: Secret,
}

/// Registers an endpoint: it hears of what happens from now on.
///
/// # Errors
/// 409 `endpoint_limit` if there are [`ENDPOINTS_MAX`] of them.
pub async fn create(tx: &mut Tx, new: &NewEndpoint) -> Result<()> {
    store::lock_subscriptions(tx).await?;
    if store::count(tx).await? >= ENDPOINTS_MAX {
        let detail = format!("There are {ENDPOINTS_MAX} endpoints. Delete one that nobody needs.");
        return Err(Refusal::new(Code::EndpointLimit, detail).into());
    }
    let key_id = tx.key_id();
    store::insert_endpoint(tx, InsertEndpoint { endpoint: &new.endpoint, secret: &new.secret, key_id }).await?;
    store::subscribe(tx).await
}

/// An endpoint, as a command names it.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The version that it must have, if the caller cares.
    pub if_version: Option<i64>,
}

/// Locks the endpoint that a command is about.
async fn locked(tx: &mut Tx, named: &Named) -> Result<Endpoint> {
    let endpoint = store::lock(tx, named.id).await?.ok_or_else(|| Refusal::not_found("endpoint"))?;
    if named.if_version.is_some_and(|version| version != endpoint.version) {
        let detail = format!("The endpoint's version is {}.", endpoint.version);
        return Err(Refusal::new(Code::VersionMismatch, detail).with("version", endpoint.version).into());
    }
    Ok(endpoint)
}

/// Switches an endpoint on (`None`) or off. One that is so already stays as it is. What is pending for one that is off is given up.
///
/// # Errors
/// 404; 412.
pub async fn switch(tx: &mut Tx, named: &Named, off: Option<(MachineTime, Reason)>) -> Result<Endpoint> {
    let endpoint = locked(tx, named).await?;
    if endpoint.disabled.is_some() == off.is_some() {
        return Ok(endpoint);
    }
    store::lock_subscriptions(tx).await?;
    store::set_disabled(tx, &endpoint, off).await?;
    store::subscribe(tx).await?;
    Ok(Endpoint { disabled: off, version: endpoint.version + 1, ..endpoint })
}

/// Gives an endpoint another secret. For [`ROTATION`] deliveries are signed with both; one that was still good from a change before
/// this one is not any more.
///
/// # Errors
/// 404; 412.
pub async fn rotate(tx: &mut Tx, named: &Named, secret: &Secret, now: MachineTime) -> Result<Endpoint> {
    let endpoint = locked(tx, named).await?;
    let until = now + ROTATION;
    store::rotate(tx, &endpoint, secret, until).await?;
    Ok(Endpoint { old_secret_until: Some(until), version: endpoint.version + 1, ..endpoint })
}

/// Deletes an endpoint. What is pending for it is given up.
///
/// # Errors
/// 404; 412.
pub async fn delete(tx: &mut Tx, named: &Named, now: MachineTime) -> Result<()> {
    let endpoint = locked(tx, named).await?;
    store::lock_subscriptions(tx).await?;
    store::delete(tx, &endpoint, now).await?;
    store::subscribe(tx).await
}

/// Has a delivery made again, whatever became of it: the same event, the same body, the ladder from its beginning. One that is
/// under way at this moment is left alone.
///
/// # Errors
/// 404; 409 `invalid_transition` if its endpoint gets nothing.
pub async fn redeliver(tx: &mut Tx, id: WebhookDeliveryId, now: MachineTime) -> Result<Delivery> {
    let not_found = || Refusal::not_found("delivery");
    let before = store::delivery(tx, id).await?.ok_or_else(not_found)?;
    let endpoint = store::endpoint(tx, before.endpoint_id).await?.ok_or_else(not_found)?;
    if endpoint.disabled.is_some() {
        let detail = format!("{} is disabled: enable it first.", endpoint.id);
        let refusal = Refusal::new(Code::InvalidTransition, detail).with("state", "disabled");
        return Err(refusal.with("allowed", vec!["enable"]).into());
    }
    store::restart(tx, id, now).await?;
    store::delivery(tx, id).await?.ok_or_else(|| not_found().into())
}

/// News from the outbox, on their way to become an event.
#[derive(Debug)]
pub struct News<'a> {
    /// The id that the event would have.
    pub id: WebhookEventId,
    /// `trip.changed`, `payment.changed` or `refund.changed`.
    pub topic: &'a str,
    /// The trip that they are about.
    pub trip_id: TripId,
    /// When (`at`), whose, which number (`seq`) and the state.
    pub payload: &'a Value,
    /// Machine time.
    pub now: MachineTime,
}

/// Makes an event of news, if an endpoint wants it, and a delivery to each that does. `delivery_id` makes ids.
///
/// # Errors
/// [`Error::Bug`] if the news are not what a room publishes.
pub async fn fan_out(tx: &mut Tx, news: News<'_>, delivery_id: impl Fn() -> WebhookDeliveryId) -> Result<()> {
    let family = news.topic.split('.').next().unwrap_or_default();
    let state = news.payload.get("state").and_then(Value::as_str);
    let state = state.ok_or_else(|| Error::Bug(format!("news of {} name no state", news.topic)))?;
    let kind = format!("{family}.{state}");
    let endpoints = store::wanting(tx, &asked_for_as(&kind)).await?;
    if endpoints.is_empty() {
        return Ok(());
    }
    let body = views::event(news.id, &kind, news.payload)?;
    let deliveries: Vec<_> = endpoints.into_iter().map(|endpoint| (delivery_id(), endpoint)).collect();
    let event = Insert { id: news.id, kind: &kind, trip_id: news.trip_id, body: &body, now: news.now };
    store::insert_event(tx, &event, &deliveries).await
}

/// Leases the deliveries that are due, as many as their endpoints take at a time.
///
/// # Errors
/// If the database does not answer.
pub async fn lease(tx: &mut Tx, now: MachineTime) -> Result<Vec<Task>> {
    let endpoints = store::busy(tx, now).await?;
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    store::lease(tx, endpoints, now, now + LEASE).await
}

/// What a lease holder brings back from an attempt.
#[derive(Debug)]
pub struct Report {
    /// What was to be done.
    pub task: Task,
    /// When the attempt began.
    pub started_at: MachineTime,
    /// How long it took, milliseconds.
    pub duration_ms: i32,
    /// What it brought.
    pub heard: Heard,
    /// When it ended.
    pub now: MachineTime,
    /// When to try again, if it comes to that: jitter is in it already.
    pub retry_at: MachineTime,
}

/// Commits what an attempt brought. Returns the verdict; `None` if the lease was lost, and nothing written.
///
/// A delivery that dies takes its endpoint with it, if that has taken no other since this one's ladder began: by then nothing has
/// arrived there for a day and a half at least, and nobody has seen to it.
///
/// # Errors
/// If the database does not answer.
pub async fn conclude(tx: &mut Tx, report: &Report) -> Result<Option<Verdict>> {
    let Report { task, heard, now, .. } = report;
    let verdict = judge(task.step, *heard);
    let rest = Pace { state: State::Dead, step: task.step, due_at: None, delivered_at: None };
    let pace = match verdict {
        Verdict::Delivered => Pace { state: State::Delivered, delivered_at: Some(*now), ..rest },
        Verdict::Again(_) => {
            Pace { state: State::Pending, step: task.step + 1, due_at: Some(report.retry_at), delivered_at: None }
        }
        Verdict::Dead | Verdict::Gone => rest,
    };
    if !store::finish(tx, task, pace).await? {
        return Ok(None);
    }
    let line = Attempt {
        number: task.attempt,
        started_at: report.started_at,
        duration_ms: report.duration_ms,
        status: heard.ok().and_then(|status| i16::try_from(status).ok()),
        failure: why_not(*heard).map(str::to_owned),
    };
    store::insert_attempt(tx, task.id, &line).await?;
    let reason = match verdict {
        Verdict::Gone => Some(Reason::Gone),
        Verdict::Dead if !store::was_reached_since(tx, task).await? => Some(Reason::Failing),
        _ => None,
    };
    if let Some(reason) = reason {
        give_up(tx, task.endpoint_id, reason, *now).await?;
    }
    Ok(Some(verdict))
}

/// Switches an endpoint off, unless somebody has been faster.
async fn give_up(tx: &mut Tx, id: WebhookEndpointId, reason: Reason, now: MachineTime) -> Result<()> {
    match switch(tx, &Named { id, if_version: None }, Some((now, reason))).await {
        Ok(_) => tracing::warn!(endpoint = %id, reason = reason.as_str(), "a webhook endpoint was disabled"),
        Err(Error::Refused(_)) => tracing::debug!(endpoint = %id, "deleted meanwhile"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Gives up what is pending for endpoints that get nothing, and what has been pending for too long. Returns how much it was.
///
/// # Errors
/// If the database does not answer.
pub async fn sweep(tx: &mut Tx, now: MachineTime) -> Result<u64> {
    store::kill_hopeless(tx, now - UNDELIVERED_MAX, now).await
}
