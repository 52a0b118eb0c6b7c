//! Every refusal is a problem document with an example of each of its codes, and has the headers that it really has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{document, operations, parameters, resolved};

/// The answers that refuse: operation, status, and the answer.
fn refusals(document: &Value) -> Vec<(String, Value, String, Value)> {
    let mut found = Vec::new();
    for (operation, item) in operations(document) {
        for (status, answer) in item["responses"].as_object().unwrap() {
            if status.starts_with(['4', '5']) {
                found.push((operation.clone(), item.clone(), status.clone(), resolved(document, answer).clone()));
            }
        }
    }
    found
}

#[test]
fn every_refusal_has_examples_of_its_status() {
    let document = document();
    for (operation, _, status, answer) in refusals(&document) {
        let content = &answer["content"]["application/problem+json"];
        assert_eq!(content["schema"], json!({"$ref": "#/components/schemas/Problem"}), "{status} of {operation}");
        let examples = content["examples"].as_object().unwrap();
        assert!(!examples.is_empty(), "{status} of {operation}");
        for (code, example) in examples {
            let problem = &resolved(&document, example)["value"];
            assert_eq!(
                (&problem["code"], problem["status"].to_string()),
                (&json!(code), status.clone()),
                "{operation}"
            );
            assert_eq!(problem["type"], json!(format!("/problems/{code}")));
            assert!(answer["description"].as_str().unwrap().contains(&format!("`{code}`")), "{status} of {operation}");
        }
    }
}

#[test]
fn what_an_operation_takes_decides_what_it_refuses() {
    let document = document();
    for (operation, item) in operations(&document) {
        let statuses: BTreeSet<_> = item["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let parameters = parameters(&document, &item);
        let takes = |place: &str, name: &str| parameters.iter().any(|one| one["in"] == place && one["name"] == name);
        let has_id = operation.contains("_id}");
        let is_open = item["security"] == json!([]);
        let is_socket = statuses.contains("101");
        let is_sandbox = item["tags"] == json!(["sandbox"]);
        let expected = [
            ("400", true),
            ("401", !is_open),
            ("403", !is_open || is_sandbox),
            ("412", takes("header", "If-Match")),
            ("413", !is_socket),
            ("429", !is_open),
            ("500", true),
        ];
        for (status, refuses) in expected {
            assert_eq!(statuses.contains(status), refuses, "{status} of {operation}");
        }
        assert!(statuses.contains("404") || !has_id, "404 of {operation}");
        assert!(statuses.contains("304") == takes("header", "If-None-Match"), "304 of {operation}");
    }
}

/// Every code is one that some operation answers with, or is known for something else.
#[test]
fn every_code_is_somewhere() {
    let document = document();
    let all = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap().clone();
    let used: BTreeSet<_> = document["components"]["examples"].as_object().unwrap().keys().cloned().collect();
    let unused: Vec<_> = all.iter().filter_map(Value::as_str).filter(|code| !used.contains(*code)).collect();
    // No operation has an unknown method; and to dispatch alone a driver can be unavailable.
    assert_eq!(unused, ["method_not_allowed", "driver_unavailable"]);
}

#[test]
fn headers_are_where_they_occur() {
    let document = document();
    for (operation, item, status, answer) in refusals(&document) {
        let named: BTreeSet<_> = answer["headers"].as_object().unwrap().keys().map(String::as_str).collect();
        let is_open = item["security"] == json!([]);
        assert!(named.contains("Trace-Id"), "{status} of {operation}");
        assert_eq!(named.contains("RateLimit"), !is_open && status != "401", "{status} of {operation}");
        assert_eq!(named.contains("WWW-Authenticate"), status == "401", "{status} of {operation}");
        let must_say_when = ["429", "503"].contains(&&*status);
        assert!(named.contains("Retry-After") || !must_say_when, "{status} of {operation}");
    }
}
