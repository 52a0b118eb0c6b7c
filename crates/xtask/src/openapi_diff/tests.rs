//! Breaking changes are found, and others are not.

use serde_json::{Value, json};

use super::{BreakingChange, breaking_changes, is_listed};

fn document() -> Value {
    json!({
        "paths": {"/rides": {"post": {
            "operationId": "request_ride",
            "security": [{"rider": []}, {"ops": []}],
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/RideRequest"}}}},
            "responses": {
                "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ride"}}}},
                "409": {"description": "No"},
            },
        }}},
        "components": {"schemas": {
            "RideRequest": {"type": "object", "required": ["to"], "properties": {
                "to": {"type": "string"}, "class": {"type": "string", "enum": ["standard", "xl"]},
                "note": {"type": ["string", "null"], "maxLength": 200},
            }},
            "Ride": {"allOf": [{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}], "properties": {
                "state": {"type": "string", "enum": ["searching"]}, "stops": {"type": "array", "items": {"type": "integer"}},
            }},
        }},
    })
}

/// Returns the breaking changes after one value was replaced or removed.
fn changed(pointer: &str, to: Option<Value>) -> Vec<String> {
    let (old, mut new) = (document(), document());
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = name.replace("~1", "/");
    match (new.pointer_mut(parent).expect("a parent"), to) {
        (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
        (Value::Object(members), None) => drop(members.remove(&name)),
        (other, _) => panic!("{other} has no members"),
    }
    breaking_changes(&old, &new).into_iter().map(|change| change.what).collect()
}

const OPERATION: &str = "/paths/~1rides/post";
const REQUEST: &str = "/components/schemas/RideRequest";
const RIDE: &str = "/components/schemas/Ride";

#[test]
fn same_document_has_no_breaking_change() {
    assert!(breaking_changes(&document(), &document()).is_empty());
}

#[test]
fn removals_and_restrictions_are_breaking() {
    let cases = [
        (OPERATION.to_owned(), None, "is removed"),
        (
            format!("{OPERATION}/operationId"),
            Some(json!("ask")),
            "has the operationId \"ask\" instead of \"request_ride\"",
        ),
        (format!("{OPERATION}/security"), Some(json!([{"ops": []}])), "no longer permits the role rider"),
        (format!("{OPERATION}/parameters"), Some(json!([])), "the parameter \"limit\" is removed"),
        (format!("{OPERATION}/responses/201"), None, "no longer returns 201"),
        (format!("{OPERATION}/requestBody/required"), Some(json!(true)), "the body is now required"),
        (format!("{REQUEST}/required"), Some(json!(["to", "class"])), "the body/class is now required"),
        (format!("{REQUEST}/properties/note"), None, "the body/note is removed"),
        (
            format!("{REQUEST}/properties/note/maxLength"),
            Some(json!(100)),
            "the body/note has a narrower maxLength: 100",
        ),
        (format!("{REQUEST}/properties/to/pattern"), Some(json!("^a")), "the body/to has another pattern"),
        (format!("{REQUEST}/properties/class/enum"), Some(json!(["xl"])), "the body/class no longer accepts standard"),
        (
            format!("{REQUEST}/properties/note/type"),
            Some(json!("string")),
            "the body/note has the type {\"string\"} instead of {\"null\", \"string\"}",
        ),
        (format!("{RIDE}/properties/state"), None, "201/state is removed"),
        (format!("{RIDE}/allOf"), Some(json!([{"properties": {"id": {"type": "string"}}}])), "201/id may be missing"),
        (
            format!("{RIDE}/properties/stops/items"),
            Some(json!({"type": "string"})),
            "201/stops[] has the type {\"string\"} instead of {\"integer\"}",
        ),
    ];
    for (pointer, to, expected) in cases {
        let found = changed(&pointer, to);
        assert!(found.iter().any(|one| one == expected), "{pointer}: expected {expected:?}, found {found:?}");
    }
}

#[test]
fn additions_are_not_breaking() {
    let cases = [
        (format!("{OPERATION}/responses/410"), json!({"description": "Too late"})),
        (format!("{OPERATION}/security"), json!([{"rider": []}, {"ops": []}, {"driver": []}])),
        (format!("{REQUEST}/properties/tip"), json!({"type": "integer", "minimum": 1})),
        (format!("{REQUEST}/properties/note/maxLength"), json!(300)),
        (format!("{REQUEST}/properties/class/enum"), json!(["standard", "xl", "comfort"])),
        (format!("{RIDE}/properties/state/enum"), json!(["searching", "offered"])),
        (format!("{RIDE}/properties/fare"), json!({"type": "integer"})),
        (format!("{RIDE}/required"), json!(["state"])),
    ];
    for (pointer, to) in cases {
        assert_eq!(changed(&pointer, Some(to)), Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn changelog_lists_operations() {
    let change = BreakingChange { operation: "POST /rides".to_owned(), what: "is removed".to_owned() };
    let changelog = |breaking: &str, older: &str| {
        format!("# Changelog\n\n## Unreleased\n\n### Added\n\n- `POST /rides`\n\n{breaking}\n\n## 0.1.0\n\n{older}\n")
    };
    assert!(is_listed(&changelog("### Breaking\n\n- `POST /rides` is removed.", ""), &change));
    assert!(is_listed(&changelog("### Breaking\n\n- The names of every operation.", ""), &change));
    for (breaking, older) in
        [("", ""), ("### Breaking\n\n- `POST /rides/x`", ""), ("", "### Breaking\n\n- `POST /rides`")]
    {
        assert!(!is_listed(&changelog(breaking, older), &change), "{breaking} {older}");
    }
}
