//! What each operation may refuse: most of it follows from its form, and the table below has the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::to_value;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{HttpMethod, OpenApi, Ref, RefOr, Response};

use super::{headers, is_keyed, is_open, name, operations, samples, takes};
use crate::platform::error::Code;
use crate::platform::http::problem::Document;

/// Gives every operation an answer for each status that it may refuse with. Those of operations with a token are shared.
pub(super) fn add(document: &mut OpenApi) {
    let (mut shared, mut used) = (BTreeMap::new(), BTreeSet::new());
    for (method, operation) in operations(document) {
        let is_open = is_open(operation);
        for (status, codes) in by_status(operation, &method) {
            used.extend(codes.iter().map(|code| code.meaning().name));
            let answer = response(&codes, is_open);
            let answer = if is_open {
                answer.into()
            } else {
                let name = codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or");
                let reference = Ref::from_response_name(&name);
                shared.insert(name, answer.into());
                reference.into()
            };
            operation.responses.responses.insert(status.to_string(), answer);
        }
    }
    let components = document.components.get_or_insert_default();
    components.responses.extend(shared);
    let used = Code::ALL.iter().filter(|code| used.contains(code.meaning().name));
    components.examples.extend(used.map(|code| (code.meaning().name.to_owned(), example(*code).into())));
}

/// The codes by status, those of one status in the order of their table.
fn by_status(operation: &Operation, method: &HttpMethod) -> BTreeMap<u16, Vec<Code>> {
    let possible = [of_its_form(operation, method), of_its_own(name(operation)).to_vec()].concat();
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| possible.contains(code)) {
        statuses.entry(code.meaning().status).or_default().push(*code);
    }
    statuses
}

/// What follows from who may call it, what it takes, and what it leans on.
fn of_its_form(operation: &Operation, method: &HttpMethod) -> Vec<Code> {
    use Code as C;
    let has = |place, end: &'static str| takes(operation, &place, |name| name.ends_with(end));
    let has_id = takes(operation, &ParameterIn::Path, |name| name.ends_with("_id") && name != "trace_id");
    let has_query = has(ParameterIn::Query, "");
    let is_read_by_itself = name(operation) == READS_BY_ITSELF;
    let has_body = operation.request_body.is_some() && !is_read_by_itself;
    let leans_on_database = !WITHOUT_DATABASE.contains(&name(operation));
    let reasons: [(bool, &[Code]); 11] = [
        (true, &[C::Malformed, C::Internal]),
        (!READ_NO_BODY.contains(&name(operation)), &[C::BodyTooLarge]),
        (!is_open(operation), &[C::Unauthenticated, C::Forbidden, C::RateLimited]),
        // Other people's pages must not play with a sandbox on somebody's machine.
        (operation.tags.iter().flatten().any(|tag| tag == "sandbox"), &[C::Forbidden]),
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
        (has_query || has_body, &[C::InvalidRequest]),
        (has_body, &[C::UnsupportedMediaType]),
        (leans_on_database, &[C::Overloaded, C::Unavailable]),
        (leans_on_database && *method != HttpMethod::Get, &[C::OutcomeUnknown]),
    ];
    reasons.into_iter().filter(|(is_so, _)| *is_so).flat_map(|(_, codes)| codes).copied().collect()
}

/// It takes its body as it is, for the signature is over the bytes.
const READS_BY_ITSELF: &str = "receive_provider_event";

/// They become WebSockets.
const READ_NO_BODY: &[&str] = &["open_driver_stream", "watch_city"];

/// Operations that are answered from memory.
const WITHOUT_DATABASE: &[&str] = &[
    "create_token",
    "end_provider_faults",
    "follow_driver_events",
    "get_clock",
    "get_liveness",
    "get_provider_faults",
    "get_readiness",
    "get_request_sql",
    "kill_service",
    "list_nearby_drivers",
    "report_location",
    "report_locations",
    "watch_city",
];

