//! Problem documents (RFC 9457), and the one table that gives each [`Code`] its status, name and meaning.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use utoipa::ToSchema;

use crate::platform::error::{Code, Error, FieldError, Refusal};
use crate::platform::http::names::published;
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::platform::telemetry;

/// What the world is told about a code.
#[derive(Debug, Clone, Copy)]
pub struct Meaning {
    /// HTTP status.
    pub status: u16,
    /// The stable name, the last part of the page's address.
    pub name: &'static str,
    /// The same for every case of it.
    pub title: &'static str,
    /// Why the service says it and what to do.
    pub why: &'static str,
}

macro_rules! meanings {
    ($($code:ident $status:literal $name:literal $title:literal $why:literal;)*) => {
        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// What the world is told about it.
            pub fn meaning(self) -> Meaning {
                match self {
                    $(Self::$code => Meaning { status: $status, name: $name, title: $title, why: $why },)*
                }
            }
        }
    };
}

meanings! {
    Malformed 400 "malformed" "The request cannot be read"
        "The body is not JSON, or a parameter is not of its type. The detail says where reading stopped.";
    InvalidId 400 "invalid_id" "An id of the wrong kind"
        "Ids say what they are: trip_, drv_, rdr_, ofr_, pay_, quo_, rfd_, run_, fnd_. This one has another prefix, or is cut short.";
    InvalidRequest 422 "invalid_request" "A field cannot be right"
        "The request can be read, but a field is unknown, missing or out of its range. `errors` names each one.";
    UnsupportedMediaType 415 "unsupported_media_type" "Not JSON"
        "Send `Content-Type: application/json`.";
    BodyTooLarge 413 "body_too_large" "The body is too large"
        "Bodies are bounded. Split the request.";
    Unauthenticated 401 "unauthenticated" "Who are you?"
        "There is no bearer token, or it has expired, or it is not signed with our key. In the sandbox POST /v1/sandbox/tokens gives you one.";
    Forbidden 403 "forbidden" "Not for your role"
        "The operation exists, for callers of another role.";
    NotFound 404 "not_found" "No such thing"
        "It does not exist, or it is not yours: from outside the two look the same.";
    MethodNotAllowed 405 "method_not_allowed" "Not with this method"
        "The address exists, for other methods: `Allow` lists them.";
    IdempotencyKeyMissing 400 "idempotency_key_missing" "An Idempotency-Key is needed"
        "Requests that change trips, offers or money carry a key, so that they can be repeated safely when an answer is lost.";
    IdempotencyKeyInvalid 400 "idempotency_key_invalid" "The Idempotency-Key cannot be used"
        "A key is 1 to 255 visible ASCII characters.";
    IdempotencyKeyReused 422 "idempotency_key_reused" "The key belongs to another request"
        "Within 24 hours a key stands for one request: same method, path, query and body bytes.";
    RequestInProgress 409 "request_in_progress" "The first request is still running"
        "A request with this key has not finished. Repeat it after `Retry-After` to get its answer.";
    TooManyCommands 429 "too_many_commands" "Too many commands at once"
        "At most four commands of one caller run at the same time.";
    RateLimited 429 "rate_limited" "Too many requests"
        "The `RateLimit-Policy` header says how many are welcome; `Retry-After` says when to come back.";
    VersionMismatch 412 "version_mismatch" "It has changed"
        "`If-Match` names another version than the current one. Read it again.";
    InvalidTransition 409 "invalid_transition" "Not from this state"
        "The trip or offer is in a state that does not allow this. The document names the state and what it allows.";
    ActiveTripExists 409 "active_trip_exists" "One trip at a time"
        "A rider has at most one trip under way. End it, or wait for it to end.";
    QuoteExpired 410 "quote_expired" "The quote has expired"
        "Prices are promised for two minutes. Ask for a new quote.";
    QuoteUsed 409 "quote_used" "The quote is used up"
        "A quote makes one trip. Ask for a new one.";
    OfferExpired 410 "offer_expired" "The offer has expired"
        "Offers live for 15 seconds. Another driver is being asked.";
    OfferWithdrawn 410 "offer_withdrawn" "The offer was withdrawn"
        "The rider cancelled, or the driver went offline.";
    OfferTaken 409 "offer_taken" "Somebody else has it"
        "Another driver accepted this trip first.";
    DriverOnTrip 409 "driver_on_trip" "Not during a trip"
        "End the trip first.";
    DriverUnavailable 409 "driver_unavailable" "The driver is not available"
        "The driver is offline, or engaged already.";
    TooFarFromPickup 409 "too_far_from_pickup" "Not at the pickup"
        "A driver arrives within 150 m of the pickup, by the last position received.";
    WrongPin 409 "wrong_pin" "Wrong PIN"
        "The rider reads the PIN from their own trip and tells it to the driver.";
    PinLocked 409 "pin_locked" "Too many wrong PINs"
        "After five wrong PINs an operator has to reset it.";
    TooEarly 409 "too_early" "Too early for that"
        "The rider has 300 seconds to come to the car before it is a no-show.";
    NotRefundable 409 "not_refundable" "It cannot be refunded"
        "Refunds never exceed what was captured, pending ones included.";
    NotResolvable 409 "not_resolvable" "Nobody has to decide that"
        "The payment or refund waits for nobody, or the action does not fit how it stands.";
    AlreadyTipped 409 "already_tipped" "There is a tip already"
        "A trip has one tip. Another one can be given when the first was declined.";
    SignatureInvalid 400 "signature_invalid" "The signature does not fit"
        "The webhook is not signed with our secret, or its time stamp is more than 300 s off.";
    EndpointLimit 409 "endpoint_limit" "No more endpoints"
        "There are at most 20 webhook endpoints. Delete one that nobody needs.";
    NotTheMatcher 503 "not_the_matcher" "Another process owns the positions"
        "One process at a time keeps the index. Repeat the request: it reaches the right one, or this one becomes it.";
    NotSupervised 409 "not_supervised" "Nobody would start it again"
        "The sandbox kills the service only where a supervisor starts it again: in `ridematch demo`.";
    NotASimulator 409 "not_a_simulator" "The provider is a real one"
        "Bad days can be had, and books opened, of a psp-sim on the same machine, and of nobody else.";
    NothingPending 409 "nothing_pending" "Time changes nothing there"
        "The trip, offer, payment or quote waits for no moment of domain time.";
    OutcomeUnknown 503 "outcome_unknown" "It is done, or it is not"
        "The connection to the database was lost at the commit. Repeat the request with the same key: it tells.";
    Overloaded 503 "overloaded" "Too busy"
        "All database connections are in use. Nothing was done.";
    Unavailable 503 "unavailable" "Not available"
        "Something that the service needs does not answer. Nothing was done.";
    Internal 500 "internal" "Our fault"
        "Something went wrong that should not have. The trace id finds it in the logs.";
}

