//! A typical refusal for each code: the source of the examples of problem documents.

use serde_json::json;

use crate::platform::error::{Code, Refusal};

/// The trace id in the examples.
pub(super) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const TRIP: &str = "/v1/trips/trip_01jd3n9k8zf4r8x2v5m7q0w1et";
const ACCEPT: &str = "/v1/offers/ofr_01jd3n9qg7e1b8x4v2m6t0w5ya/accept";
const REFUND: &str = "/v1/payments/pay_01jd3n9k8zf4r8x2v5m7q0w1ev/refunds";

/// Returns a path where a code occurs, and a refusal that occurs there.
pub(super) fn of(code: Code) -> (&'static str, Refusal) {
    use Code as C;
    let sample = SAMPLES.iter().find(|(known, _, _)| *known == code);
    let (path, detail) = sample.map_or(("", ""), |(_, path, detail)| (*path, *detail));
    let refusal = Refusal::new(code, detail);
    let refusal = match code {
        C::Malformed => refusal.field("", "EOF while parsing an object at line 1 column 1"),
        C::UnsupportedEncoding => refusal.field("Content-Encoding", "must be `identity`, or absent"),
        C::InvalidId => refusal.field("trip_id", "expected an id that starts with `trip_`, got `ofr`"),
        C::InvalidRequest => refusal.field("/pickup/lat", "`lat` must be from -90 to 90 degrees, not 91"),
        C::SignatureInvalid => refusal.field("Stripe-Signature", "no signature in `Stripe-Signature` matches the body"),
        C::VersionMismatch => refusal.with("version", 5),
        C::InvalidTransition => refusal.with("state", "completed").with("allowed", Vec::<String>::new()),
        C::OfferExpired => refusal.with("state", "expired").with("allowed", Vec::<String>::new()),
        C::OfferWithdrawn => refusal.with("state", "withdrawn").with("allowed", Vec::<String>::new()),
        C::OfferTaken => refusal.with("state", "assigned"),
        C::DriverOnTrip => refusal.with("trip_id", "trip_01jd3n9k8zf4r8x2v5m7q0w1et"),
        C::DriverUnavailable => refusal.with("why", "busy"),
        C::TooFarFromPickup => refusal.with("distance_m", 640),
        C::WrongPin => refusal.with("tries_left", 4),
        C::TooEarly => refusal.with("seconds_left", 212),
        C::NotRefundable => {
            refusal.with("state", "captured").with("refundable", json!({"amount": 400, "currency": "USD"}))
        }
        C::PaymentDisputed => refusal.with("dispute", "open"),
        _ => refusal,
    };
    (path, refusal)
}

