//! What an endpoint, an event and a delivery are, and what becomes of a delivery after an attempt: values and pure functions.

use chrono::TimeDelta;

use super::signature::Secret;
use crate::platform::clock::MachineTime;
use crate::platform::ids::{TripId, WebhookDeliveryId, WebhookEndpointId, WebhookEventId};

/// What can be told. A family and a state: a trip, payment or refund has reached it.
pub const EVENT_TYPES: &[&str] = &[
    "trip.requested",
    "trip.searching",
    "trip.offered",
    "trip.assigned",
    "trip.arrived",
    "trip.in_progress",
    "trip.completed",
    "trip.cancelled",
    "trip.no_show",
    "trip.no_driver",
    "trip.payment_failed",
    "trip.aborted",
    "payment.authorized",
    "payment.captured",
    "payment.declined",
    "payment.voided",
    "payment.auth_expired",
    "payment.capture_failed",
    "refund.succeeded",
    "refund.failed",
];

/// The outbox's topics that events are made of: one for each family.
pub const TOPICS: [&str; 3] = ["trip.changed", "payment.changed", "refund.changed"];

/// Endpoints that are not deleted, at most.
pub const ENDPOINTS_MAX: i64 = 20;

/// Deliveries to one endpoint that are under way at the same time. So all of them together are at most 80, and a receiver that
/// is slow is waited for by nobody but its own events.
pub const AT_ONCE_MAX: i64 = 4;

/// How long both secrets sign after one was changed.
pub const ROTATION: TimeDelta = TimeDelta::hours(24);

/// How long to wait after each attempt that failed, at most; jitter takes up to half of it off. Seconds for a restart, minutes for
/// a deployment, days for a weekend. After the last one the delivery is dead.
pub const LADDER: [TimeDelta; 10] = [
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

/// A delivery that has not been made after so long is dead, wherever on the ladder it stands: the ladder is 69 hours, and an
/// endpoint with more events than it takes falls behind.
pub const UNDELIVERED_MAX: TimeDelta = TimeDelta::hours(72);

/// The types under which an endpoint may have asked for an event of this type; none if it is not one that is told.
pub fn asked_for_as(kind: &str) -> Vec<String> {
    match kind.split_once('.') {
        Some((family, _)) if EVENT_TYPES.contains(&kind) => {
            vec!["*".to_owned(), format!("{family}.*"), kind.to_owned()]
        }
        _ => Vec::new(),
    }
}

/// Whether an endpoint may ask for this.
pub fn may_be_asked_for(wanted: &str) -> bool {
    wanted == "*"
        || EVENT_TYPES.contains(&wanted)
        || wanted
            .strip_suffix("*")
            .is_some_and(|family| family.ends_with('.') && EVENT_TYPES.iter().any(|kind| kind.starts_with(family)))
}

/// Why an endpoint gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// An operator said so.
    Operator,
    /// A delivery died, and from its first attempt to its last no other was made either.
    Failing,
    /// It answered 410: there is nobody any more.
    Gone,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Operator, Self::Failing, Self::Gone];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Failing => "failing",
            Self::Gone => "gone",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// Somebody's address that events are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Where to.
    pub url: String,
    /// `trip.completed`, `trip.*` or `*`.
    pub event_types: Vec<String>,
    /// For people.
    pub description: String,
    /// Since when it gets nothing, and why.
    pub disabled: Option<(MachineTime, Reason)>,
    /// Until when the secret before this one signs as well.
    pub old_secret_until: Option<MachineTime>,
    /// Counts its changes: the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: MachineTime,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It will be tried, again or for the first time.
    Pending,
    /// The endpoint has said that it has it.
    Delivered,
    /// Given up. An operator may have it tried again.
    Dead,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Dead];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }
}

/// A delivery, for its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id.
    pub id: WebhookDeliveryId,
    /// Of what.
    pub event_id: WebhookEventId,
    /// The event's type.
    pub event_type: String,
    /// The trip that the event is about.
    pub trip_id: TripId,
    /// Where to.
    pub endpoint_id: WebhookEndpointId,
    /// Where it stands.
    pub state: State,
    /// The next attempt, while it is pending.
    pub due_at: Option<MachineTime>,
    /// When it was made.
    pub created_at: MachineTime,
    /// The attempts, the first one first.
    pub attempts: Vec<Attempt>,
}