/// A refusal on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    refusal: Box<Refusal>,
    allow: Option<String>,
}

published! {
    /// Why a request was refused, by name. `/problems/{code}` has a page for each; new ones may be added.
    ProblemCode = Code::ALL.iter().map(|code| code.meaning().name);
}

/// Why a request was refused, or failed (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document<'a> {
    /// The page that explains the code.
    #[schema(pattern = "^/problems/[a-z_]+$", example = "/problems/invalid_request")]
    r#type: String,
    /// The same for every case of the code.
    #[schema(max_length = 255, example = "A field cannot be right")]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// This case of it: what was found, and the way out.
    #[schema(example = "`limit` must be 1 to 100.")]
    detail: &'a str,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/v1/trips")]
    instance: Option<&'a str>,
    /// Stable: what a program should look at.
    #[schema(value_type = ProblemCode)]
    code: &'a str,
    /// Finds the request in the logs; the `Trace-Id` header says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{32}$")]
    trace_id: Option<&'a str>,
    /// The fields at fault, if it is fields that are.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<FieldError>>, nullable = false, max_items = 100)]
    errors: &'a [FieldError],
    #[serde(flatten)]
    #[schema(value_type = Members)]
    more: &'a Map<String, Value>,
}

/// What some codes add: facts that a program can act on.
#[derive(ToSchema)]
#[schema(as = ProblemMembers)]
#[expect(dead_code, reason = "a shape for the document: `Refusal::with` adds them")]
pub struct Members {
    /// The current state of the trip, offer, payment, finding or endpoint.
    #[schema(nullable = false, max_length = 64, example = "completed")]
    state: Option<String>,
    /// The commands that the state allows, guards apart.
    #[schema(nullable = false, max_items = 20)]
    allowed: Option<Vec<String>>,
    /// The current version, of `version_mismatch`.
    #[schema(nullable = false, minimum = 1)]
    version: Option<i64>,
    /// The trip that the driver is on, of `driver_on_trip`.
    #[schema(nullable = false)]
    trip_id: Option<TripId>,
    /// Wrong PINs until it is locked, of `wrong_pin`.
    #[schema(nullable = false, minimum = 0, maximum = 4)]
    tries_left: Option<i64>,
    /// Seconds to wait, of `too_early` (domain time).
    #[schema(nullable = false, minimum = 0)]
    seconds_left: Option<i64>,
    /// How far away the driver is, metres, of `too_far_from_pickup`.
    #[schema(nullable = false, minimum = 0)]
    distance_m: Option<i64>,
    /// What can still be refunded, of `not_refundable`.
    #[schema(nullable = false)]
    refundable: Option<Money>,
}

