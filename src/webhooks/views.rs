//! What goes out: an event's body, and endpoints and deliveries as operators see them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{Attempt, Delivery, Endpoint};
use super::signature::Secret;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};

/// The body of an event, as it is signed and sent.
///
/// # Errors
/// [`Error::Bug`] if the news are not what a room publishes: an object with the moment (`at`) and the state.
pub(super) fn event(id: WebhookEventId, kind: &str, news: &Value) -> Result<String> {
    #[derive(Serialize)]
    struct Event<'a> {
        id: WebhookEventId,
        r#type: &'a str,
        created_at: Value,
        data: Value,
    }
    let mut data = news.clone();
    let created_at = data.as_object_mut().and_then(|data| data.remove("at"));
    let created_at = created_at.ok_or_else(|| Error::Bug(format!("news of {kind} do not say when")))?;
    serde_json::to_string(&Event { id, r#type: kind, created_at, data }).map_err(|error| Error::Bug(error.to_string()))
}

/// An endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointBody {
    id: WebhookEndpointId,
    /// Where events are sent to.
    url: String,
    /// What it is told: `trip.completed`, `trip.*` or `*`.
    event_types: Vec<String>,
    /// For people.
    description: String,
    /// Whether it gets events.
    enabled: bool,
    /// Since when not (machine time).
    disabled_at: Option<MachineTime>,
    /// Why not: `operator`, `failing` or `gone`.
    #[schema(value_type = Option<String>)]
    disabled_reason: Option<&'static str>,
    /// Until then the secret before this one signs as well (machine time).
    old_secret_until: Option<MachineTime>,
    /// Machine time.
    created_at: MachineTime,
    /// What deliveries are signed with, `whsec_…`. Here, and never again: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
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
            disabled_reason: endpoint.disabled.map(|(_, reason)| reason.as_str()),
            old_secret_until: endpoint.old_secret_until,
            created_at: endpoint.created_at,
            secret: None,
        }
    }

    pub fn with(self, secret: &Secret) -> Self {
        Self { secret: Some(secret.reveal()), ..self }
    }
}

/// A delivery of one event to one endpoint, with its log.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeliveryBody {
    id: WebhookDeliveryId,
    event_id: WebhookEventId,
    #[schema(example = "trip.completed")]
    event_type: String,
    trip_id: TripId,
    endpoint_id: WebhookEndpointId,
    /// `pending`, `delivered` or `dead`.
    #[schema(value_type = String)]
    state: &'static str,
    /// When it is tried next (machine time); `null` if it is not.
    next_attempt_at: Option<MachineTime>,
    /// Machine time.
    created_at: MachineTime,
    /// The first one first.
    attempts: Vec<AttemptBody>,
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptBody {
    /// From 1.
    attempt: i32,
    /// Machine time.
    started_at: MachineTime,
    duration_ms: i32,
    /// The HTTP status; `null` if there was no answer.
    status: Option<i16>,
    /// Why it does not count: `refused`, `redirects_are_not_followed`, `timed_out`, `no_connection`, `broken_off`,
    /// `not_a_public_address`.
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
            state: delivery.state.as_str(),
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
    fn an_event_says_when_what_and_of_whom() {
        let news = json!({"at": "2026-11-22T12:00:00Z", "trip_id": "trip_1", "seq": 3, "state": "searching"});
        let body = event(WebhookEventId::from(Uuid::nil()), "trip.searching", &news).expect("an event");
        let expected = r#"{"id":"evt_00000000000000000000000000","type":"trip.searching","created_at":"2026-11-22T12:00:00Z","data":{"seq":3,"state":"searching","trip_id":"trip_1"}}"#;
        assert_eq!(body, expected);
        assert!(event(WebhookEventId::from(Uuid::nil()), "trip.searching", &json!([])).is_err());
    }
}
