//! Changes to endpoints and deliveries: by operators, by outbox events, and by the worker.

use chrono::TimeDelta;
use serde_json::Value;

use super::model::{
    Attempt, AttemptResult, Delivery, DeliveryDecision, DeliveryState, DeliveryTask, DisabledReason, ENDPOINTS_MAX,
    Endpoint, ROTATION, UNDELIVERED_MAX, decide, failure, matching_filters,
};
use super::signature::Secret;
use super::store::{self, DeliveryUpdate, NewEndpointRow, NewEvent};
use super::views;
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result, check_version};
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};

/// The duration of a lease: six times the time-out of a call.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// An endpoint to register.
#[derive(Debug)]
pub struct NewEndpoint {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The secret that signs its deliveries.
    pub secret: Secret,
}

/// Registers an endpoint. It receives the events from now on.
///
/// # Errors
/// 409 `endpoint_limit` if there are [`ENDPOINTS_MAX`] of them.
pub async fn create(tx: &mut Tx, new: &NewEndpoint) -> Result<()> {
    store::lock_subscriptions(tx).await?;
    if store::count(tx).await? >= ENDPOINTS_MAX {
        let detail = format!("There are {ENDPOINTS_MAX} endpoints, the most allowed. Delete one first.");
        return Err(Refusal::new(Code::EndpointLimit, detail).into());
    }
    let key_id = tx.key_id();
    store::insert_endpoint(tx, NewEndpointRow { endpoint: &new.endpoint, secret: &new.secret, key_id }).await?;
    store::subscribe(tx).await
}

/// The endpoint that a request names.
#[derive(Debug, Clone)]
pub struct EndpointRef {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The versions that it may have.
    pub if_version: IfMatch,
}

async fn lock_endpoint(tx: &mut Tx, named: &EndpointRef) -> Result<Endpoint> {
    let endpoint = store::lock(tx, named.id).await?.ok_or_else(|| Refusal::not_found("endpoint"))?;
    check_version("endpoint", endpoint.version, &named.if_version)?;
    Ok(endpoint)
}

/// Enables an endpoint (`None`) or disables it; no change if it is so already. The sweep discards the pending deliveries of a
/// disabled endpoint.
///
/// # Errors
/// 404; 412.
pub async fn set_disabled(
    tx: &mut Tx,
    named: &EndpointRef,
    disabled: Option<(MachineTime, DisabledReason)>,
) -> Result<Endpoint> {
    let endpoint = lock_endpoint(tx, named).await?;
    if endpoint.disabled.is_some() == disabled.is_some() {
        return Ok(endpoint);
    }
    store::lock_subscriptions(tx).await?;
    store::set_disabled(tx, &endpoint, disabled).await?;
    store::subscribe(tx).await?;
    Ok(Endpoint { disabled, version: endpoint.version + 1, ..endpoint })
}

/// Replaces the secret of an endpoint. Deliveries are signed with the new and the previous secret for [`ROTATION`]. A secret from
/// before an earlier rotation stops signing.
///
/// # Errors
/// 404; 412.
pub async fn rotate(tx: &mut Tx, named: &EndpointRef, secret: &Secret, now: MachineTime) -> Result<Endpoint> {
    let endpoint = lock_endpoint(tx, named).await?;
    let until = now + ROTATION;
    store::rotate(tx, &endpoint, secret, until).await?;
    Ok(Endpoint { old_secret_until: Some(until), version: endpoint.version + 1, ..endpoint })
}

/// Deletes an endpoint. The sweep discards its pending deliveries.
///
/// # Errors
/// 404; 412.
pub async fn delete(tx: &mut Tx, named: &EndpointRef, now: MachineTime) -> Result<()> {
    let endpoint = lock_endpoint(tx, named).await?;
    store::lock_subscriptions(tx).await?;
    store::delete(tx, &endpoint, now).await?;
    store::subscribe(tx).await
}

/// Schedules a delivery again, whatever its state: the same event and body, with a new retry schedule. No change while an attempt
/// is in progress.
///
/// # Errors
/// 404; 409 `invalid_transition` if its endpoint is disabled.
pub async fn redeliver(tx: &mut Tx, id: WebhookDeliveryId, now: MachineTime) -> Result<Delivery> {
    let not_found = || Refusal::not_found("delivery");
    let before = store::delivery(tx, id).await?.ok_or_else(not_found)?;
    let endpoint = store::endpoint(tx, before.endpoint_id).await?.ok_or_else(not_found)?;
    if endpoint.disabled.is_some() {
        let detail = format!("Cannot deliver: {} is disabled. Enable it first.", endpoint.id);
        let refusal = Refusal::new(Code::InvalidTransition, detail).with("state", "disabled");
        return Err(refusal.with("allowed", vec!["enable"]).into());
    }
    store::restart_delivery(tx, id, now).await?;
    store::delivery(tx, id).await?.ok_or_else(|| not_found().into())
}

/// An outbox event from which a webhook event is made.
#[derive(Debug)]
pub struct SourceEvent<'a> {
    /// The id of the webhook event.
    pub id: WebhookEventId,
    /// `trip.changed`, `payment.changed` or `refund.changed`.
    pub topic: &'a str,
    /// The trip that it is about.
    pub trip_id: TripId,
    /// The time (`at`), the ids, the sequence number (`seq`) and the state.
    pub payload: &'a Value,
    /// The current machine time.
    pub now: MachineTime,
}

