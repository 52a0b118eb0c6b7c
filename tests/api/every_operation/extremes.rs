//! Generates requests with the extremes of every type, from the document: one for each value of each parameter, header and field.

use std::collections::BTreeMap;

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::invalid_requests::resolved;
use crate::harness::{App, new_key, openapi_check};

/// How deep schemas are followed. None is deeper, and some refer to themselves.
const DEPTH_MAX: usize = 6;

/// The ends of what PostgreSQL, RFC 3339, Rust and JSON can hold, and one step beyond; and texts that show nothing.
const TEXTS: [&str; 36] = [
    "",
    " ",
    "\u{0}",
    "\u{200b}",
    "\u{2800}",
    "\u{10ffff}",
    "0",
    "-1",
    "255",
    "256",
    "32768",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551615",
    "999999999999999999",
    "NaN",
    "-inf",
    "1e308",
    "-1e308",
    "5e-324",
    "1e999",
    "0000-01-01T00:00:00Z",
    "-4713-11-24T00:00:00Z",
    "-4714-01-01T00:00:00Z",
    "-262143-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "+294277-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z",
    "cffffffffffffffffffffffffffffffff",
    "c00000000000000000000000000000000",
    "\"999999999999999999\"",
    "true",
];

/// The greatest id of each type, the least one, and long texts.
fn more_texts() -> Vec<String> {
    let prefixes = ["trip", "ofr", "pay", "rfd", "quo", "drv", "rdr", "whe", "whd", "fnd", "run", "ops", "gwy"];
    let ids = prefixes.iter().map(|prefix| format!("{prefix}_7{}", "z".repeat(25)));
    let least = format!("trip_{}", "0".repeat(26));
    ids.chain([least, "x".repeat(5_000), "9".repeat(400), "\u{1f695}".repeat(300)]).collect()
}

fn values() -> Vec<Value> {
    let numbers = [
        json!(0),
        json!(-1),
        json!(256),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(u32::MAX),
        json!(i32::MIN),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(-0.0),
        json!(0.5),
    ];
    let others = [json!(null), json!(true), json!([]), json!({}), json!([null]), Value::from(vec![0; 2_000])];
    let texts = TEXTS.into_iter().map(str::to_owned).chain(more_texts()).map(Value::from);
    numbers.into_iter().chain(others).chain(texts).collect()
}

/// A request with an extreme value.
pub struct Extreme {
    /// The parameter, header or field, and the value.
    pub what: String,
    /// The names by which an error may refer to it: the parameter, or the field's pointer.
    pub name: String,
    pub request: RequestBuilder,
}

/// An operation of the document, with the ids of objects that exist.
pub struct Target<'a> {
    pub app: &'a App,
    pub method: Method,
    pub template: &'static str,
    pub operation: &'static Value,
    /// Ids by the name of the path parameter.
    pub ids: &'a BTreeMap<&'static str, String>,
}