/// A path where each code occurs, and the detail of the refusal.
const SAMPLES: &[(Code, &str, &str)] = {
    use Code as C;
    &[
        (C::Malformed, "/v1/quotes", "The body is invalid: EOF while parsing an object at line 1 column 1."),
        (
            C::InvalidId,
            "/v1/trips/ofr_01jd3n9qg7e1b8x4v2m6t0w5ya",
            "`trip_id`: expected an id that starts with `trip_`, got `ofr`.",
        ),
        (C::InvalidRequest, "/v1/quotes", "The body is invalid: `lat` must be from -90 to 90 degrees, not 91."),
        (C::UnsupportedMediaType, "/v1/quotes", "Send the body as JSON, with `Content-Type: application/json`."),
        (
            C::UnsupportedEncoding,
            "/v1/quotes",
            "Send the body without `Content-Encoding`: no content coding is supported.",
        ),
        (C::BodyTooLarge, "/v1/locations", "The body must not exceed 1048576 bytes. Split the request."),
        (
            C::RequestTimeout,
            "/v1/quotes",
            "The body was not complete after 10 s. Send the request again, with its whole body.",
        ),
        (C::Unauthenticated, "/v1/trips", "The token has expired. Get a new one."),
        (C::Forbidden, "/v1/quotes", "The operation requires the role rider; the token's role is driver."),
        (C::NotFound, TRIP, "The trip does not exist, or it belongs to another caller."),
        (C::MethodNotAllowed, "/v1/quotes", "This path supports POST."),
        (C::UpgradeRequired, "/v1/drivers/me/stream", "Invalid WebSocket handshake: unsupported WebSocket version."),
        (
            C::IdempotencyKeyMissing,
            "/v1/trips",
            "This request needs an `Idempotency-Key` header: 1 to 255 visible ASCII characters, such as a \
             UUID. Send the same key when you repeat the request.",
        ),
        (
            C::IdempotencyKeyInvalid,
            "/v1/trips",
            "`Idempotency-Key` must be 1 to 255 visible ASCII characters; this value has 300 bytes.",
        ),
        (
            C::IdempotencyKeyReused,
            "/v1/trips",
            "This key was used for a request with another method, path, query or body. Use a new key for a \
             new request, and the same bytes for a repeated one.",
        ),
        (
            C::RequestInProgress,
            "/v1/trips",
            "A request with this key is still running. Repeat it after `Retry-After` to get its response.",
        ),
        (C::TooManyCommands, "/v1/trips", "4 of your commands are running, the maximum. Wait until one finishes."),
        (C::TooManyStreams, "/v1/drivers/me/events", "You have 6 open streams, the most allowed. Close one first."),
        (C::RateLimited, "/v1/trips", "You exceeded 100 requests per second. Wait 1 s."),
        (C::VersionMismatch, TRIP, "`If-Match` does not name version 5, the current one of the trip. Read it again."),
        (C::InvalidTransition, TRIP, "Cannot cancel: the trip is completed."),
        (
            C::ActiveTripExists,
            "/v1/trips",
            "Cannot request a trip during another one. End that trip first: GET /v1/trips lists it.",
        ),
        (C::QuoteExpired, "/v1/trips", "The quote expired at 2026-11-22T18:02:00.000000Z. Request a new one."),
        (C::QuoteUsed, "/v1/trips", "The quote was used for a trip already. Request a new one."),
        (C::OfferExpired, ACCEPT, "The offer expired at 2026-11-22T18:00:20.000000Z. Wait for the next one."),
        (C::OfferWithdrawn, ACCEPT, "The offer was withdrawn. Wait for the next one."),
        (C::OfferTaken, ACCEPT, "Cannot accept: the trip is assigned. Wait for the next offer."),
        (
            C::DriverOnTrip,
            "/v1/drivers/me/availability",
            "Cannot go offline during a trip. Complete or cancel the trip first.",
        ),
        (C::DriverUnavailable, TRIP, "The driver is busy."),
        (
            C::TooFarFromPickup,
            TRIP,
            "Cannot arrive: the last position is 640 m from the pickup; at most 150 m are allowed. Send a \
             newer position.",
        ),
        (C::WrongPin, TRIP, "The PIN is not the rider's. Ask the rider again: 4 tries are left."),
        (C::PinLocked, TRIP, "The PIN is locked after five wrong ones. Ask an operator to reset it."),
        (C::TooEarly, TRIP, "Cannot report a no-show yet: the rider has 212 s left. Try again then."),
        (C::NotRefundable, REFUND, "Cannot refund 900 USD (minor units): 400 USD (minor units) can be refunded."),
        (C::PaymentDisputed, REFUND, "Cannot refund: the charge is disputed, and the dispute is open."),
        (
            C::NotResolvable,
            "/v1/ops/payments/pay_01jd3n9k8zf4r8x2v5m7q0w1ev/resolve",
            "Cannot resolve: the payment does not need a review.",
        ),
        (C::AlreadyTipped, TRIP, "The driver of this trip was tipped already. A trip takes one tip."),
        (
            C::SignatureInvalid,
            "/v1/webhooks/psp",
            "Invalid signature: no signature in `Stripe-Signature` matches the body.",
        ),
        (C::EndpointLimit, "/v1/ops/webhook_endpoints", "There are 20 endpoints, the most allowed. Delete one first."),
        (
            C::NotTheMatcher,
            "/v1/drivers/me/location",
            "Another process is the matcher. Repeat the request after `Retry-After`.",
        ),
        #[cfg(feature = "sandbox")]
        (
            C::NotSupervised,
            "/v1/sandbox/kill",
            "No supervisor would restart this process. Run `ridematch demo`, which has one.",
        ),
        #[cfg(feature = "sandbox")]
        (
            C::NotASimulator,
            "/v1/sandbox/provider/faults",
            "Fault injection works only with psp-sim on the same machine.",
        ),
        #[cfg(feature = "sandbox")]
        (C::NothingPending, "/v1/sandbox/clock", "The object has no deadline in domain time."),
        (
            C::OutcomeUnknown,
            "/v1/trips",
            "The connection to the database was lost during the commit. Repeat the request with the same \
             key to learn the outcome.",
        ),
        (
            C::Overloaded,
            "/v1/trips",
            "All database connections are in use. Nothing was changed. Try again after `Retry-After`.",
        ),
        (C::Unavailable, "/v1/trips", "The database does not respond. Nothing was changed. Try again."),
        (C::Internal, "/v1/trips", "The service failed unexpectedly. Report the trace id to the operators."),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_sample() {
        let codes: Vec<_> = SAMPLES.iter().map(|(code, _, _)| *code).collect();
        assert_eq!(codes, Code::ALL, "in the order of `Code::ALL`");
    }
}
