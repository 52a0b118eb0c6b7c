//! Problem documents (RFC 9457), and the one table that gives each [`Code`] its status, name and title.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use std::fmt;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::platform::error::{Code, Error, FieldError, Refusal};
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::platform::names::string_schema;
use crate::platform::telemetry;

/// The published meaning of a code.
#[derive(Debug, Clone, Copy)]
pub struct ProblemType {
    /// The HTTP status.
    pub status: u16,
    /// The stable name, the last segment of the error page's path.
    pub name: &'static str,
    /// The condition, the same for every occurrence.
    pub title: &'static str,
    /// The cause, and what to do.
    pub explanation: &'static str,
}

macro_rules! problem_types {
    ($($(#[$cfg:meta])* $code:ident $status:literal $name:literal $title:literal $explanation:literal;)*) => {
        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$($(#[$cfg])* Self::$code),*];

            /// Returns the published meaning.
            pub const fn problem_type(self) -> ProblemType {
                match self {
                    $($(#[$cfg])* Self::$code => ProblemType {
                        status: $status,
                        name: $name,
                        title: $title,
                        explanation: $explanation,
                    },)*
                }
            }
        }
    };
}

problem_types! {
    Malformed 400 "malformed" "Malformed request"
        "The body is not valid JSON, or a parameter has the wrong type. The detail says where parsing stopped.";
    InvalidId 400 "invalid_id" "Invalid id"
        "An id has the wrong prefix or is not 26 base-32 digits long. The prefix names the type: trip_, drv_, rdr_, ofr_, pay_, quo_, rfd_, run_, fnd_.";
    InvalidRequest 422 "invalid_request" "Invalid field"
        "A field is unknown, missing or out of range. `errors` lists each one.";
    UnsupportedMediaType 415 "unsupported_media_type" "Unsupported media type"
        "Send the body as JSON, with `Content-Type: application/json`.";
    UnsupportedEncoding 415 "unsupported_encoding" "Unsupported content encoding"
        "Send the body without `Content-Encoding`.";
    BodyTooLarge 413 "body_too_large" "Body too large"
        "The body exceeds the limit. Split the request.";
    RequestTimeout 408 "request_timeout" "Request timeout"
        "The body was not complete in time. Nothing was changed. Send the request again.";
    Unauthenticated 401 "unauthenticated" "Unauthenticated"
        "The bearer token is missing, expired or not signed with the service's key.";
    Forbidden 403 "forbidden" "Forbidden"
        "The operation is for callers of another role.";
    NotFound 404 "not_found" "Not found"
        "The object does not exist, or it belongs to another caller. The response is the same for both.";
    MethodNotAllowed 405 "method_not_allowed" "Method not allowed"
        "The path does not support this method. `Allow` lists the methods that it supports.";
    UpgradeRequired 426 "upgrade_required" "Upgrade required"
        "The handshake names another version of the WebSocket protocol than 13.";
    IdempotencyKeyMissing 400 "idempotency_key_missing" "Idempotency-Key missing"
        "Requests that change trips, offers or money carry a key, so that a client can safely repeat them when a response is lost.";
    IdempotencyKeyInvalid 400 "idempotency_key_invalid" "Invalid Idempotency-Key"
        "A key is 1 to 255 visible ASCII characters.";
    IdempotencyKeyReused 422 "idempotency_key_reused" "Idempotency-Key reused"
        "For 24 hours, a key belongs to one request: the same method, path, query and body bytes.";
    RequestInProgress 409 "request_in_progress" "Request in progress"
        "A request with this key has not finished. Repeat it after `Retry-After` to get its response.";
    TooManyCommands 429 "too_many_commands" "Too many concurrent commands"
        "At most four commands of one caller run at the same time.";
    TooManyStreams 429 "too_many_streams" "Too many open streams"
        "At most six streams of one caller are open at the same time: event streams and WebSockets together.";
    RateLimited 429 "rate_limited" "Rate limit exceeded"
        "The `RateLimit-Policy` header states the limit; `Retry-After` says when to send the next request.";
    VersionMismatch 412 "version_mismatch" "Version mismatch"
        "`If-Match` names another version than the current one. Read the resource again.";
    InvalidTransition 409 "invalid_transition" "Invalid state transition"
        "The state of the trip or offer does not allow the command. `state` is the state, `allowed` lists the commands that it allows.";
    ActiveTripExists 409 "active_trip_exists" "Active trip exists"
        "A rider has at most one active trip. End it, or wait until it ends.";
    QuoteExpired 410 "quote_expired" "Quote expired"
        "A quote is valid for two minutes. Request a new one.";
    QuoteUsed 409 "quote_used" "Quote already used"
        "A quote is valid for one trip. Request a new one.";
    OfferExpired 410 "offer_expired" "Offer expired"
        "An offer is valid for 15 seconds. The trip is being offered to another driver.";
    OfferWithdrawn 410 "offer_withdrawn" "Offer withdrawn"
        "The rider cancelled the trip, or the driver went offline.";
    OfferTaken 409 "offer_taken" "Trip already taken"
        "Another driver accepted this trip first.";
    DriverOnTrip 409 "driver_on_trip" "Driver on a trip"
        "The operation is not possible during a trip. End the trip first.";
    DriverUnavailable 409 "driver_unavailable" "Driver unavailable"
        "The driver is offline, or has an offer or a trip already.";
    TooFarFromPickup 409 "too_far_from_pickup" "Too far from the pickup"
        "The driver's last known position must be within 150 m of the pickup.";
    WrongPin 409 "wrong_pin" "Wrong PIN"
        "The rider finds the PIN in their trip and gives it to the driver.";
    PinLocked 409 "pin_locked" "PIN locked"
        "Five wrong PINs were entered. An operator has to reset the PIN.";
    TooEarly 409 "too_early" "Too early"
        "The rider has 300 seconds after the driver's arrival before the trip can become a no-show.";
    NotRefundable 409 "not_refundable" "Not refundable"
        "Refunds, pending ones included, never exceed the captured amount.";
    PaymentDisputed 409 "payment_disputed" "Payment disputed"
        "A disputed charge is not refunded: the bank has returned the money, or will.";
    NotResolvable 409 "not_resolvable" "Nothing to resolve"
        "The payment or refund does not need a review, or its state does not allow the action.";
    AlreadyTipped 409 "already_tipped" "Already tipped"
        "A trip has at most one tip. The rider can tip again only if the first tip was declined.";
    SignatureInvalid 400 "signature_invalid" "Invalid signature"
        "The webhook is not signed with the configured secret, or its timestamp is more than 300 s off.";
    EndpointLimit 409 "endpoint_limit" "Endpoint limit reached"
        "At most 20 webhook endpoints can exist. Delete one that is no longer needed.";
    NotTheMatcher 503 "not_the_matcher" "Not the matcher"
        "One process at a time, the matcher, owns the driver index. Repeat the request: it reaches the matcher, or this process becomes it.";
    #[cfg(feature = "sandbox")]
    NotSupervised 409 "not_supervised" "Service not supervised"
        "The service is killed only where a supervisor restarts it, as `ridematch demo` does.";
    #[cfg(feature = "sandbox")]
    NotASimulator 409 "not_a_simulator" "Provider is not a simulator"
        "Fault injection works only with psp-sim on the same machine.";
    #[cfg(feature = "sandbox")]
    NothingPending 409 "nothing_pending" "No pending deadline"
        "The trip, offer, payment or quote has no deadline in domain time.";
    OutcomeUnknown 503 "outcome_unknown" "Commit outcome unknown"
        "The connection to the database was lost during the commit. Repeat the request with the same key to learn the outcome.";
    Overloaded 503 "overloaded" "Service overloaded"
        "All database connections are in use, or the process has the most open streams. Nothing was changed.";
    Unavailable 503 "unavailable" "Service unavailable"
        "The database or the payment provider does not respond in time, or another request has locked the object. Nothing was changed.";
    Internal 500 "internal" "Internal error"
        "The service failed unexpectedly. The trace id finds the cause in the logs.";
}

/// The detail of an internal error.
pub(super) const INTERNAL_DETAIL: &str = "The service failed unexpectedly. Report the trace id to the operators.";

/// The stable name of a [`Code`], as a schema.
pub struct ProblemCode;

impl PartialSchema for ProblemCode {
    fn schema() -> RefOr<Schema> {
        let description = "The reason, by name. `/problems/{code}` explains each. New codes may be added.";
        string_schema(description, Code::ALL.iter().map(|code| code.problem_type().name))
    }
}

impl ToSchema for ProblemCode {}

/// A refusal as an HTTP response.
#[derive(Debug, Clone)]
pub struct Problem {
    refusal: Box<Refusal>,
    allow: Option<String>,
}

/// A problem document (RFC 9457): why a request was refused or failed.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    /// The address of the page that explains the code.
    #[schema(pattern = "^/problems/[a-z_]+$", example = "/problems/invalid_request")]
    r#type: String,
    /// The condition, the same for every occurrence of the code.
    #[schema(max_length = 255, example = "Invalid field")]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// This occurrence: what was found, what was expected, and what to do.
    #[schema(example = "`limit` must be 1 to 100.")]
    detail: &'a str,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "/v1/trips")]
    instance: Option<&'a str>,
    /// The stable name of the reason, for programs.
    #[schema(value_type = ProblemCode)]
    code: &'a str,
    /// The trace id of the request, also in the logs and in the `Trace-Id` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{32}$")]
    trace_id: Option<&'a str>,
    /// The invalid fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Option<Vec<FieldError>>, nullable = false, max_items = 100)]
    errors: &'a [FieldError],
    #[serde(flatten)]
    #[schema(value_type = ProblemMembers)]
    more: &'a Map<String, Value>,
}

/// Further members of some codes.
#[derive(ToSchema)]
#[schema(as = ProblemMembers)]
#[expect(dead_code, reason = "a schema; `Refusal::with` adds the members")]
pub struct ProblemMembers {
    /// The current state of the trip, offer, payment, finding or endpoint.
    #[schema(nullable = false, max_length = 64, example = "completed")]
    state: Option<String>,
    /// The commands that the state allows, ignoring guards such as distances and deadlines.
    #[schema(nullable = false, max_items = 20)]
    allowed: Option<Vec<String>>,
    /// The current version (`version_mismatch`).
    #[schema(nullable = false, minimum = 1)]
    version: Option<i64>,
    /// The driver's trip (`driver_on_trip`).
    #[schema(nullable = false)]
    trip_id: Option<TripId>,
    /// Attempts left before the PIN is locked (`wrong_pin`).
    #[schema(nullable = false, minimum = 0, maximum = 4)]
    tries_left: Option<i64>,
    /// Seconds to wait, domain time (`too_early`).
    #[schema(nullable = false, minimum = 0)]
    seconds_left: Option<i64>,
    /// Distance of the driver from the pickup, meters (`too_far_from_pickup`).
    #[schema(nullable = false, minimum = 0)]
    distance_m: Option<i64>,
    /// The amount that can still be refunded (`not_refundable`).
    #[schema(nullable = false)]
    refundable: Option<Money>,
}

impl<'a> ProblemDocument<'a> {
    /// Creates the document of a refusal, for a path and a trace id.
    pub fn new(refusal: &'a Refusal, path: Option<&'a str>, trace_id: Option<&'a str>) -> Self {
        let problem_type = refusal.code.problem_type();
        Self {
            r#type: format!("/problems/{}", problem_type.name),
            title: problem_type.title,
            status: problem_type.status,
            detail: &refusal.detail,
            instance: path,
            code: problem_type.name,
            trace_id,
            errors: &refusal.fields,
            more: &refusal.more,
        }
    }
}

impl Problem {
    /// Returns the code.
    pub fn code(&self) -> Code {
        self.refusal.code
    }

    /// Returns the document, for transports other than an HTTP response.
    pub fn document(&self) -> Value {
        let context = telemetry::context();
        let (path, trace_id) = context.as_ref().map(|context| (&*context.path, &*context.trace_id)).unzip();
        serde_json::to_value(ProblemDocument::new(&self.refusal, path, trace_id)).unwrap_or_default()
    }

    /// Sets the `Allow` header.
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
    /// Maps an error to a problem, and logs the causes that the caller does not see. The only place that logs them.
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => (*refusal).into(),
            Error::OutcomeUnknown(cause) => {
                tracing::error!(%cause, "the outcome of a commit is unknown");
                Refusal::new(
                    Code::OutcomeUnknown,
                    "The connection to the database was lost during the commit. Repeat the request with the same key to learn the outcome.",
                )
                .retry_after(1)
                .into()
            }
            Error::Database(cause) if is_outage(&cause) => {
                tracing::error!(%cause, "the database is unavailable");
                Refusal::new(Code::Unavailable, "The database does not respond. Nothing was changed. Try again.")
                    .retry_after(1)
                    .into()
            }
            error if error.is_locked() => {
                tracing::warn!(%error, "a lock was not released in time");
                let detail = "Another transaction has locked the object for seconds. Nothing was changed. Try again.";
                Refusal::new(Code::Unavailable, detail).retry_after(1).into()
            }
            error => {
                tracing::error!(%error, "internal error");
                Refusal::new(Code::Internal, INTERNAL_DETAIL).into()
            }
        }
    }
}

/// Whether the database was unreachable, as opposed to having rejected a statement.
fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        // Class 57: shut down, crashed or starting, or a statement took too long. 25P03: the process stopped in a transaction.
        // 53300: too many connections. Class 08: connection exceptions.
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            code.starts_with("57") || code.starts_with("08") || code == "25P03" || code == "53300"
        }
        _ => false,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.refusal.code.problem_type().name, self.refusal.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.refusal.code.problem_type().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.refusal.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(methods) = &self.allow {
            response.insert_header((ALLOW, methods.as_str()));
        }
        match self.refusal.code {
            Code::Unauthenticated => _ = response.insert_header((WWW_AUTHENTICATE, "Bearer")),
            Code::UnsupportedEncoding => _ = response.insert_header((ACCEPT_ENCODING, "identity")),
            Code::UpgradeRequired => {
                response.insert_header((UPGRADE, "websocket")).insert_header((SEC_WEBSOCKET_VERSION, "13"));
            }
            // The rest of the body may still arrive, and must not be read as the next request.
            Code::RequestTimeout => _ = response.force_close(),
            _ => {}
        }
        response.body(self.document().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_unique_name_and_an_error_status() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.problem_type().name).collect();
        assert_eq!(names.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.problem_type().status)));
    }
}
