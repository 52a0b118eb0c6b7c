//! Every field has a description, and bounds or a set of values.

use serde_json::{Map, Value};

use crate::openapi::{document, operations, resolved};

/// Free texts without a maximum length.
const TEXTS: &[&str] = &[
    "#/components/schemas/FieldError/detail",
    "#/components/schemas/FieldError/pointer",
    "#/components/schemas/Problem/detail",
    "#/components/schemas/Problem/instance",
    "#/components/schemas/ProblemMembers/allowed[]",
    "#/components/schemas/ProviderEvent/type",
    "#/components/schemas/ProviderObject/id",
    "#/components/schemas/ProviderObject/object",
    "#/components/schemas/ProviderObject/payment_intent",
];

/// Integers bounded only by their format: amounts and counts.
const UNBOUNDED: &[&str] = &["ahead_ms", "amount", "balance", "ours", "theirs"];

type Found = Vec<(String, Value)>;

/// Collects a schema and all nested ones, with their places.
fn walk(at: &str, schema: &Value, found: &mut Found) {
    found.push((at.to_owned(), schema.clone()));
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{at}/{name}"), property, found);
    }
    for (word, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[word].is_object() {
            walk(&format!("{at}{mark}"), &schema[word], found);
        }
    }
    for word in ["oneOf", "anyOf", "allOf"] {
        for one in schema[word].as_array().into_iter().flatten() {
            walk(at, one, found);
        }
    }
}

fn schemas(document: &Value) -> Found {
    let mut found = Found::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        walk(&format!("#/components/schemas/{name}"), schema, &mut found);
    }
    for (operation, item) in operations(document) {
        for parameter in item["parameters"].as_array().into_iter().flatten() {
            let parameter = resolved(document, parameter);
            walk(&format!("{operation} {}", parameter["name"]), &parameter["schema"], &mut found);
        }
    }
    found
}

/// Returns whether a field has a description: its own, or, if it is nullable, that of its other type.
fn is_described(field: &Value) -> bool {
    let has_text = |schema: &Value| schema["description"].as_str().is_some_and(|text| !text.is_empty());
    has_text(field) || field["oneOf"].as_array().is_some_and(|ways| ways.iter().any(has_text))
}

#[test]
fn every_schema_and_every_field_is_described() {
    let document = document();
    let mut silent = Vec::new();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_page = name.contains('_'); // `Page_TripBody`: the description is that of the page
        if !is_described(schema) && !is_page {
            silent.push(name.clone());
        }
    }
    for (at, schema) in schemas(&document) {
        let fields = schema["properties"].as_object().into_iter().flatten();
        silent.extend(fields.filter(|(_, field)| !is_described(field)).map(|(name, _)| format!("{at}/{name}")));
    }
    assert!(silent.is_empty(), "{} without a description:\n{}", silent.len(), silent.join("\n"));
}

fn has(schema: &Map<String, Value>, words: &[&str]) -> bool {
    words.iter().any(|word| schema.contains_key(*word))
}

fn is_of(schema: &Map<String, Value>, kind: &str) -> bool {
    match &schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        _ => false,
    }
}

#[test]
fn every_field_has_bounds_or_a_set_of_values() {
    let document = document();
    let mut vague = Vec::new();
    for (at, schema) in schemas(&document) {
        let Some(schema) = schema.as_object() else { continue };
        let field = at.rsplit(['/', ' ']).next().unwrap_or_default();
        let says = if is_of(schema, "string") {
            has(schema, &["format", "pattern", "enum", "maxLength"])
                || TEXTS.contains(&&*at)
                || field.contains("trace")
                || field.contains("If-None-Match")
        } else if is_of(schema, "integer") {
            has(schema, &["minimum", "maximum"]) || UNBOUNDED.contains(&field) || at.ends_with("{}")
        } else if is_of(schema, "number") {
            has(schema, &["minimum"]) && has(schema, &["maximum"])
        } else if is_of(schema, "array") {
            has(schema, &["maxItems"])
        } else {
            true
        };
        if !says {
            vague.push(at);
        }
    }
    vague.sort();
    vague.dedup();
    assert!(vague.is_empty(), "{} without bounds:\n{}", vague.len(), vague.join("\n"));
}

/// Optional parameters are absent; `null` would be sent as a text.
#[test]
fn no_parameter_is_nullable() {
    let document = document();
    for (operation, item) in operations(&document) {
        for parameter in item["parameters"].as_array().into_iter().flatten() {
            let schema = &resolved(&document, parameter)["schema"];
            assert!(!schema.to_string().contains("null"), "{} of {operation}: {schema}", parameter["name"]);
        }
    }
}
