//! The OpenAPI document is current, complete, and suitable for client generators.
#![allow(clippy::unwrap_used, reason = "tests")]

mod examples;
mod fields;
mod links;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

const FILE: &str = "openapi/openapi.json";

fn document() -> Value {
    serde_json::to_value(ridematch::document()).unwrap()
}

/// Returns every operation by its method and path, such as `POST /v1/trips`.
fn operations(document: &Value) -> BTreeMap<String, Value> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        methods.map(|(method, operation)| (format!("{} {path}", method.to_uppercase()), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn published_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let published = std::fs::read_to_string(path).unwrap_or_default();
    let generated = ridematch::document().to_pretty_json().unwrap() + "\n";
    assert!(published == generated, "{FILE} is stale. Regenerate it: cargo run -- openapi > {FILE}");
}

#[test]
fn document_is_openapi_3_1_without_keywords_of_3_0() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut found = Vec::new();
    outdated(&document, "", &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

/// Collects the pointers of `nullable`, of bounds that are a flag, and of `items` that are a list. Examples are not schemas.
fn outdated(value: &Value, pointer: &str, found: &mut Vec<String>) {
    let members: Vec<_> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(nth, item)| (nth.to_string(), item)).collect(),
        _ => return,
    };
    for (name, member) in members {
        let is_outdated = match name.as_str() {
            "example" | "examples" | "default" | "const" | "enum" => continue,
            "nullable" => !pointer.ends_with("/properties"),
            "exclusiveMinimum" | "exclusiveMaximum" => member.is_boolean(),
            "items" => member.is_array(),
            _ => false,
        };
        let pointer = format!("{pointer}/{name}");
        if is_outdated {
            found.push(pointer.clone());
        }
        outdated(member, &pointer, found);
    }
}

/// Returns the parameters of an operation, including shared ones.
fn parameters(document: &Value, item: &Value) -> Vec<Value> {
    let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
    parameters.iter().map(|parameter| resolved(document, parameter).clone()).collect()
}

/// Returns the target of a reference, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[test]
fn every_operation_has_a_unique_id_texts_and_one_tag() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].to_string()).collect();
    let mut names = BTreeMap::new();
    for (operation, item) in operations(&document) {
        let name = item["operationId"].as_str().unwrap_or_else(|| panic!("{operation} has no operationId"));
        if let Some(other) = names.insert(name.to_owned(), operation.clone()) {
            panic!("{operation} and {other} are both called {name}");
        }
        for (text, least) in [("summary", 5), ("description", 40)] {
            let length = item[text].as_str().unwrap_or_default().len();
            assert!(length >= least, "the {text} of {operation} is too short: {:?}", item[text]);
        }
        let tagged = item["tags"].as_array().unwrap();
        assert!(tagged.len() == 1 && tags.contains(&tagged[0].to_string()), "{operation}: {tagged:?}");
        let responses = item["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{operation} has no success status");
        assert!(
            responses.keys().all(|status| status.parse::<u16>().is_ok()),
            "{operation} has a status range: {responses:?}"
        );
    }
}

/// The explorer and the document present the tags and operations in the order of a ride.
#[test]
fn document_is_in_the_order_of_a_ride() {
    let order = ["quotes", "trips", "offers", "drivers", "zones", "payments", "webhooks", "ops", "health", "sandbox"];
    let document = document();
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert_eq!(tags, order);
    // The value above sorts its keys; the text has the paths in their published order.
    let text = ridematch::document().to_json().unwrap();
    let positions: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, item)| {
            let operation = item.as_object().unwrap().values().next().unwrap();
            let tag = operation["tags"][0].as_str().unwrap();
            (text.find(&format!("\"{path}\":")).unwrap(), order.iter().position(|known| *known == tag).unwrap(), path)
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    assert!(positions.is_sorted_by_key(|(_, tag, _)| *tag), "{positions:?}");
}

