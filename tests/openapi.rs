//! The published document: fresh, whole, and fit to generate a client from.
#![allow(clippy::unwrap_used, reason = "tests")]

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

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_a_tag_and_an_answer() {
    let document = document();
    let tags: BTreeSet<_> =
        document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).map(Value::to_string).collect();
    let mut names = BTreeMap::new();
    for (operation, item) in operations(&document) {
        let name = item["operationId"].as_str().unwrap_or_else(|| panic!("{operation} has no operationId"));
        if let Some(other) = names.insert(name.to_owned(), operation.clone()) {
            panic!("{operation} and {other} are both called {name}");
        }
        assert!(item["summary"].as_str().is_some_and(|text| !text.is_empty()), "{operation} has no summary");
        let tagged = item["tags"].as_array().unwrap_or_else(|| panic!("{operation} has no tag"));
        assert!(
            tagged.iter().all(|tag| tags.contains(&tag.to_string())),
            "{operation} has a tag that nobody explains: {tagged:?}"
        );
        let answers = item["responses"].as_object().unwrap();
        assert!(answers.keys().any(|status| status.starts_with('2')), "{operation} never succeeds");
    }
}

#[test]
fn every_parameter_of_a_path_is_described_and_no_other() {
    for (operation, item) in operations(&document()) {
        let named: BTreeSet<_> = operation.split(['{', '}']).skip(1).step_by(2).collect();
        let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
        let described = parameters.iter().filter(|parameter| parameter["in"] == "path");
        let described: BTreeSet<_> = described.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        assert_eq!(described, named, "{operation}");
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
    for (operation, item) in operations(&document()) {
        let is_keyed = ["POST /v1/trips", "POST /v1/offers/", "POST /v1/payments/", "POST /v1/ops/"]
            .iter()
            .any(|start| operation.starts_with(start));
        let parameters = item["parameters"].as_array().cloned().unwrap_or_default();
        let key =
            parameters.iter().find(|parameter| parameter["in"] == "header" && parameter["name"] == "Idempotency-Key");
        assert_eq!(key.map(|key| &key["required"]), is_keyed.then_some(&json!(true)), "{operation}");
    }
}

/// Only what works without a token says that it does.
#[test]
fn the_operations_without_a_token_are_these() {
    let document = document();
    assert_eq!(document["security"], json!([{"bearer": []}]));
    let open = operations(&document).into_iter().filter(|(_, item)| item["security"] == json!([{}]));
    let open: Vec<_> = open.map(|(operation, _)| operation).collect();
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
