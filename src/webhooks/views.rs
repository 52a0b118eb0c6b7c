//! What goes out: an event's body, and endpoints and deliveries as operators see them.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::model::{Attempt, Delivery, EVENT_TYPES, Endpoint, Reason, State};
use super::signature::Secret;
use crate::platform::clock::MachineTime;
use crate::platform::error::{Error, Result};
use crate::platform::http::names::published;
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

published! {
    /// Why an endpoint gets nothing: an `operator` said so; it is `failing`, a delivery died and no other was made meanwhile; or it
    /// answered 410 and is `gone`.
    DisabledReason = Reason::ALL.iter().map(|reason| reason.as_str());
    /// Where a delivery stands: `pending` is tried again, `delivered` was answered with 2xx, `dead` was given up.
    DeliveryState = State::ALL.iter().map(|state| state.as_str());
    /// What can be told: a family and a state. A trip, payment or refund has reached it.
    EventType = EVENT_TYPES.iter().copied();
    /// What an endpoint may ask for: a type of event, every one of a family, or everything.
    EventFilter = ["*", "trip.*", "payment.*", "refund.*"].into_iter().chain(EVENT_TYPES.iter().copied());
}

/// An address that events are sent to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointBody {
    /// The endpoint.
    id: WebhookEndpointId,
    /// Where events are sent to.
    #[schema(max_length = 2048, format = "uri", example = "https://example.com/webhooks")]
    url: String,
    /// What it is told: `trip.completed`, `trip.*` or `*`.
    #[schema(value_type = Vec<EventFilter>, min_items = 1, max_items = 32)]
    event_types: Vec<String>,
    /// For people.
    #[schema(max_length = 200)]
    description: String,
    /// Whether it gets events.
    enabled: bool,
    /// Since when not (machine time); `null` while it is enabled.
    disabled_at: Option<MachineTime>,
    /// Why not; `null` while it is enabled.
    #[schema(value_type = Option<DisabledReason>)]
    disabled_reason: Option<&'static str>,
    /// Until then the secret before this one signs as well (machine time); `null` if there was none.
    old_secret_until: Option<MachineTime>,
    /// When it was registered (machine time).
    created_at: MachineTime,
    /// What deliveries are signed with. Here, and never again: only in the answer that made it, absent from any other.
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
    /// The delivery.
    id: WebhookDeliveryId,
    /// The event, which other endpoints may get as well.
    event_id: WebhookEventId,
    /// The event's type.
    #[schema(value_type = EventType)]
    event_type: String,
    /// The trip that it is about.
    trip_id: TripId,
    /// Where it goes.
    endpoint_id: WebhookEndpointId,
    /// Where it stands.
    #[schema(value_type = DeliveryState)]
    state: &'static str,
    /// When it is tried next (machine time); `null` if it is not.
    next_attempt_at: Option<MachineTime>,
    /// When it was made (machine time).
    created_at: MachineTime,
    /// The attempts, the first one first.
    #[schema(max_items = 1000)]
    attempts: Vec<AttemptBody>,
}

published! {
    /// Why an attempt does not count: the endpoint answered with something else than 2xx (`refused`, or with a redirect), not in time,
    /// not whole, or not at all; or its name leads into a network that is not public.
    AttemptFailure = [
        "refused", "redirects_are_not_followed", "timed_out", "no_connection", "broken_off", "not_a_public_address",
    ];
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptBody {
    /// Which one, from 1.
    #[schema(minimum = 1)]
    attempt: i32,
    /// When (machine time).
    started_at: MachineTime,
    /// How long it took, milliseconds.
    #[schema(minimum = 0)]
    duration_ms: i32,
    /// The HTTP status of the answer; `null` if there was none.
    #[schema(minimum = 100, maximum = 999)]
    status: Option<i16>,
    /// Why it does not count; `null` if it does.
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
