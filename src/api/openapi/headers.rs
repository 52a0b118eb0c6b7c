//! Response headers and the trace context of requests, on every operation where they occur.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Header, OpenApi, Ref, RefOr, Required};

use super::{is_keyed, is_open, operations, takes};
use crate::platform::error::Code;

/// A header: name, description, pattern, example.
type Described = (&'static str, &'static str, &'static str, &'static str);

const DESCRIBED: &[Described] = &[
    (
        "Trace-Id",
        "The trace id of the request, for finding it in the logs: the one in `traceparent`, or a new one.",
        "^[0-9a-f]{32}$",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ),
    (
        "RateLimit",
        "The remaining requests of the caller (`r`), and the seconds until the limit resets (`t`).",
        r#"^"caller";r=[0-9]+;t=[0-9]+$"#,
        r#""caller";r=199;t=1"#,
    ),
    (
        "RateLimit-Policy",
        "The quota of requests (`q`) per window in seconds (`w`). A burst may have twice as many.",
        r#"^"caller";q=[0-9]+;w=1$"#,
        r#""caller";q=100;w=1"#,
    ),
    ("Retry-After", "Seconds to wait before a retry. Absent where a retry does not help.", "^[0-9]+$", "1"),
    ("WWW-Authenticate", "The required authentication scheme.", "^Bearer$", "Bearer"),
    (
        "ETag",
        "The version of the resource and a digest of the body, for `If-Match` and `If-None-Match`.",
        r#"^"[0-9]+-[0-9a-f]{16}"$"#,
        r#""3-44136fa355b3678a""#,
    ),
    ("Location", "The path of the created resource.", "^/v1/", "/v1/trips/trip_01jd3n9k8zf4r8x2v5m7q0w1et"),
    (
        "Idempotent-Replayed",
        "`true` if this is the stored response to an earlier request with the same key, and nothing was executed. Absent otherwise.",
        "^true$",
        "true",
    ),
    ("Vary", "The request headers that the response depends on.", "^[A-Za-z]+(, [A-Za-z]+)*$", "Accept, Authorization"),
    ("Accept-Encoding", "The content codings that bodies may have.", "^identity$", "identity"),
    ("Upgrade", "The protocol that the connection can switch to.", "^websocket$", "websocket"),
    ("Sec-WebSocket-Version", "The version of the WebSocket protocol.", "^13$", "13"),
    ("Cache-Control", "The response must not be stored.", "^no-store$", "no-store"),
];

/// Adds `traceparent`, the headers of successes, and 304 to conditional operations. Refusals already have their headers.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let is_conditional = takes(operation, &ParameterIn::Header, |name| name == "If-None-Match");
        if is_conditional {
            let unchanged =
                ResponseBuilder::new().description("Not modified: `If-None-Match` names the current version.");
            operation.responses.responses.insert("304".to_owned(), unchanged.build().into());
        }
        let (is_open, is_keyed) = (is_open(operation), is_keyed(operation));
        let own = own(super::name(operation));
        for (status, response) in &mut operation.responses.responses {
            let (RefOr::T(response), "2" | "3") = (response, &status[..1]) else { continue };
            let reasons = [
                (true, "Trace-Id"),
                (!is_open, "RateLimit"),
                (!is_open, "RateLimit-Policy"),
                (!is_open, "Vary"),
                (is_keyed || is_conditional, "ETag"),
                (is_keyed && status == "201", "Location"),
                (is_keyed, "Idempotent-Replayed"),
            ];
            let names = reasons.iter().filter(|(occurs, _)| *occurs).map(|(_, name)| name).chain(own);
            response.headers.extend(names.copied().map(reference));
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
            "W3C trace context. Its trace id becomes the request's, in `Trace-Id`, in problem documents and in the logs. An invalid \
             value is ignored, as the standard demands, and the request gets a new trace id.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()));
    components.parameters.insert("traceparent".to_owned(), traceparent.build().into());
}

/// Headers on the success of single operations.
const OWN: &[(&str, &[&str])] = &[
    ("follow_driver_events", &["Cache-Control"]),
    #[cfg(feature = "sandbox")]
    crate::sandbox::routes::openapi::UNCACHED,
];

/// Returns the names of operations in the table.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    OWN.iter().map(|(name, _)| *name).collect()
}

fn own(operation: &str) -> &'static [&'static str] {
    OWN.iter().find(|(name, _)| *name == operation).map_or(&[], |(_, names)| names)
}

/// Returns the headers of a refusal with one of these codes.
pub(super) fn of_refusal(codes: &[Code], is_open: bool) -> Vec<&'static str> {
    use Code as C;
    let is_temporary = |code: &Code| {
        let temporary = [C::RequestInProgress, C::RateLimited, C::TooManyCommands, C::TooManyStreams, C::NotTheMatcher];
        temporary.contains(code) || [C::OutcomeUnknown, C::Overloaded, C::Unavailable].contains(code)
    };
    let is_unauthenticated = codes.contains(&C::Unauthenticated);
    let reasons = [
        (true, "Trace-Id"),
        (!is_open && !is_unauthenticated, "RateLimit"),
        (!is_open && !is_unauthenticated, "RateLimit-Policy"),
        (!is_open && !is_unauthenticated, "Vary"),
        (codes.iter().any(is_temporary), "Retry-After"),
        (is_unauthenticated, "WWW-Authenticate"),
        (codes.contains(&C::UnsupportedEncoding), "Accept-Encoding"),
        (codes.contains(&C::UpgradeRequired), "Upgrade"),
        (codes.contains(&C::UpgradeRequired), "Sec-WebSocket-Version"),
    ];
    reasons.into_iter().filter(|(occurs, _)| *occurs).map(|(_, name)| name).collect()
}

/// Returns a response's entry for a header: a reference to its description.
pub(super) fn reference(name: &'static str) -> (String, RefOr<Header>) {
    (name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))))
}

fn header(&(_, description, pattern, example): &Described) -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).example(Some(example.into())).build()
}
