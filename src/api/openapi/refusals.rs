//! The refusals of each operation. Most follow from its form; the tables below hold the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::to_value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{HttpMethod, OpenApi, Ref, RefOr, Response};

use super::{headers, is_keyed, is_open, name, operations, samples, takes};
use crate::platform::error::Code;
use crate::platform::http::problem::ProblemDocument;

/// Adds a response to every operation for each status it may refuse with. Operations with a token share their responses.
pub(super) fn add(document: &mut OpenApi) {
    let (mut shared, mut used) = (BTreeMap::new(), BTreeSet::new());
    for (method, operation) in operations(document) {
        let is_open = is_open(operation);
        for (status, codes) in by_status(operation, &method) {
            used.extend(codes.iter().map(|code| code.problem_type().name));
            let response = response(&codes, is_open);
            let response = if is_open {
                response.into()
            } else {
                let name = codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or");
                let reference = Ref::from_response_name(&name);
                shared.insert(name, response.into());
                reference.into()
            };
            operation.responses.responses.insert(status.to_string(), response);
        }
    }
    let components = document.components.get_or_insert_default();
    components.responses.extend(shared);
    let used = Code::ALL.iter().filter(|code| used.contains(code.problem_type().name));
    components.examples.extend(used.map(|code| (code.problem_type().name.to_owned(), example(*code).into())));
}

/// Returns the codes by status, within a status in the order of [`Code::ALL`].
fn by_status(operation: &Operation, method: &HttpMethod) -> BTreeMap<u16, Vec<Code>> {
    let possible = [from_form(operation, method), own(name(operation)).to_vec()].concat();
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| possible.contains(code)) {
        statuses.entry(code.problem_type().status).or_default().push(*code);
    }
    statuses
}

/// Returns the codes that follow from an operation's callers, its input, and what it depends on.
fn from_form(operation: &Operation, method: &HttpMethod) -> Vec<Code> {
    use Code as C;
    let has = |place, end: &'static str| takes(operation, &place, |name| name.ends_with(end));
    let has_id = takes(operation, &ParameterIn::Path, |name| name.ends_with("_id") && name != "trace_id");
    let has_query = has(ParameterIn::Query, "");
    let is_raw = name(operation) == RAW_BODY;
    let has_json_body = operation.request_body.is_some() && !is_raw;
    let may_have_body = operation.request_body.is_some() || ![HttpMethod::Get, HttpMethod::Delete].contains(method);
    let uses_database = !WITHOUT_DATABASE.iter().any(|names| names.contains(&name(operation)));
    let reasons: [(bool, &[Code]); 12] = [
        (true, &[C::Malformed, C::Internal]),
        (may_have_body, &[C::BodyTooLarge]),
        (*method != HttpMethod::Get, &[C::RequestTimeout]),
        (!is_open(operation), &[C::Unauthenticated, C::Forbidden, C::RateLimited]),
        (
            is_keyed(operation),
            &[
                C::IdempotencyKeyMissing,
                C::IdempotencyKeyInvalid,
                C::IdempotencyKeyReused,
                C::RequestInProgress,
                C::TooManyCommands,
            ],
        ),
        (has(ParameterIn::Header, "If-Match"), &[C::VersionMismatch]),
        (has_id, &[C::InvalidId, C::NotFound]),
        (has_query || has_json_body, &[C::InvalidRequest]),
        (has_json_body, &[C::UnsupportedMediaType]),
        (operation.request_body.is_some(), &[C::UnsupportedEncoding]),
        (uses_database, &[C::Overloaded, C::Unavailable]),
        (uses_database && *method != HttpMethod::Get, &[C::OutcomeUnknown]),
    ];
    reasons.into_iter().filter(|(is_so, _)| *is_so).flat_map(|(_, codes)| codes).copied().collect()
}

/// Takes the body as raw bytes, because the signature is computed over them.
const RAW_BODY: &str = "receive_provider_event";

/// Operations that do not use the database.
const WITHOUT_DATABASE: &[&[&str]] = &[
    &[
        "follow_driver_events",
        "get_liveness",
        "get_readiness",
        "list_trending_zones",
        "list_nearby_drivers",
        "report_location",
        "report_locations",
    ],
    #[cfg(feature = "sandbox")]
    crate::sandbox::routes::openapi::WITHOUT_DATABASE,
];

/// The refusals of single operations.
const OWN: &[&[(&str, &[Code])]] = &[
    SERVICE,
    #[cfg(feature = "sandbox")]
    crate::sandbox::routes::openapi::REFUSALS,
];

