//! Endpoints, events and deliveries, and the decision after an attempt.

use std::sync::LazyLock;

use chrono::TimeDelta;

use super::signature::Secret;
use crate::platform::clock::MachineTime;
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};
use crate::platform::names::string_enum;
use crate::trips::State;

/// The types of trip events, one for each state.
static TRIP_EVENT_TYPES: LazyLock<Vec<String>> =
    LazyLock::new(|| State::ALL.iter().map(|state| format!("trip.{state}")).collect());

/// The types of payment and refund events.
const MONEY_EVENT_TYPES: [&str; 8] = [
    "payment.authorized",
    "payment.captured",
    "payment.declined",
    "payment.voided",
    "payment.auth_expired",
    "payment.capture_failed",
    "refund.succeeded",
    "refund.failed",
];

/// Returns the types of events: a family and the state that a trip, payment or refund has reached.
pub fn event_types() -> impl Iterator<Item = &'static str> {
    TRIP_EVENT_TYPES.iter().map(String::as_str).chain(MONEY_EVENT_TYPES)
}

/// The module's subscriber name in the outbox.
pub const SUBSCRIBER: &str = "webhooks";

/// The outbox topics that events are made from, one per family.
pub const TOPICS: [&str; 3] = ["trip.changed", "payment.changed", "refund.changed"];

/// The most endpoints at a time.
pub const ENDPOINTS_MAX: i64 = 20;

/// The most deliveries in flight to one endpoint. All endpoints together have at most 80, and a slow receiver delays only its own
/// events.
pub const CONCURRENT_MAX: i64 = 4;

/// How long the old secret still signs after a rotation.
pub const ROTATION: TimeDelta = TimeDelta::hours(24);

/// The pause after each failed attempt; jitter shortens it by up to a half. Seconds cover a restart, minutes a deployment, and days
/// a weekend. After the last pause and one more failure the delivery is dead.
pub const RETRY_SCHEDULE: [TimeDelta; 10] = [
    TimeDelta::seconds(5),
    TimeDelta::seconds(30),
    TimeDelta::minutes(2),
    TimeDelta::minutes(10),
    TimeDelta::minutes(30),
    TimeDelta::hours(2),
    TimeDelta::hours(6),
    TimeDelta::hours(12),
    TimeDelta::hours(24),
    TimeDelta::hours(24),
];

/// The age at which a pending delivery is discarded. The retry schedule takes 69 hours; an endpoint with more events than it accepts
/// falls behind it.
pub const UNDELIVERED_MAX: TimeDelta = TimeDelta::hours(72);

/// Returns the filters that match an event type; none if the type is not published.
pub fn matching_filters(event_type: &str) -> Vec<String> {
    match event_type.split_once('.') {
        Some((family, _)) if event_types().any(|known| known == event_type) => {
            vec!["*".to_owned(), format!("{family}.*"), event_type.to_owned()]
        }
        Some(_) | None => Vec::new(),
    }
}

/// Returns whether an endpoint may subscribe with this filter: an event type, `family.*` or `*`.
pub fn is_event_filter(filter: &str) -> bool {
    filter == "*"
        || event_types().any(|known| known == filter)
        || filter
            .strip_suffix("*")
            .is_some_and(|family| family.ends_with('.') && event_types().any(|known| known.starts_with(family)))
}

string_enum! {
    /// Why an endpoint is disabled.
    pub enum DisabledReason {
        /// An operator disabled it.
        Operator = "operator",
        /// A delivery died, and no other delivery succeeded since its first attempt.
        Failing = "failing",
        /// It answered 410 Gone.
        Gone = "gone",
    }

    /// The state of a delivery.
    pub enum DeliveryState {
        /// Waits for its next attempt.
        Pending = "pending",
        /// The endpoint answered with 2xx.
        Delivered = "delivered",
        /// The attempts ended without success. An operator can deliver it again.
        Dead = "dead",
    }

    /// Why an attempt failed.
    pub enum AttemptFailure {
        /// The endpoint answered with a status other than 2xx.
        Refused = "refused",
        /// The endpoint answered with a redirect.
        Redirected = "redirects_are_not_followed",
        /// The endpoint did not answer in time.
        TimedOut = "timed_out",
        /// No connection could be made.
        NoConnection = "no_connection",
        /// The connection was lost before the end of the response.
        BrokenOff = "broken_off",
        /// The name resolves to an address that is not public.
        NotPublic = "not_a_public_address",
    }
}

/// A subscriber's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The endpoint's id.
    pub id: WebhookEndpointId,
    /// The URL that receives the events.
    pub url: String,
    /// The filters: `trip.completed`, `trip.*` or `*`.
    pub event_types: Vec<String>,
    /// The operator's description.
    pub description: String,
    /// When and why it was disabled, if it is.
    pub disabled: Option<(MachineTime, DisabledReason)>,
    /// Until when the previous secret signs too.
    pub old_secret_until: Option<MachineTime>,
    /// The number of changes: the `ETag`.
    pub version: i64,
    /// When it was registered.
    pub created_at: MachineTime,
}

