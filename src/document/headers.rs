//! Headers of answers and the trace context of requests, where they really occur.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Header, OpenApi, Ref, RefOr, Required};

use super::{is_keyed, is_open, operations, takes};
use crate::platform::error::Code;

/// A header: name, what it says, what it looks like, an example.
type Described = (&'static str, &'static str, &'static str, &'static str);

const DESCRIBED: &[Described] = &[
    (
        "Trace-Id",
        "Finds the request in the logs: the trace id of `traceparent`, or one made for it.",
        "^[0-9a-f]{32}$",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    (
        "RateLimit",
        "How many requests of the caller are left (`r`), and after how many seconds there are more (`t`).",
        r#"^"caller";r=[0-9]+;t=[0-9]+$"#,
        r#""caller";r=199;t=1"#,
    ),
    (
        "RateLimit-Policy",
        "How many requests a caller may make (`q`) in so many seconds (`w`) on average; twice as many at once.",
        r#"^"caller";q=[0-9]+;w=1$"#,
        r#""caller";q=100;w=1"#,
    ),
    (
        "Retry-After",
        "Seconds after which it is worth trying again; absent where waiting does not help.",
        "^[0-9]+$",
        "1",
    ),
    ("WWW-Authenticate", "The scheme that is asked for.", "^Bearer$", "Bearer"),
    ("ETag", "The version of the resource, for `If-Match` and `If-None-Match`.", r#"^"[0-9]+"$"#, r#""3""#),
    ("Location", "The address of what was made.", "^/v1/", "/v1/trips/trip_01jd3n9k8zf4r8x2v5m7q0w1et"),
    (
        "Idempotent-Replayed",
        "`true`: this is the answer of the first request under the key, and nothing was done now. Absent otherwise.",
        "^true$",
        "true",
    ),
    ("Vary", "The request's headers that the form of the answer depends on.", "^Accept$", "Accept"),
    ("Cache-Control", "Not to be kept: it is true at this moment alone.", "^no-store$", "no-store"),
];

/// Adds the headers of successes, 304 where it is known, and `traceparent`. Those of refusals are there already.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let is_conditional = takes(operation, &ParameterIn::Header, |name| name == "If-None-Match");
        if is_conditional {
            let unchanged =
                ResponseBuilder::new().description("You have it: this version is the one in `If-None-Match`.");
            operation.responses.responses.insert("304".to_owned(), unchanged.build().into());
        }
        let (is_open, is_keyed) = (is_open(operation), is_keyed(operation));
        let own = of_its_own(super::name(operation));
        for (status, answer) in &mut operation.responses.responses {
            let (RefOr::T(answer), "2" | "3") = (answer, &status[..1]) else { continue };
            let reasons = [
                (true, "Trace-Id"),
                (!is_open, "RateLimit"),
                (!is_open, "RateLimit-Policy"),
                (is_keyed || is_conditional, "ETag"),
                (is_keyed && status == "201", "Location"),
                (is_keyed, "Idempotent-Replayed"),
            ];
            let names = reasons.iter().filter(|(occurs, _)| *occurs).map(|(_, name)| name).chain(own);
            answer.headers.extend(names.copied().map(reference));
        }
        operation.parameters.get_or_insert_default().push(RefOr::Ref(Ref::new("#/components/parameters/traceparent")));
    }
    let components = document.components.get_or_insert_default();
    components.headers.extend(DESCRIBED.iter().map(|described| (described.0.to_owned(), header(described).into())));
    let traceparent = ParameterBuilder::new()
        .name("traceparent")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "W3C trace context: its trace id becomes the request's, in `Trace-Id`, in problem documents and in the logs. One that \
             cannot be read is left alone, as the standard asks, and the request gets a trace id of its own.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()));
    components.parameters.insert("traceparent".to_owned(), traceparent.build().into());
}

/// Headers of one operation's successes alone.
const OF_THEIR_OWN: &[(&str, &[&str])] =
    &[("get_receipt", &["Vary"]), ("follow_driver_events", &["Cache-Control"]), ("watch_city", &["Cache-Control"])];

/// The operations that are known by name here.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    OF_THEIR_OWN.iter().map(|(name, _)| *name).collect()
}

fn of_its_own(operation: &str) -> &'static [&'static str] {
    OF_THEIR_OWN.iter().find(|(name, _)| *name == operation).map_or(&[], |(_, names)| names)
}

/// The headers of a refusal for one of these reasons.
pub(super) fn of_refusal(codes: &[Code], is_open: bool) -> Vec<&'static str> {
    use Code as C;
    let says_when = |code: &Code| {
        let temporary = [C::RequestInProgress, C::RateLimited, C::TooManyCommands, C::NotTheMatcher];
        temporary.contains(code) || [C::OutcomeUnknown, C::Overloaded, C::Unavailable].contains(code)
    };
    let is_stranger = codes.contains(&C::Unauthenticated);
    let reasons = [
        (true, "Trace-Id"),
        (!is_open && !is_stranger, "RateLimit"),
        (!is_open && !is_stranger, "RateLimit-Policy"),
        (codes.iter().any(says_when), "Retry-After"),
        (is_stranger, "WWW-Authenticate"),
    ];
    reasons.into_iter().filter(|(occurs, _)| *occurs).map(|(_, name)| name).collect()
}

/// A header's entry in an answer: its name, and where it is described.
pub(super) fn reference(name: &'static str) -> (String, RefOr<Header>) {
    (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))
}

fn header(&(_, description, pattern, example): &Described) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).example(Some(example.into())).build()
}
