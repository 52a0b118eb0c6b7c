//! Every link connects an existing value of a response to an existing parameter.

use serde_json::Value;

use crate::openapi::{document, operations, parameters, resolved};

/// Returns whether a schema has a value at this path.
fn reaches(document: &Value, schema: &Value, path: &[&str]) -> bool {
    let schema = resolved(document, schema);
    let Some((first, rest)) = path.split_first() else { return true };
    let mut ways = ["oneOf", "anyOf", "allOf"].iter().flat_map(|word| schema[word].as_array().into_iter().flatten());
    if ways.any(|way| reaches(document, way, path)) {
        return true;
    }
    let next = if first.parse::<usize>().is_ok() { &schema["items"] } else { &schema["properties"][first] };
    next.is_object() && reaches(document, next, rest)
}

/// Returns whether an expression refers to a value of the response or of its request.
fn exists(document: &Value, operation: &Value, response: &Value, expression: &str) -> bool {
    let expression = expression.strip_prefix('$').unwrap_or_default();
    if let Some(pointer) = expression.strip_prefix("response.body#/") {
        let path: Vec<_> = pointer.split('/').collect();
        return reaches(document, &response["content"]["application/json"]["schema"], &path);
    }
    if let Some(name) = expression.strip_prefix("response.header.") {
        return response["headers"][name].is_object();
    }
    let in_path = expression.strip_prefix("request.path.");
    in_path.is_some_and(|name| {
        parameters(document, operation).iter().any(|one| one["in"] == "path" && one["name"] == name)
    })
}

#[test]
fn every_link_connects_a_response_to_a_parameter() {
    let document = document();
    let all = operations(&document);
    let mut count = 0;
    for (operation, item) in &all {
        for response in item["responses"].as_object().unwrap().values() {
            for (name, link) in response["links"].as_object().into_iter().flatten() {
                count += 1;
                let target = all.values().find(|item| item["operationId"] == link["operationId"]);
                let target = target.unwrap_or_else(|| panic!("{name} of {operation} has no target"));
                let known = parameters(&document, target);
                for (parameter, from) in link["parameters"].as_object().into_iter().flatten() {
                    let is_known = known.iter().any(|one| one["name"] == **parameter);
                    assert!(is_known, "{name} of {operation}: the target has no {parameter}");
                    let from = from.as_str().unwrap();
                    assert!(exists(&document, item, response, from), "{name} of {operation}: no {from}");
                }
            }
        }
    }
    assert!(count > 50, "only {count} links");
}

/// Links alone lead through a ride and its payment.
#[test]
fn links_lead_from_a_quote_to_every_operation_of_a_ride() {
    let document = document();
    let all = operations(&document);
    let mut reached = vec!["create_quote".to_owned()];
    let mut next = 0;
    while let Some(name) = reached.get(next) {
        next += 1;
        let item = all.values().find(|item| item["operationId"] == **name).unwrap();
        let links =
            item["responses"].as_object().unwrap().values().filter_map(|response| response["links"].as_object());
        let targets: Vec<_> = links.flat_map(|links| links.keys().cloned()).collect();
        for target in targets {
            if !reached.contains(&target) {
                reached.push(target);
            }
        }
    }
    for name in
        ["get_trip", "cancel_trip", "list_trip_events", "explain_trip", "get_receipt", "get_payment", "create_refund"]
    {
        assert!(reached.iter().any(|one| one == name), "{name} is not reached: {reached:?}");
    }
}