/// A delivery with its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's id.
    pub id: WebhookDeliveryId,
    /// The delivered event.
    pub event_id: WebhookEventId,
    /// The event's type.
    pub event_type: String,
    /// The trip that the event is about.
    pub trip_id: TripId,
    /// The receiving endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The delivery's state.
    pub state: DeliveryState,
    /// The time of the next attempt, while it is pending.
    pub due_at: Option<MachineTime>,
    /// When it was created.
    pub created_at: MachineTime,
    /// The attempts, in order.
    pub attempts: Vec<Attempt>,
}

/// One attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The attempt's number, from 1.
    pub number: i32,
    /// When it started.
    pub started_at: MachineTime,
    /// How long it took, milliseconds.
    pub duration_ms: i32,
    /// The HTTP status, if there was a response.
    pub status: Option<i16>,
    /// The name of an [`AttemptFailure`]; `None` for a success.
    pub failure: Option<String>,
}

/// A leased delivery that has to be attempted now.
#[derive(Debug, Clone)]
pub struct DeliveryTask {
    /// The delivery.
    pub id: WebhookDeliveryId,
    /// The event.
    pub event_id: WebhookEventId,
    /// The event's body.
    pub body: String,
    /// The trip that the event is about.
    pub trip_id: TripId,
    /// The trace of what caused the event.
    pub trace_id: Option<String>,
    /// The receiving endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The endpoint's URL.
    pub url: String,
    /// The secrets that sign it: two during a rotation.
    pub secrets: Vec<Secret>,
    /// The position in the retry schedule.
    pub step: i16,
    /// The number of this attempt, from 1.
    pub attempt: i32,
    /// The fencing token of the lease.
    pub lease_token: i64,
    /// The end of the lease.
    pub leased_until: MachineTime,
}

/// The HTTP status of the response to an attempt, or why there is none.
pub type AttemptResult = Result<u16, AttemptFailure>;

/// What happens to a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryDecision {
    /// It was delivered.
    Delivered,
    /// It is attempted again after this pause, less jitter.
    Retry(TimeDelta),
    /// It is dead.
    Dead,
    /// It is dead, and its endpoint is disabled.
    EndpointGone,
}

/// Decides about a delivery at `step` of the retry schedule. 2xx is a success and 410 disables the endpoint; anything else,
/// redirects included, is retried.
pub fn decide(step: i16, result: AttemptResult) -> DeliveryDecision {
    match result {
        Ok(200..=299) => DeliveryDecision::Delivered,
        Ok(410) => DeliveryDecision::EndpointGone,
        Ok(_) | Err(_) => match usize::try_from(step).ok().and_then(|step| RETRY_SCHEDULE.get(step)) {
            Some(pause) => DeliveryDecision::Retry(*pause),
            None => DeliveryDecision::Dead,
        },
    }
}

/// Returns why an attempt failed; `None` for a success.
pub fn failure(result: AttemptResult) -> Option<AttemptFailure> {
    match result {
        Ok(200..=299) => None,
        Ok(300..=399) => Some(AttemptFailure::Redirected),
        Ok(_) => Some(AttemptFailure::Refused),
        Err(failure) => Some(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_is_retried_until_the_schedule_ends() {
        for (step, pause) in (0_i16..).zip(RETRY_SCHEDULE) {
            for result in [Ok(500), Ok(404), Ok(302), Ok(429), Ok(100), Err(AttemptFailure::TimedOut)] {
                assert_eq!(decide(step, result), DeliveryDecision::Retry(pause), "{step} {result:?}");
            }
        }
        for step in [10, i16::MAX, -1] {
            assert_eq!(decide(step, Ok(503)), DeliveryDecision::Dead, "{step}");
            assert_eq!(decide(step, Ok(204)), DeliveryDecision::Delivered, "{step}");
            assert_eq!(decide(step, Ok(410)), DeliveryDecision::EndpointGone, "{step}");
        }
    }

    #[test]
    fn pauses_grow_and_end_before_a_delivery_is_discarded() {
        assert!(RETRY_SCHEDULE.is_sorted());
        assert!(RETRY_SCHEDULE.iter().sum::<TimeDelta>() < UNDELIVERED_MAX);
    }

    #[test]
    fn event_matches_its_type_its_family_and_the_wildcard() {
        assert_eq!(matching_filters("trip.completed"), ["*", "trip.*", "trip.completed"]);
        assert!(matching_filters("payment.capturing").is_empty(), "an intermediate state is not published");
        for filter in ["*", "trip.*", "payment.*", "refund.failed"] {
            assert!(is_event_filter(filter), "{filter}");
        }
        for filter in ["", ".*", "tri*", "trip", "trip.", "trips.*", "trip.c*", "payment.capturing", "**"] {
            assert!(!is_event_filter(filter), "{filter}");
        }
    }

    #[test]
    fn failed_attempt_has_a_reason() {
        let results = [Ok(200), Ok(302), Ok(500), Err(AttemptFailure::TimedOut)];
        let expected = [None, Some("redirects_are_not_followed"), Some("refused"), Some("timed_out")];
        assert_eq!(results.map(|result| failure(result).map(AttemptFailure::as_str)), expected);
    }
}
