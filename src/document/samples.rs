//! One refusal for each code, as it happens: what the examples of problem documents are made of.

use serde_json::json;

use crate::platform::error::{Code, Refusal};

/// The trace id of the examples.
pub(super) const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const TRIP: &str = "/v1/trips/trip_01jd3n9k8zf4r8x2v5m7q0w1et";
const ACCEPT: &str = "/v1/offers/ofr_01jd3n9qg7e1b8x4v2m6t0w5ya/accept";
const REFUND: &str = "/v1/payments/pay_01jd3n9k8zf4r8x2v5m7q0w1ev/refunds";

/// Where a code is met, and the refusal that is met there.
pub(super) fn of(code: Code) -> (&'static str, Refusal) {
    use Code as C;
    let met = MET.iter().find(|(met, _, _)| *met == code);
    let (path, detail) = met.map_or(("", ""), |(_, path, detail)| (*path, *detail));
    let refusal = Refusal::new(code, detail);
    let refusal = match code {
        C::Malformed => refusal.field("", "EOF while parsing an object at line 1 column 1"),
        C::InvalidId => refusal.field("trip_id", "expected an id that starts with `trip_`, got `ofr`"),
        C::InvalidRequest => refusal.field("/pickup/lat", "`lat` must be from -90 to 90 degrees, not 91"),
        C::SignatureInvalid => refusal.field("Stripe-Signature", "no signature in `Stripe-Signature` fits the body"),
        C::VersionMismatch => refusal.with("version", 5),
        C::InvalidTransition => refusal.with("state", "completed").with("allowed", Vec::<String>::new()),
        C::OfferExpired => refusal.with("state", "expired").with("allowed", Vec::<String>::new()),
        C::OfferWithdrawn => refusal.with("state", "withdrawn").with("allowed", Vec::<String>::new()),
        C::OfferTaken => refusal.with("state", "assigned"),
        C::DriverOnTrip => refusal.with("trip_id", "trip_01jd3n9k8zf4r8x2v5m7q0w1et"),
        C::DriverUnavailable => refusal.with("why", "engaged"),
        C::TooFarFromPickup => refusal.with("distance_m", 640),
        C::WrongPin => refusal.with("tries_left", 4),
        C::TooEarly => refusal.with("seconds_left", 212),
        C::NotRefundable => {
            refusal.with("state", "captured").with("refundable", json!({"amount": 400, "currency": "USD"}))
        }
        _ => refusal,
    };
    (path, refusal)
}

