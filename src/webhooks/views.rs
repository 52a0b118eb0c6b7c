//! JSON bodies: of events, and of endpoints and deliveries for operators.

use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::model::{Attempt, AttemptFailure, Delivery, DeliveryState, DisabledReason, Endpoint, event_types};
use super::signature::Secret;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};
use crate::platform::names::string_schema;

/// Returns the body of an event, as it is signed and sent.
///
/// # Errors
/// [`Error::Bug`] if the payload is not an object with a time (`at`).
pub(super) fn event(id: WebhookEventId, event_type: &str, payload: &Value) -> Result<String> {
    #[derive(Serialize)]
    struct Event<'a> {
        id: WebhookEventId,
        r#type: &'a str,
        created_at: Value,
        data: Value,
    }
    let mut data = payload.clone();
    let created_at = data.as_object_mut().and_then(|data| data.remove("at"));
    let created_at = created_at.ok_or_else(|| Error::Bug(format!("an event of type {event_type} has no time")))?;
    serde_json::to_string(&Event { id, r#type: event_type, created_at, data })
        .map_err(|error| Error::Bug(error.to_string()))
}

/// The schema of an event type.
struct EventType;

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        string_schema(
            "The type of an event: a family and the state that a trip, payment or refund has reached.",
            event_types(),
        )
    }
}

impl ToSchema for EventType {}

/// The schema of a subscription filter.
pub(super) struct EventFilter;

impl PartialSchema for EventFilter {
    fn schema() -> RefOr<Schema> {
        let wildcards = ["*", "trip.*", "payment.*", "refund.*"];
        string_schema(
            "What an endpoint subscribes to: an event type, all types of a family, or all types.",
            wildcards.into_iter().chain(event_types()),
        )
    }
}

impl ToSchema for EventFilter {}

/// A subscriber's endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointBody {
    /// The endpoint.
    id: WebhookEndpointId,
    /// The URL that receives the events.
    #[schema(max_length = 2048, format = "uri", example = "https://example.com/webhooks")]
    url: String,
    /// The types of events that it receives: `trip.completed`, `trip.*` or `*`.
    #[schema(value_type = Vec<EventFilter>, min_items = 1, max_items = 32)]
    event_types: Vec<String>,
    /// The operator's description.
    #[schema(max_length = 200)]
    description: String,
    /// Whether it receives events.
    enabled: bool,
    /// When it was disabled (machine time); `null` while it is enabled.
    disabled_at: Option<MachineTime>,
    /// Why it was disabled; `null` while it is enabled.
    disabled_reason: Option<DisabledReason>,
    /// Until when the previous secret signs too (machine time); `null` without a rotation.
    old_secret_until: Option<MachineTime>,
    /// When it was registered (machine time).
    created_at: MachineTime,
    /// The secret that signs deliveries. Only in the response that created it; absent from all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        nullable = false,
        pattern = "^whsec_[A-Za-z0-9+/]{43}=$",
        example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwbXo0cXZ1a2Q="
    )]
    secret: Option<String>,
}

impl EndpointBody {
    pub fn new(endpoint: &Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url.clone(),
            event_types: endpoint.event_types.clone(),
            description: endpoint.description.clone(),
            enabled: endpoint.disabled.is_none(),
            disabled_at: endpoint.disabled.map(|(since, _)| since),
            disabled_reason: endpoint.disabled.map(|(_, reason)| reason),
            old_secret_until: endpoint.old_secret_until,
            created_at: endpoint.created_at,
            secret: None,
        }
    }

    pub fn with_secret(self, secret: &Secret) -> Self {
        Self { secret: Some(secret.reveal()), ..self }
    }
}

/// A delivery of one event to one endpoint, with its log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryBody {
    /// The delivery.
    id: WebhookDeliveryId,
    /// The event; other endpoints may receive it too.
    event_id: WebhookEventId,
    /// The event's type.
    #[schema(value_type = EventType)]
    event_type: String,
    /// The trip that it is about.
    trip_id: TripId,
    /// The receiving endpoint.
    endpoint_id: WebhookEndpointId,
    /// The delivery's state.
    state: DeliveryState,
    /// The time of the next attempt (machine time); `null` if none is due.
    next_attempt_at: Option<MachineTime>,
    /// When it was created (machine time).
    created_at: MachineTime,
    /// The attempts, in order.
    #[schema(max_items = 1000)]
    attempts: Vec<AttemptBody>,
}

/// One attempt to deliver.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptBody {
    /// The attempt's number, from 1.
    #[schema(minimum = 1)]
    attempt: i32,
    /// When it started (machine time).
    started_at: MachineTime,
    /// How long it took, milliseconds.
    #[schema(minimum = 0)]
    duration_ms: i32,
    /// The HTTP status; `null` if there was no response.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<i16>,
    /// Why it failed; `null` for a success.
    #[schema(value_type = Option<AttemptFailure>)]
    failure: Option<String>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event_id: delivery.event_id,
            event_type: delivery.event_type,
            trip_id: delivery.trip_id,
            endpoint_id: delivery.endpoint_id,
            state: delivery.state,
            next_attempt_at: delivery.due_at,
            created_at: delivery.created_at,
            attempts: delivery.attempts.into_iter().map(AttemptBody::from).collect(),
        }
    }
}

impl From<Attempt> for AttemptBody {
    fn from(Attempt { number, started_at, duration_ms, status, failure }: Attempt) -> Self {
        Self { attempt: number, started_at, duration_ms, status, failure }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn event_body_has_type_time_and_data() {
        let payload = json!({"at": "2026-11-22T12:00:00Z", "trip_id": "trip_1", "seq": 3, "state": "searching"});
        let body = event(WebhookEventId::from(Uuid::nil()), "trip.searching", &payload).expect("an event");
        let expected = r#"{"id":"evt_00000000000000000000000000","type":"trip.searching","created_at":"2026-11-22T12:00:00Z","data":{"seq":3,"state":"searching","trip_id":"trip_1"}}"#;
        assert_eq!(body, expected);
        assert!(event(WebhookEventId::from(Uuid::nil()), "trip.searching", &json!([])).is_err());
    }
}
