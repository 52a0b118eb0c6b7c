//! Examples of request and response bodies, captured from a running service.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::{Content, OpenApi, RefOr};

use super::{name, operations};

/// By operation; then by `request` or the status, with the media type if it is not JSON (`200 text/plain`); then by name.
type Examples = BTreeMap<String, BTreeMap<String, BTreeMap<String, Captured>>>;

/// An example with its summary.
#[derive(Deserialize)]
struct Captured {
    summary: String,
    value: Value,
}

const FILES: &[&str] = &[
    include_str!("examples.json"),
    #[cfg(feature = "sandbox")]
    include_str!("../../sandbox/routes/examples.json"),
];

/// Adds the examples. One without a place in the document is left out; a test finds it.
pub(super) fn add(document: &mut OpenApi) {
    let files = FILES.iter().filter_map(|file| serde_json::from_str::<Examples>(file).ok()).flatten();
    let mut examples: Examples = files.collect();
    for (_, operation) in operations(document) {
        let Some(of_operation) = examples.remove(name(operation)) else { continue };
        for (place, named) in of_operation {
            let (at, kind) = place.split_once(' ').unwrap_or((&place, "application/json"));
            let content = match at {
                "request" => match &mut operation.request_body {
                    Some(RefOr::T(body)) => body.content.get_mut(kind),
                    _ => None,
                },
                status => match operation.responses.responses.get_mut(status) {
                    Some(RefOr::T(response)) => response.content.get_mut(kind),
                    _ => None,
                },
            };
            if let Some(RefOr::T(content)) = content {
                put(content, named);
            }
        }
    }
}

fn put(content: &mut Content, named: BTreeMap<String, Captured>) {
    let examples = named.into_iter().map(|(name, example)| (name, RefOr::from(build(example))));
    content.examples.extend(examples);
}

fn build(Captured { summary, value }: Captured) -> Example {
    ExampleBuilder::new().summary(summary).value(Some(value)).build()
}