impl<'a> Document<'a> {
    /// The document of a refusal: of this path, under this trace id.
    pub fn new(refusal: &'a Refusal, path: Option<&'a str>, trace_id: Option<&'a str>) -> Self {
        let meaning = refusal.code.meaning();
        Self {
            r#type: format!("/problems/{}", meaning.name),
            title: meaning.title,
            status: meaning.status,
            detail: &refusal.detail,
            instance: path,
            code: meaning.name,
            trace_id,
            errors: &refusal.fields,
            more: &refusal.more,
        }
    }
}

impl Problem {
    /// The code, for metrics and tests.
    pub fn code(&self) -> Code {
        self.refusal.code
    }

    /// The document itself, for where there is no response to put it into.
    pub fn document(&self) -> Value {
        let context = telemetry::context();
        let (path, trace_id) = context.as_ref().map(|context| (&*context.path, &*context.trace_id)).unzip();
        serde_json::to_value(Document::new(&self.refusal, path, trace_id)).unwrap_or_default()
    }

    /// Adds the methods that the address does have.
    #[must_use]
    pub fn allowing(mut self, methods: Option<String>) -> Self {
        self.allow = methods;
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), allow: None }
    }
}

impl From<Error> for Problem {
    /// Logs what is not the caller's business, once, here at the edge.
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => (*refusal).into(),
            Error::OutcomeUnknown(cause) => {
                tracing::error!(%cause, "outcome unknown");
                Refusal::new(
                    Code::OutcomeUnknown,
                    "The connection to the database was lost at the commit. Repeat the request with the same key.",
                )
                .retry_after(1)
                .into()
            }
            Error::Database(cause) if is_outage(&cause) => {
                tracing::error!(%cause, "the database is not available");
                Refusal::new(Code::Unavailable, "The database does not answer. Nothing was done; try again.")
                    .retry_after(1)
                    .into()
            }
            error => {
                tracing::error!(%error, "internal error");
                Refusal::new(Code::Internal, "Something went wrong on our side. Quote the trace id when you ask.")
                    .into()
            }
        }
    }
}

/// Whether the database was out of reach, as against having refused a statement.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        // Class 57: shut down, crashed, or not started yet. 53300: too many connections. Class 08: connection trouble.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "53300")
        }
        _ => false,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.refusal.code.meaning().name, self.refusal.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.refusal.code.meaning().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let meaning = self.refusal.code.meaning();
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.refusal.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((ALLOW, methods.as_str()));
        }
        if meaning.status == 401 {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        response.body(self.document().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_name_of_its_own_and_an_error_status() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.meaning().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.meaning().status)));
    }
}
