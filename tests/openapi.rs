//! The published document: fresh, whole, and fit to generate a client from.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "openapi/examples.rs"]
mod examples;
#[path = "openapi/fields.rs"]
mod fields;
#[path = "openapi/links.rs"]
mod links;
#[path = "openapi/refusals.rs"]
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

const FILE: &str = "openapi/openapi.json";

fn document() -> Value {
    serde_json::to_value(ridematch::document()).unwrap()
}

/// Every operation with its method and path, `POST /v1/trips`.
fn operations(document: &Value) -> BTreeMap<String, Value> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().clone().into_iter();
        methods.map(|(method, operation)| (format!("{} {path}", method.to_uppercase()), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn the_published_document_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let published = std::fs::read_to_string(path).unwrap_or_default();
    let generated = ridematch::document().to_pretty_json().unwrap() + "\n";
    assert!(published == generated, "{FILE} is stale. Write it anew: cargo run -- openapi > {FILE}");
}

#[test]
fn it_is_openapi_3_1() {
    assert!(document()["openapi"].as_str().unwrap().starts_with("3.1."));
}

/// The parameters of an operation, those that are shared included.
fn parameters(document: &Value, item: &Value) -> Vec<Value> {
    let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
    parameters.iter().map(|parameter| resolved(document, parameter).clone()).collect()
}

/// What a reference leads to; itself if it is none.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[test]
fn every_operation_has_a_name_of_its_own_teaches_and_has_one_tag() {
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
            assert!(length >= least, "the {text} of {operation} says nothing: {:?}", item[text]);
        }
        let tagged = item["tags"].as_array().unwrap();
        assert!(tagged.len() == 1 && tags.contains(&tagged[0].to_string()), "{operation}: {tagged:?}");
        let answers = item["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{operation} never succeeds");
        assert!(answers.keys().all(|status| status.parse::<u16>().is_ok()), "{operation} answers vaguely: {answers:?}");
    }
}

#[test]
fn every_parameter_is_described_and_those_of_a_path_are_the_paths() {
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
fn every_reference_leads_somewhere() {
    fn walk(value: &Value, document: &Value) {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer =
                reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
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

/// Commands on trips, offers, money and webhooks need a key, and the document says so.
#[test]
fn every_keyed_operation_asks_for_its_key() {
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

/// Each operation names the roles that may call it; only what works without a token says that it does. That it is true is tried by
/// `tests/authorisation`.
#[test]
fn every_operation_says_who_may_call_it() {
    let document = document();
    assert_eq!(document.get("security"), None, "what an operation forgets must not be filled in");
    let roles: BTreeSet<_> = document["components"]["securitySchemes"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(roles, ["driver", "gateway", "ops", "rider"].map(str::to_owned).into());
    let mut open = Vec::new();
    for (operation, item) in operations(&document) {
        let named = item["security"].as_array().unwrap_or_else(|| panic!("{operation} does not say who may call it"));
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
        "GET /v1/sandbox/clock",
        "GET /v1/sandbox/live",
        "GET /v1/sandbox/machines",
        "GET /v1/sandbox/provider/faults",
        "GET /v1/sandbox/provider/payment_intents/{payment_id}",
        "GET /v1/sandbox/requests/{trace_id}",
        "GET /v1/sandbox/streets",
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

/// Schemas are published by the names of their types, and of two with the same name one would stand for both.
#[test]
fn no_two_schemas_have_the_same_name() {
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
    assert!(names.len() > 20, "the schemas are not looked for in the right way: {names:?}");
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    assert!(twice.is_empty(), "named twice: {twice:?}");
}