/// One attempt at a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, from 1.
    pub number: i32,
    /// When.
    pub started_at: MachineTime,
    /// How long it took, milliseconds.
    pub duration_ms: i32,
    /// The status of the answer, if there was one.
    pub status: Option<i16>,
    /// Why it does not count as delivered, if it does not.
    pub failure: Option<String>,
}

/// A delivery that is to be made now, by whoever holds the lease.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its id.
    pub id: WebhookDeliveryId,
    /// The event's id.
    pub event_id: WebhookEventId,
    /// The event's body.
    pub body: String,
    /// Where to: its id.
    pub endpoint_id: WebhookEndpointId,
    /// Where to.
    pub url: String,
    /// What to sign with; two while the secret is being changed.
    pub secrets: Vec<Secret>,
    /// Where on the ladder it stands.
    pub step: i16,
    /// Which attempt this is, in all, from 1.
    pub attempt: i32,
    /// The token of the lease.
    pub lease_token: i64,
    /// Until when the lease lasts.
    pub leased_until: MachineTime,
}

/// What an attempt brought: a status, or why there is none.
pub type Heard = Result<u16, &'static str>;

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has arrived.
    Delivered,
    /// It is tried again after so long, less jitter.
    Again(TimeDelta),
    /// It is given up.
    Dead,
    /// It is given up, and so is the endpoint.
    Gone,
}

/// What becomes of a delivery that stands on `step` of the ladder. Any 2xx is a yes, a 410 says that nobody is there any more, and
/// everything else, redirects included, is tried again.
pub fn judge(step: i16, heard: Heard) -> Verdict {
    match heard {
        Ok(200..=299) => Verdict::Delivered,
        Ok(410) => Verdict::Gone,
        _ => match usize::try_from(step).ok().and_then(|step| LADDER.get(step)) {
            Some(pause) => Verdict::Again(*pause),
            None => Verdict::Dead,
        },
    }
}

/// Why an attempt does not count as delivered, for the log.
pub fn why_not(heard: Heard) -> Option<&'static str> {
    match heard {
        Ok(200..=299) => None,
        Ok(300..=399) => Some("redirects_are_not_followed"),
        Ok(_) => Some("refused"),
        Err(failure) => Some(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_of_the_ladder_leads_to_the_next_and_the_last_to_death() {
        for (step, pause) in (0_i16..).zip(LADDER) {
            for heard in [Ok(500), Ok(404), Ok(302), Ok(429), Ok(100), Err("timed_out")] {
                assert_eq!(judge(step, heard), Verdict::Again(pause), "{step} {heard:?}");
            }
        }
        for step in [10, i16::MAX, -1] {
            assert_eq!(judge(step, Ok(503)), Verdict::Dead, "{step}");
            assert_eq!(judge(step, Ok(204)), Verdict::Delivered, "{step}");
            assert_eq!(judge(step, Ok(410)), Verdict::Gone, "{step}");
        }
    }

    #[test]
    fn the_ladder_rises_and_ends_before_a_delivery_is_too_old() {
        assert!(LADDER.is_sorted());
        assert!(LADDER.iter().sum::<TimeDelta>() < UNDELIVERED_MAX);
    }

    #[test]
    fn an_event_is_asked_for_by_name_by_family_or_with_all_others() {
        assert_eq!(asked_for_as("trip.completed"), ["*", "trip.*", "trip.completed"]);
        assert!(asked_for_as("payment.capturing").is_empty(), "on the way to something else: not told");
        for wanted in ["*", "trip.*", "payment.*", "refund.failed"] {
            assert!(may_be_asked_for(wanted), "{wanted}");
        }
        for wanted in ["", ".*", "tri*", "trip", "trip.", "trips.*", "trip.c*", "payment.capturing", "**"] {
            assert!(!may_be_asked_for(wanted), "{wanted}");
        }
    }

    #[test]
    fn an_attempt_that_failed_says_why() {
        let said = [Ok(200), Ok(302), Ok(500), Err("timed_out")].map(why_not);
        assert_eq!(said, [None, Some("redirects_are_not_followed"), Some("refused"), Some("timed_out")]);
    }
}