/// Where each code is met, and the sentence for it.
const MET: &[(Code, &str, &str)] = {
    use Code as C;
    &[
        (C::Malformed, "/v1/quotes", "The body cannot be read: EOF while parsing an object at line 1 column 1."),
        (
            C::InvalidId,
            "/v1/trips/ofr_01jd3n9qg7e1b8x4v2m6t0w5ya",
            "`trip_id`: expected an id that starts with `trip_`, got `ofr`.",
        ),
        (C::InvalidRequest, "/v1/quotes", "The body cannot be read: `lat` must be from -90 to 90 degrees, not 91."),
        (C::UnsupportedMediaType, "/v1/quotes", "Send the body as JSON, with `Content-Type: application/json`."),
        (C::BodyTooLarge, "/v1/locations", "The body must not exceed 1048576 bytes."),
        (C::Unauthenticated, "/v1/trips", "The token has expired. Get a new one."),
        (C::Forbidden, "/v1/quotes", "This is for the role rider; your token's role is driver."),
        (C::NotFound, TRIP, "There is no such trip, or it is not yours."),
        (C::MethodNotAllowed, "/v1/quotes", "This address answers to POST."),
        (
            C::IdempotencyKeyMissing,
            "/v1/trips",
            "This request changes something, so it needs an `Idempotency-Key` header: any text of 1 to 255 visible ASCII \
             characters that you will send again if you have to repeat the request. A UUID is a good one.",
        ),
        (
            C::IdempotencyKeyInvalid,
            "/v1/trips",
            "`Idempotency-Key` must be 1 to 255 visible ASCII characters; this one has 300 bytes.",
        ),
        (
            C::IdempotencyKeyReused,
            "/v1/trips",
            "This key was used for another request (its method, path, query or body differed). Use a new key for a new request, \
             and the same bytes for a repeat.",
        ),
        (
            C::RequestInProgress,
            "/v1/trips",
            "A request with this key is still running. Repeat it in a moment to get its answer.",
        ),
        (C::TooManyCommands, "/v1/trips", "4 commands of yours are under way. Wait for one of them to finish."),
        (C::RateLimited, "/v1/trips", "More than 100 requests a second. Slow down."),
        (C::VersionMismatch, TRIP, "`If-Match` names version 4; the trip is at 5. Read it again."),
        (
            C::InvalidTransition,
            TRIP,
            "The trip is completed: rider_cancel does not go from there; it is over, and nothing does any more.",
        ),
        (C::ActiveTripExists, "/v1/trips", "You have a trip under way. End it first: GET /v1/trips lists it."),
        (C::QuoteExpired, "/v1/trips", "This quote expired at 2026-11-22T18:02:00.000000Z. Ask for a new one."),
        (C::QuoteUsed, "/v1/trips", "This quote has made a trip already. Ask for a new one."),
        (C::OfferExpired, ACCEPT, "The offer expired at 2026-11-22T18:00:20.000000Z. Wait for the next one."),
        (C::OfferWithdrawn, ACCEPT, "The offer was withdrawn. Wait for the next one."),
        (C::OfferTaken, ACCEPT, "The trip has gone to somebody else."),
        (
            C::DriverOnTrip,
            "/v1/drivers/me/availability",
            "You are on a trip. Complete it, or cancel it, and then go offline.",
        ),
        (C::DriverUnavailable, TRIP, "The driver is engaged."),
        (C::TooFarFromPickup, TRIP, "Your last position is 640 m from the pickup; it has to be within 150 m."),
        (C::WrongPin, TRIP, "That is not the rider's PIN. 4 more tries."),
        (C::PinLocked, TRIP, "Five wrong PINs. An operator has to reset it."),
        (C::TooEarly, TRIP, "The rider has another 212 s to come."),
        (C::NotRefundable, REFUND, "400 of it can be refunded, and 900 was asked for."),
        (
            C::NotResolvable,
            "/v1/ops/payments/pay_01jd3n9k8zf4r8x2v5m7q0w1ev/resolve",
            "It cannot be resolved like this: it waits for nobody.",
        ),
        (C::AlreadyTipped, TRIP, "You have tipped the driver of this trip."),
        (
            C::SignatureInvalid,
            "/v1/webhooks/psp",
            "This is not an event of our provider: no signature in `Stripe-Signature` fits the body.",
        ),
        (C::EndpointLimit, "/v1/ops/webhook_endpoints", "There are 20 endpoints. Delete one that nobody needs."),
        (
            C::NotTheMatcher,
            "/v1/drivers/me/location",
            "Another process owns the positions. Try again: it is a matter of a second or so.",
        ),
        (
            C::NotSupervised,
            "/v1/sandbox/kill",
            "Nobody would start this service again. `ridematch demo` supervises one.",
        ),
        (C::NotASimulator, "/v1/sandbox/provider/faults", "The payment provider is no psp-sim on this machine."),
        (C::NothingPending, "/v1/sandbox/clock", "The trip waits for no moment: it is over."),
        (
            C::OutcomeUnknown,
            "/v1/trips",
            "The connection to the database was lost at the commit. Repeat the request with the same key.",
        ),
        (
            C::Overloaded,
            "/v1/trips",
            "All database connections have been busy for too long. Nothing was done; try again in a moment.",
        ),
        (C::Unavailable, "/v1/trips", "The database does not answer. Nothing was done; try again."),
        (C::Internal, "/v1/trips", "Something went wrong on our side. Quote the trace id when you ask."),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_met_once() {
        let met: Vec<_> = MET.iter().map(|(code, _, _)| *code).collect();
        assert_eq!(met, Code::ALL, "in the order of their table");
    }
}
