//! Every link leads from something that is there to a parameter that is there.

use serde_json::Value;

use crate::{document, operations, parameters, resolved};

/// Whether a schema has something at this pointer.
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

/// Whether an answer, or the request before it, has what an expression names.
fn is_there(document: &Value, operation: &Value, answer: &Value, expression: &str) -> bool {
    let expression = expression.strip_prefix('$').unwrap_or_default();
    if let Some(pointer) = expression.strip_prefix("response.body#/") {
        let path: Vec<_> = pointer.split('/').collect();
        return reaches(document, &answer["content"]["application/json"]["schema"], &path);
    }
    if let Some(name) = expression.strip_prefix("response.header.") {
        return answer["headers"][name].is_object();
    }
    let in_path = expression.strip_prefix("request.path.");
    in_path.is_some_and(|name| {
        parameters(document, operation).iter().any(|one| one["in"] == "path" && one["name"] == name)
    })
}

#[test]
fn every_link_leads_from_an_answer_into_a_request() {
    let document = document();
    let all = operations(&document);
    let mut count = 0;
    for (operation, item) in &all {
        for answer in item["responses"].as_object().unwrap().values() {
            for (name, link) in answer["links"].as_object().into_iter().flatten() {
                count += 1;
                let target = all.values().find(|item| item["operationId"] == link["operationId"]);
                let target = target.unwrap_or_else(|| panic!("{name} of {operation} leads nowhere"));
                let known = parameters(&document, target);
                for (parameter, from) in link["parameters"].as_object().into_iter().flatten() {
                    let is_known = known.iter().any(|one| one["name"] == **parameter);
                    assert!(is_known, "{name} of {operation}: the target has no {parameter}");
                    let from = from.as_str().unwrap();
                    assert!(is_there(&document, item, answer, from), "{name} of {operation}: there is no {from}");
                }
            }
        }
    }
    assert!(count > 50, "only {count} links are looked at");
}

/// A ride, and what comes of it, can be walked by links alone.
#[test]
fn from_a_quote_everything_about_a_ride_is_reached() {
    let document = document();
    let all = operations(&document);
    let mut reached = vec!["create_quote".to_owned()];
    let mut next = 0;
    while let Some(name) = reached.get(next) {
        next += 1;
        let item = all.values().find(|item| item["operationId"] == **name).unwrap();
        let links = item["responses"].as_object().unwrap().values().filter_map(|answer| answer["links"].as_object());
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