/// Inserts a webhook event, and a delivery to each endpoint that subscribes to its type; nothing without such an endpoint.
///
/// # Errors
/// [`Error::Bug`] if the payload has no state or time.
pub async fn fan_out(
    tx: &mut Tx,
    source: SourceEvent<'_>,
    new_delivery_id: impl Fn() -> WebhookDeliveryId,
) -> Result<()> {
    let family = source.topic.split('.').next().unwrap_or_default();
    let state = source.payload.get("state").and_then(Value::as_str);
    let state = state.ok_or_else(|| Error::Bug(format!("an event of {} has no state", source.topic)))?;
    let event_type = format!("{family}.{state}");
    let endpoints = store::subscribed_endpoints(tx, &matching_filters(&event_type)).await?;
    if endpoints.is_empty() {
        return Ok(());
    }
    let body = views::event(source.id, &event_type, source.payload)?;
    let deliveries: Vec<_> = endpoints.into_iter().map(|endpoint| (new_delivery_id(), endpoint)).collect();
    let event =
        NewEvent { id: source.id, event_type: &event_type, trip_id: source.trip_id, body: &body, now: source.now };
    store::insert_event(tx, &event, &deliveries).await
}

/// Leases the due deliveries, within the concurrency limit of each endpoint.
///
/// # Errors
/// If the database does not answer.
pub async fn lease(tx: &mut Tx, now: MachineTime) -> Result<Vec<DeliveryTask>> {
    let endpoints = store::due_endpoints(tx, now).await?;
    if endpoints.is_empty() {
        return Ok(Vec::new());
    }
    store::lease(tx, endpoints, now, now + LEASE).await
}

/// The result of an attempt, as the lease holder records it.
#[derive(Debug)]
pub struct AttemptReport {
    /// The attempted delivery.
    pub task: DeliveryTask,
    /// When the attempt started.
    pub started_at: MachineTime,
    /// How long it took, milliseconds.
    pub duration_ms: i32,
    /// The response, or why there is none.
    pub result: AttemptResult,
    /// When it ended.
    pub now: MachineTime,
    /// The time of a possible retry, jitter included.
    pub retry_at: MachineTime,
}

/// Records an attempt and returns the decision; `None` without any change if the lease was lost.
///
/// A delivery that dies disables its endpoint if no other delivery succeeded there since the start of its retry schedule: the
/// endpoint then has accepted nothing for at least a day and a half.
///
/// # Errors
/// If the database does not answer.
pub async fn record_attempt(tx: &mut Tx, report: &AttemptReport) -> Result<Option<DeliveryDecision>> {
    let AttemptReport { task, result, now, .. } = report;
    let decision = decide(task.step, *result);
    let dead = DeliveryUpdate { state: DeliveryState::Dead, step: task.step, due_at: None, delivered_at: None };
    let update = match decision {
        DeliveryDecision::Delivered => {
            DeliveryUpdate { state: DeliveryState::Delivered, delivered_at: Some(*now), ..dead }
        }
        DeliveryDecision::Retry(_) => DeliveryUpdate {
            state: DeliveryState::Pending,
            step: task.step + 1,
            due_at: Some(report.retry_at),
            delivered_at: None,
        },
        DeliveryDecision::Dead | DeliveryDecision::EndpointGone => dead,
    };
    if !store::finish(tx, task, update).await? {
        return Ok(None);
    }
    let attempt = Attempt {
        number: task.attempt,
        started_at: report.started_at,
        duration_ms: report.duration_ms,
        status: result.ok().and_then(|status| i16::try_from(status).ok()),
        failure: failure(*result).map(|failure| failure.to_string()),
    };
    store::insert_attempt(tx, task.id, &attempt).await?;
    let reason = match decision {
        DeliveryDecision::EndpointGone => Some(DisabledReason::Gone),
        DeliveryDecision::Dead if !store::has_delivered_since(tx, task).await? => Some(DisabledReason::Failing),
        DeliveryDecision::Dead | DeliveryDecision::Delivered | DeliveryDecision::Retry(_) => None,
    };
    if let Some(reason) = reason {
        disable_endpoint(tx, task.endpoint_id, reason, *now).await?;
    }
    Ok(Some(decision))
}

/// Disables an endpoint unless it was deleted meanwhile.
async fn disable_endpoint(tx: &mut Tx, id: WebhookEndpointId, reason: DisabledReason, now: MachineTime) -> Result<()> {
    match set_disabled(tx, &EndpointRef { id, if_version: IfMatch::Any }, Some((now, reason))).await {
        Ok(_) => tracing::warn!(endpoint = %id, %reason, "webhook endpoint disabled"),
        Err(Error::Refused(_)) => tracing::debug!(endpoint = %id, "webhook endpoint was deleted meanwhile"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Discards pending deliveries that are too old or whose endpoint is disabled or deleted. Returns their number.
///
/// # Errors
/// If the database does not answer.
pub async fn discard_undeliverable(tx: &mut Tx, now: MachineTime) -> Result<u64> {
    store::discard_undeliverable(tx, now - UNDELIVERED_MAX, now).await
}