impl Target<'_> {
    /// Returns all requests, without a token.
    pub fn requests(&self) -> Vec<Extreme> {
        let parameters = self.operation["parameters"].as_array().cloned().unwrap_or_default();
        let mut requests = Vec::new();
        for parameter in &parameters {
            let parameter = resolved_in_document(parameter);
            let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
            if name == "traceparent" && self.template != "/healthz" {
                continue; // read in one place for all operations
            }
            let texts = TEXTS.into_iter().map(str::to_owned).chain(more_texts());
            requests.extend(texts.filter_map(|text| {
                let request = self.with_parameter(place, name, &text)?;
                Some(Extreme { what: format!("{place} {name}={}", short(&text)), name: name.to_owned(), request })
            }));
        }
        let schema = &resolved(&self.operation["requestBody"])["content"]["application/json"]["schema"];
        for pointer in fields(schema, "", 0) {
            requests.extend(values().into_iter().map(|value| {
                let what = format!("{pointer}={}", short(&value.to_string()));
                let mut body = self.good_body(&pointer);
                set(&mut body, &pointer, value);
                let request = self.request(&self.path(&[]), &[]).json(&body);
                Extreme { what, name: pointer.clone(), request }
            }));
        }
        requests
    }

    /// Returns `None` for a header that HTTP cannot carry.
    fn with_parameter(&self, place: &str, name: &str, text: &str) -> Option<RequestBuilder> {
        let request = match place {
            "path" => self.request(&self.path(&[(name, text)]), &[]),
            "query" => self.request(&self.path(&[]), &[]).query(&[(name, text)]).query(&self.required(name)),
            _ => self.request(&self.path(&[]), &[name]).header(name, HeaderValue::from_bytes(text.as_bytes()).ok()?),
        };
        let takes_body = self.operation.get("requestBody").is_some();
        Some(if takes_body { request.json(&self.good_body("")) } else { request })
    }

    /// The examples of the required query parameters other than `name`.
    fn required(&self, name: &str) -> Vec<(String, String)> {
        let parameters = self.operation["parameters"].as_array().into_iter().flatten().map(resolved_in_document);
        let others =
            parameters.filter(|other| other["in"] == "query" && other["required"] == true && other["name"] != name);
        others.map(|other| (other["name"].as_str().unwrap().to_owned(), other["example"].to_string())).collect()
    }

    fn path(&self, replaced: &[(&str, &str)]) -> String {
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        let path = replaced
            .iter()
            .fold(self.template.to_owned(), |path, (name, text)| path.replace(&format!("{{{name}}}"), &escaped(text)));
        self.ids.iter().fold(path, |path, (name, id)| path.replace(&format!("{{{name}}}"), id))
    }

    fn request(&self, path: &str, without: &[&str]) -> RequestBuilder {
        let request = self.app.http.request(self.method.clone(), self.app.url(path));
        if without.contains(&"Idempotency-Key") { request } else { request.header("Idempotency-Key", new_key()) }
    }

    /// The first example that has the object of a field; the first one if none has. An end within the next day cannot be in the document.
    fn good_body(&self, pointer: &str) -> Value {
        let content = &resolved(&self.operation["requestBody"])["content"]["application/json"];
        let examples = content["examples"].as_object().into_iter().flat_map(|examples| examples.values());
        let values: Vec<&Value> = examples.map(|example| &resolved(example)["value"]).collect();
        let object = pointer.rsplit_once('/').map_or("", |(object, _)| object);
        let has_object = |value: &&&Value| value.pointer(object).is_some_and(Value::is_object);
        let named = values.iter().find(has_object).or(values.first()).copied();
        let mut body = named.or(content.get("example")).cloned().unwrap_or_else(|| json!({}));
        if let Some(end) = body.get_mut("expires_at") {
            *end = json!(self.app.service().platform().clock.domain() + chrono::TimeDelta::hours(1));
        }
        body
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect::<String>().escape_debug().to_string()
}

fn resolved_in_document(value: &Value) -> Value {
    match value["$ref"].as_str() {
        Some(to) => openapi_check::document().pointer(to.trim_start_matches('#')).unwrap().clone(),
        None => value.clone(),
    }
}

/// Returns the pointers of all fields that a schema has, optional ones included.
fn fields(schema: &Value, at: &str, depth: usize) -> Vec<String> {
    if depth > DEPTH_MAX {
        return Vec::new();
    }
    let schema = resolved_in_document(schema);
    let mut found = Vec::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let pointer = format!("{at}/{name}");
        found.extend(fields(field, &pointer, depth + 1));
        found.push(pointer);
    }
    if schema["items"].is_object() {
        found.push(format!("{at}/0"));
        found.extend(fields(&schema["items"], &format!("{at}/0"), depth + 1));
    }
    for union in ["oneOf", "anyOf", "allOf"] {
        found.extend(schema[union].as_array().into_iter().flatten().flat_map(|one| fields(one, at, depth + 1)));
    }
    found
}

/// Sets the value at a pointer. Objects on the way that do not exist are added.
fn set(body: &mut Value, pointer: &str, value: Value) {
    let mut place = body;
    for name in pointer.split('/').skip(1) {
        place = match (place.is_array(), name.parse::<usize>()) {
            (true, Ok(nth)) => {
                let items = place.as_array_mut().unwrap();
                items.resize(items.len().max(nth + 1), Value::Null);
                &mut items[nth]
            }
            _ => {
                if !place.is_object() {
                    *place = if name == "0" { json!([]) } else { json!({}) };
                    if let Some(items) = place.as_array_mut() {
                        items.push(Value::Null);
                    }
                }
                match place {
                    Value::Array(items) => &mut items[0],
                    object => &mut object[name],
                }
            }
        };
    }
    *place = value;
}