#[test]
fn every_parameter_is_described_and_path_parameters_match_the_path() {
    let document = document();
    for (operation, item) in operations(&document) {
        let named: BTreeSet<_> = operation.split(['{', '}']).skip(1).step_by(2).map(str::to_owned).collect();
        let parameters = parameters(&document, &item);
        for parameter in &parameters {
            let is_described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(is_described, "{} of {operation} is not described", parameter["name"]);
        }
        let of_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let of_path: BTreeSet<_> = of_path.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(of_path, named, "{operation}");
    }
}

#[test]
fn every_reference_resolves() {
    fn walk(value: &Value, document: &Value) {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is external"));
            assert!(document.pointer(pointer).is_some(), "{reference} does not resolve");
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            Value::Object(members) => members.values().for_each(|member| walk(member, document)),
            _ => {}
        }
    }
    let document = document();
    walk(&document, &document);
}

/// Commands on trips, offers, money and webhooks require a key.
#[test]
fn every_command_requires_an_idempotency_key() {
    let document = document();
    for (operation, item) in operations(&document) {
        let is_keyed = ["POST /v1/trips", "POST /v1/offers/", "POST /v1/payments/", "POST /v1/ops/"]
            .iter()
            .any(|start| operation.starts_with(start));
        let parameters = parameters(&document, &item);
        let key = parameters.iter().find(|one| one["in"] == "header" && one["name"] == "Idempotency-Key");
        assert_eq!(key.map(|key| &key["required"]), is_keyed.then_some(&json!(true)), "{operation}");
    }
}

/// `tests/api/authorization` checks that the roles are enforced.
#[test]
fn every_operation_lists_its_roles() {
    let document = document();
    assert_eq!(document.get("security"), None, "no default may hide a missing declaration");
    let roles: BTreeSet<_> = document["components"]["securitySchemes"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(roles, ["driver", "gateway", "ops", "rider"].map(str::to_owned).into());
    let mut open = Vec::new();
    for (operation, item) in operations(&document) {
        let named = item["security"].as_array().unwrap_or_else(|| panic!("{operation} lists no roles"));
        if item["security"] == json!([]) {
            open.push(operation);
            continue;
        }
        for one in named {
            let one = one.as_object().unwrap();
            assert!(one.len() == 1 && roles.contains(one.keys().next().unwrap()), "{operation}: {one:?}");
        }
    }
    let expected = [
        "DELETE /v1/sandbox/provider/faults",
        "GET /healthz",
        "GET /readyz",
        "GET /v1/sandbox/audit",
        "GET /v1/sandbox/clock",
        "GET /v1/sandbox/live",
        "GET /v1/sandbox/objects/{id}",
        "GET /v1/sandbox/provider/faults",
        "GET /v1/sandbox/provider/payment_intents/{payment_id}",
        "GET /v1/sandbox/requests/{trace_id}",
        "GET /v1/sandbox/route",
        "GET /v1/sandbox/state_machines",
        "GET /v1/sandbox/streets",
        "GET /v1/sandbox/timeline/{id}",
        "POST /v1/sandbox/clock",
        "POST /v1/sandbox/kill",
        "POST /v1/sandbox/provider/faults",
        "POST /v1/sandbox/provider/payment_intents/{payment_id}/expire",
        "POST /v1/sandbox/reset",
        "POST /v1/sandbox/tokens",
        "POST /v1/webhooks/psp",
        "PUT /v1/sandbox/streets",
    ];
    assert_eq!(open, expected);
}

/// Schemas are published by type name; with equal names, one would replace the other.
#[test]
fn schema_names_are_unique() {
    let mut names: Vec<String> = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(path).unwrap();
                let mut lines = source.lines().map(str::trim_start);
                while lines.any(|line| line.starts_with("#[derive(") && line.contains("ToSchema")) {
                    let item = lines.find(|line| line.contains("struct ") || line.contains("enum ")).unwrap();
                    let name = item.split_whitespace().skip_while(|word| !["struct", "enum"].contains(word)).nth(1);
                    names.push(name.unwrap().trim_matches(|c: char| !c.is_alphanumeric()).to_owned());
                }
            }
        }
    }
    names.sort_unstable();
    assert!(names.len() > 20, "the search finds too few schemas: {names:?}");
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "duplicate names: {twice:?}");
}
