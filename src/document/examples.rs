//! Examples of bodies by name, from a file: what a real service was asked, and what it answered.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::{Content, OpenApi, RefOr};

use super::{name, operations};

/// By operation, and by `request` or a status with its media type where that is not JSON: `200 text/plain`.
type Examples = BTreeMap<String, BTreeMap<String, BTreeMap<String, Named>>>;

/// One example.
#[derive(Deserialize)]
struct Named {
    summary: String,
    value: Value,
}

const FILE: &str = include_str!("examples.json");

/// Adds the examples. Those that have no place are left out here, and found by a test.
pub(super) fn add(document: &mut OpenApi) {
    let mut examples: Examples = serde_json::from_str(FILE).unwrap_or_default();
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
                    Some(RefOr::T(answer)) => answer.content.get_mut(kind),
                    _ => None,
                },
            };
            if let Some(RefOr::T(content)) = content {
                put(content, named);
            }
        }
    }
}

fn put(content: &mut Content, named: BTreeMap<String, Named>) {
    let examples = named.into_iter().map(|(name, example)| (name, RefOr::from(build(example))));
    content.examples.extend(examples);
}

fn build(Named { summary, value }: Named) -> Example {
    ExampleBuilder::new().summary(summary).value(Some(value)).build()
}