/// What only the operations' own rules refuse.
const OF_THEIR_OWN: &[(&str, &[Code])] = {
    use Code as C;
    &[
        ("get_readiness", &[C::Unavailable]),
        ("watch_city", &[C::Forbidden, C::Unavailable]),
        ("set_clock", &[C::InvalidId, C::NotFound, C::NothingPending]),
        ("get_request_sql", &[C::NotFound]),
        ("kill_service", &[C::NotSupervised]),
        ("reset_sandbox", &[C::NotASimulator]),
        ("get_provider_faults", &[C::NotASimulator, C::Unavailable]),
        ("plan_provider_faults", &[C::NotASimulator, C::InvalidId, C::NotFound]),
        ("end_provider_faults", &[C::NotASimulator, C::Unavailable]),
        ("get_provider_view", &[C::NotASimulator]),
        ("expire_reservation", &[C::NotASimulator]),
        ("create_token", &[C::InvalidId, C::Unavailable]),
        ("request_trip", &[C::InvalidId, C::NotFound, C::QuoteExpired, C::QuoteUsed, C::ActiveTripExists]),
        ("cancel_trip", &[C::InvalidTransition]),
        ("complete_trip", &[C::InvalidTransition]),
        ("abort_trip", &[C::InvalidTransition]),
        ("reset_pin", &[C::InvalidTransition]),
        ("arrive_at_pickup", &[C::InvalidTransition, C::TooFarFromPickup]),
        ("start_trip", &[C::InvalidTransition, C::WrongPin, C::PinLocked]),
        ("report_no_show", &[C::InvalidTransition, C::TooEarly]),
        ("tip_driver", &[C::InvalidTransition, C::AlreadyTipped]),
        ("accept_offer", &[C::OfferExpired, C::OfferWithdrawn, C::OfferTaken, C::DriverOnTrip, C::InvalidTransition]),
        ("decline_offer", &[C::OfferExpired, C::OfferWithdrawn, C::InvalidTransition]),
        ("get_profile", &[C::NotFound]),
        ("set_availability", &[C::DriverOnTrip]),
        ("report_location", &[C::NotTheMatcher]),
        ("list_nearby_drivers", &[C::NotTheMatcher]),
        ("report_locations", &[C::InvalidId, C::NotTheMatcher]),
        ("create_refund", &[C::NotRefundable]),
        ("receive_provider_event", &[C::SignatureInvalid]),
        ("get_ledger", &[C::InvalidId]),
        ("list_postings", &[C::InvalidId]),
        ("list_findings", &[C::InvalidId]),
        ("resolve_finding", &[C::InvalidTransition]),
        ("redeliver_webhook", &[C::InvalidTransition]),
        ("resolve_payment", &[C::NotResolvable]),
        ("resolve_refund", &[C::NotResolvable, C::NotRefundable]),
        ("create_webhook_endpoint", &[C::EndpointLimit]),
        // It takes no body, and refuses one that has fields.
        ("delete_webhook_endpoint", &[C::InvalidRequest, C::UnsupportedMediaType]),
    ]
};

/// The operations that are known by name here.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    let others = WITHOUT_DATABASE.iter().chain([&READS_BY_ITSELF]).chain(READ_NO_BODY);
    OF_THEIR_OWN.iter().map(|(name, _)| name).chain(others).copied().collect()
}

fn of_its_own(operation: &str) -> &'static [Code] {
    OF_THEIR_OWN.iter().find(|(name, _)| *name == operation).map_or(&[], |(_, codes)| codes)
}

fn response(codes: &[Code], is_open: bool) -> Response {
    let examples = codes.iter().map(|code| {
        let name = code.meaning().name;
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
        [code] => format!("`{}`: {}.", code.meaning().name, code.meaning().title),
        codes => {
            let lines = codes.iter().map(|code| format!("* `{}`: {}", code.meaning().name, code.meaning().title));
            format!("One of these:\n\n{}", lines.collect::<Vec<_>>().join("\n"))
        }
    }
}

/// The problem document of a refusal as it happens.
fn example(code: Code) -> Example {
    let (path, refusal) = samples::of(code);
    let document = Document::new(&refusal, Some(path), Some(samples::TRACE_ID));
    let meaning = code.meaning();
    ExampleBuilder::new()
        .summary(meaning.title)
        .description(meaning.why)
        .value(Some(to_value(document).unwrap_or_default()))
        .build()
}
