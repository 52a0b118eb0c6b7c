//! Every body has examples, and they match its schema.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi::{document, operations, resolved};

/// Returns the faults of a value, by a schema of the document.
fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut whole = schema.clone();
    whole["components"] = document["components"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
    validator.iter_errors(value).map(|error| format!("{} at {}", error, error.instance_path())).collect()
}

/// Returns every body's content with its place and media type.
fn contents(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    let mut take = |of: String, body: &Value| {
        for (kind, content) in body["content"].as_object().into_iter().flatten() {
            found.push((of.clone(), kind.clone(), content.clone()));
        }
    };
    for (operation, item) in operations(document) {
        take(format!("the request of {operation}"), &item["requestBody"]);
        for (status, response) in item["responses"].as_object().unwrap() {
            take(format!("the {status} of {operation}"), resolved(document, response));
        }
    }
    for (name, item) in document["webhooks"].as_object().unwrap() {
        take(format!("the webhook {name}"), &item["post"]["requestBody"]);
    }
    found
}

#[test]
fn every_body_has_examples_that_match_its_schema() {
    let document = document();
    let mut wrong = BTreeSet::new();
    for (of, kind, content) in contents(&document) {
        let examples = content["examples"].as_object().cloned().unwrap_or_default();
        if examples.is_empty() {
            wrong.insert(format!("{of} has no example as {kind}"));
        }
        for (name, example) in examples {
            let example = resolved(&document, &example);
            if example["summary"].as_str().is_none_or(str::is_empty) {
                wrong.insert(format!("{name}, of {of}, has no summary"));
            }
            let faults = faults(&document, &content["schema"], &example["value"]);
            wrong.extend(faults.iter().map(|fault| format!("{name}, of {of}: {fault}")));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Examples of unknown operations would be dropped silently.
#[test]
fn every_example_of_the_files_is_in_the_document() {
    let document = document();
    let all = operations(&document);
    let files = [
        include_str!("../../../src/api/openapi/examples.json"),
        include_str!("../../../src/sandbox/routes/examples.json"),
    ];
    for file in files {
        let file: Value = serde_json::from_str(file).unwrap();
        for (name, places) in file.as_object().unwrap() {
            let operation = all.values().find(|item| item["operationId"] == **name);
            let operation = operation.unwrap_or_else(|| panic!("no operation {name}"));
            for (place, examples) in places.as_object().unwrap() {
                let (at, kind) = place.split_once(' ').unwrap_or((place, "application/json"));
                let body = if at == "request" { &operation["requestBody"] } else { &operation["responses"][at] };
                assert_eq!(body["content"][kind]["examples"], *examples, "{place} of {name}");
            }
        }
    }
}

#[test]
fn value_that_does_not_match_is_found() {
    let document = document();
    let schema = json!({"$ref": "#/components/schemas/Money"});
    assert_eq!(faults(&document, &schema, &json!({"amount": 1, "currency": "USD"})), Vec::<String>::new());
    for wrong in
        [json!({"amount": 1}), json!({"amount": 1.5, "currency": "USD"}), json!({"amount": 1, "currency": "usd"})]
    {
        assert!(!faults(&document, &schema, &wrong).is_empty(), "{wrong}");
    }
}