const SERVICE: &[(&str, &[Code])] = {
    use Code as C;
    &[
        ("get_readiness", &[C::Unavailable]),
        ("request_trip", &[C::InvalidId, C::NotFound, C::QuoteExpired, C::QuoteUsed, C::ActiveTripExists]),
        ("cancel_trip", &[C::InvalidTransition]),
        ("complete_trip", &[C::InvalidTransition]),
        ("abort_trip", &[C::InvalidTransition]),
        ("reset_pin", &[C::InvalidTransition]),
        ("arrive_at_pickup", &[C::InvalidTransition, C::TooFarFromPickup, C::NotTheMatcher]),
        ("start_trip", &[C::InvalidTransition, C::WrongPin, C::PinLocked]),
        ("report_no_show", &[C::InvalidTransition, C::TooEarly]),
        ("tip_driver", &[C::InvalidTransition, C::AlreadyTipped]),
        ("accept_offer", &[C::OfferExpired, C::OfferWithdrawn, C::OfferTaken, C::DriverOnTrip, C::InvalidTransition]),
        ("decline_offer", &[C::OfferExpired, C::OfferWithdrawn, C::InvalidTransition]),
        ("get_profile", &[C::NotFound]),
        ("set_availability", &[C::DriverOnTrip]),
        ("list_trip_events", &[C::TooManyStreams]),
        ("follow_driver_events", &[C::TooManyStreams, C::Overloaded]),
        ("open_driver_stream", &[C::TooManyStreams, C::UpgradeRequired]),
        ("report_location", &[C::NotTheMatcher]),
        ("list_nearby_drivers", &[C::NotTheMatcher]),
        ("report_locations", &[C::InvalidId, C::NotTheMatcher]),
        ("create_refund", &[C::NotRefundable, C::PaymentDisputed]),
        ("receive_provider_event", &[C::SignatureInvalid]),
        ("get_ledger", &[C::InvalidId]),
        ("list_postings", &[C::InvalidId]),
        ("list_findings", &[C::InvalidId]),
        ("resolve_finding", &[C::InvalidTransition]),
        ("redeliver_webhook", &[C::InvalidTransition]),
        ("set_surge", &[C::InvalidId]),
        ("delete_surge", &[C::InvalidId, C::NotFound]),
        ("resolve_payment", &[C::NotResolvable]),
        ("resolve_refund", &[C::NotResolvable, C::NotRefundable, C::PaymentDisputed]),
        ("create_webhook_endpoint", &[C::EndpointLimit]),
    ]
};

/// Returns the names of operations in the tables.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let own = OWN.iter().copied().flatten().map(|(name, _)| *name);
    own.chain(WITHOUT_DATABASE.iter().copied().flatten().copied()).chain([RAW_BODY]).collect()
}

fn own(operation: &str) -> &'static [Code] {
    OWN.iter().copied().flatten().find(|(name, _)| *name == operation).map_or(&[], |(_, codes)| codes)
}

fn response(codes: &[Code], is_open: bool) -> Response {
    let examples = codes.iter().map(|code| {
        let name = code.problem_type().name;
        (name, RefOr::<Example>::Ref(Ref::new(format!("#/components/examples/{name}"))))
    });
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples.collect::<Vec<_>>());
    let content = content.build();
    let mut response =
        ResponseBuilder::new().description(description(codes)).content("application/problem+json", content).build();
    let names = headers::of_refusal(codes, is_open);
    response.headers.extend(names.into_iter().map(headers::reference));
    response
}

fn description(codes: &[Code]) -> String {
    match codes {
        [code] => format!("`{}`: {}.", code.problem_type().name, code.problem_type().title),
        codes => {
            let lines =
                codes.iter().map(|code| format!("* `{}`: {}", code.problem_type().name, code.problem_type().title));
            format!("One of these:\n\n{}", lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// Returns the problem document of a typical refusal.
fn example(code: Code) -> Example {
    let (path, refusal) = samples::of(code);
    let document = ProblemDocument::new(&refusal, Some(path), Some(samples::TRACE_ID));
    let problem_type = code.problem_type();
    ExampleBuilder::new()
        .summary(problem_type.title)
        .description(problem_type.explanation)
        .value(Some(to_value(document).unwrap_or_default()))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_is_listed_once() {
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = OWN.iter().copied().flatten().filter(|(name, _)| !seen.insert(*name)).collect();
        assert!(twice.is_empty(), "only one entry of an operation counts: {twice:?}");
    }
}
