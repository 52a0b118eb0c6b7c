//! Each way to break a client is found, and no other change is.

use serde_json::{Value, json};

use super::{Finding, findings, is_said};

fn document() -> Value {
    json!({
        "paths": {"/rides": {"post": {
            "operationId": "request_ride",
            "security": [{"rider": []}, {"ops": []}],
            "parameters": [{"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}}],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}}},
            "responses": {
                "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ride"}}}},
                "409": {"description": "No"},
            },
        }}},
        "components": {"schemas": {
            "Asked": {"type": "object", "required": ["to"], "properties": {
                "to": {"type": "string"}, "class": {"type": "string", "enum": ["standard", "xl"]},
                "note": {"type": ["string", "null"], "maxLength": 200},
            }},
            "Ride": {"allOf": [{"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}], "properties": {
                "state": {"type": "string", "enum": ["searching"]}, "stops": {"type": "array", "items": {"type": "integer"}},
            }},
        }},
    })
}

/// What is found when one place of the document becomes something else, or goes away.
fn changed(pointer: &str, to: Option<Value>) -> Vec<String> {
    let (old, mut new) = (document(), document());
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let name = name.replace("~1", "/");
    match (new.pointer_mut(parent).expect("a parent"), to) {
        (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
        (Value::Object(members), None) => drop(members.remove(&name)),
        (other, _) => panic!("{other} has no members"),
    }
    findings(&old, &new).into_iter().map(|finding| finding.what).collect()
}

const OPERATION: &str = "/paths/~1rides/post";
const ASKED: &str = "/components/schemas/Asked";
const RIDE: &str = "/components/schemas/Ride";

#[test]
fn the_same_document_breaks_nobody() {
    assert!(findings(&document(), &document()).is_empty());
}

#[test]
fn what_breaks_is_found() {
    let cases = [
        (OPERATION.to_owned(), None, "is gone"),
        (format!("{OPERATION}/operationId"), Some(json!("ask")), "is called \"ask\" and was \"request_ride\""),
        (format!("{OPERATION}/security"), Some(json!([{"ops": []}])), "is not for the role rider any more"),
        (format!("{OPERATION}/parameters"), Some(json!([])), "the parameter \"limit\" is gone"),
        (format!("{OPERATION}/responses/201"), None, "does not answer 201 any more"),
        (format!("{OPERATION}/requestBody/required"), Some(json!(true)), "the body has become required"),
        (format!("{ASKED}/required"), Some(json!(["to", "class"])), "the body/class has become required"),
        (format!("{ASKED}/properties/note"), None, "the body/note is gone"),
        (format!("{ASKED}/properties/note/maxLength"), Some(json!(100)), "the body/note has a narrower maxLength: 100"),
        (format!("{ASKED}/properties/to/pattern"), Some(json!("^a")), "the body/to has another pattern"),
        (format!("{ASKED}/properties/class/enum"), Some(json!(["xl"])), "the body/class may not be standard any more"),
        (
            format!("{ASKED}/properties/note/type"),
            Some(json!("string")),
            "the body/note is {\"string\"} and was {\"null\", \"string\"}",
        ),
        (format!("{RIDE}/properties/state"), None, "201/state is gone"),
        (format!("{RIDE}/allOf"), Some(json!([{"properties": {"id": {"type": "string"}}}])), "201/id may be missing"),
        (
            format!("{RIDE}/properties/stops/items"),
            Some(json!({"type": "string"})),
            "201/stops[] is {\"string\"} and was {\"integer\"}",
        ),
    ];
    for (pointer, to, expected) in cases {
        let found = changed(&pointer, to);
        assert!(found.iter().any(|one| one == expected), "{pointer}: expected {expected:?}, found {found:?}");
    }
}

#[test]
fn what_only_adds_is_none_of_it() {
    let cases = [
        (format!("{OPERATION}/responses/410"), json!({"description": "Too late"})),
        (format!("{OPERATION}/security"), json!([{"rider": []}, {"ops": []}, {"driver": []}])),
        (format!("{ASKED}/properties/tip"), json!({"type": "integer", "minimum": 1})),
        (format!("{ASKED}/properties/note/maxLength"), json!(300)),
        (format!("{ASKED}/properties/class/enum"), json!(["standard", "xl", "comfort"])),
        (format!("{RIDE}/properties/state/enum"), json!(["searching", "offered"])),
        (format!("{RIDE}/properties/fare"), json!({"type": "integer"})),
        (format!("{RIDE}/required"), json!(["state"])),
    ];
    for (pointer, to) in cases {
        assert_eq!(changed(&pointer, Some(to)), Vec::<String>::new(), "{pointer}");
    }
}

#[test]
fn the_changelog_excuses_what_it_names() {
    let finding = Finding { operation: "POST /rides".to_owned(), what: "is gone".to_owned() };
    let changelog = |breaking: &str, older: &str| {
        format!("# Changelog\n\n## Unreleased\n\n### Added\n\n- `POST /rides`\n\n{breaking}\n\n## 0.1.0\n\n{older}\n")
    };
    assert!(is_said(&changelog("### Breaking\n\n- `POST /rides` is gone.", ""), &finding));
    assert!(is_said(&changelog("### Breaking\n\n- The names of every operation.", ""), &finding));
    for (breaking, older) in
        [("", ""), ("### Breaking\n\n- `POST /rides/x`", ""), ("", "### Breaking\n\n- `POST /rides`")]
    {
        assert!(!is_said(&changelog(breaking, older), &finding), "{breaking} {older}");
    }
}
