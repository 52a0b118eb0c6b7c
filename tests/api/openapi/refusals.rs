//! Every refusal is a problem document with an example of each code, and declares its headers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::openapi::{document, operations, parameters, resolved};

/// Returns every refusal: operation, definition, status and response.
fn refusals(document: &Value) -> Vec<(String, Value, String, Value)> {
    let mut found = Vec::new();
    for (operation, item) in operations(document) {
        for (status, response) in item["responses"].as_object().unwrap() {
            if status.starts_with(['4', '5']) {
                found.push((operation.clone(), item.clone(), status.clone(), resolved(document, response).clone()));
            }
        }
    }
    found
}

#[test]
fn every_refusal_has_an_example_of_each_code() {
    let document = document();
    for (operation, _, status, response) in refusals(&document) {
        let content = &response["content"]["application/problem+json"];
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
            assert!(
                response["description"].as_str().unwrap().contains(&format!("`{code}`")),
                "{status} of {operation}"
            );
        }
    }
}

#[test]
fn statuses_follow_from_the_form_of_an_operation() {
    let document = document();
    for (operation, item) in operations(&document) {
        let statuses: BTreeSet<_> = item["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        let parameters = parameters(&document, &item);
        let takes = |place: &str, name: &str| parameters.iter().any(|one| one["in"] == place && one["name"] == name);
        let has_id = operation.contains("_id}");
        let is_open = item["security"] == json!([]);
        let takes_body = !operation.starts_with("GET ") && !operation.starts_with("DELETE ");
        assert!(takes_body || item["requestBody"].is_null(), "{operation} has a body");
        let is_sandbox = item["tags"] == json!(["sandbox"]);
        let expected = [
            ("400", true),
            ("401", !is_open),
            ("403", !is_open || is_sandbox),
            ("412", takes("header", "If-Match")),
            ("413", takes_body),
            ("429", !is_open),
            ("500", true),
        ];
        for (status, refuses) in expected {
            assert_eq!(statuses.contains(status), refuses, "{status} of {operation}");
        }
        assert!(takes_body || !statuses.contains("415"), "415 of {operation}");
        assert!(statuses.contains("404") || !has_id, "404 of {operation}");
        assert!(statuses.contains("304") == takes("header", "If-None-Match"), "304 of {operation}");
    }
}

#[test]
fn every_code_occurs_in_some_operation() {
    let document = document();
    let all = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap().clone();
    let used: BTreeSet<_> = document["components"]["examples"].as_object().unwrap().keys().cloned().collect();
    let unused: Vec<_> = all.iter().filter_map(Value::as_str).filter(|code| !used.contains(*code)).collect();
    // `method_not_allowed` belongs to no operation; only dispatch receives `driver_unavailable`.
    assert_eq!(unused, ["method_not_allowed", "driver_unavailable"]);
}

#[test]
fn refusals_declare_their_headers() {
    let document = document();
    for (operation, item, status, response) in refusals(&document) {
        let named: BTreeSet<_> = response["headers"].as_object().unwrap().keys().map(String::as_str).collect();
        let is_open = item["security"] == json!([]);
        assert!(named.contains("Trace-Id"), "{status} of {operation}");
        assert_eq!(named.contains("RateLimit"), !is_open && status != "401", "{status} of {operation}");
        assert_eq!(named.contains("WWW-Authenticate"), status == "401", "{status} of {operation}");
        let must_say_when = ["429", "503"].contains(&&*status);
        assert!(named.contains("Retry-After") || !must_say_when, "{status} of {operation}");
    }
}
