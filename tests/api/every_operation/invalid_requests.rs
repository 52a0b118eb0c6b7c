//! Generates invalid requests for an operation from the document.

use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::every_operation::by;
use crate::harness::{Actor, App, new_key, openapi_check};

/// A role's name and actor, or no token.
type Caller = (&'static str, Option<Actor>);

/// Requests with these prefixes are invalid for every caller.
const MUST_BE_REFUSED: [&str; 4] = ["bad token", "bad key", "bad body", "bad id"];

/// Returns whether the request must be refused.
pub fn must_be_refused(what: &str) -> bool {
    MUST_BE_REFUSED.iter().any(|start| what.starts_with(start))
}

/// An operation of the document: method, path template, and definition.
type Operation = (Method, &'static str, &'static Value);

/// Returns the requests, each with a description.
pub fn requests(app: &App, operation: &Operation, callers: &[Caller]) -> Vec<(String, RequestBuilder)> {
    let generator = Generator { app, operation };
    let mut requests: Vec<_> =
        callers.iter().map(|(name, caller)| ((*name).to_owned(), by(caller, generator.valid()))).collect();
    requests.extend(generator.tokens());
    requests.extend(generator.methods());
    // Authorization comes before validation, so every role sends each invalid request.
    for (name, caller) in callers.iter().filter(|(_, caller)| caller.is_some() || generator.is_open()) {
        let bad = [generator.ids(), generator.queries(), generator.headers(), generator.bodies()].into_iter().flatten();
        requests.extend(bad.map(|(what, request)| (format!("{what}, by {name}"), by(caller, request))));
    }
    requests
}

struct Generator<'a> {
    app: &'a App,
    operation: &'a Operation,
}

impl Generator<'_> {
    fn is_open(&self) -> bool {
        let security = &self.operation.2["security"];
        *security == json!([]) || *security == json!([{}])
    }

    fn parameters(&self, place: &str) -> Vec<&str> {
        let parameters = self.operation.2["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let parameters = parameters.iter().map(|parameter| resolved(parameter));
        parameters
            .filter(|parameter| parameter["in"] == place)
            .filter_map(|parameter| parameter["name"].as_str())
            .collect()
    }

    /// The path with valid ids that do not exist.
    fn path(&self) -> String {
        self.path_with(|name| {
            let prefix = match name {
                "trip_id" => "trip",
                "offer_id" => "ofr",
                "payment_id" => "pay",
                "refund_id" => "rfd",
                "endpoint_id" => "whe",
                "delivery_id" => "whd",
                "finding_id" => "fnd",
                "run_id" => "run",
                "driver_id" => "drv",
                "rider_id" => "rdr",
                _ => "x",
            };
            format!("{prefix}_01h455vb4pex5vsknk084sn02q")
        })
    }

    fn path_with(&self, value: impl Fn(&str) -> String) -> String {
        let names = self.parameters("path").into_iter();
        names.fold(self.operation.1.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), &value(name)))
    }

    fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        self.app.http.request(method.clone(), self.app.url(path))
    }

    /// A valid request, with body and key where the operation takes them.
    fn valid(&self) -> RequestBuilder {
        self.valid_at(&self.path())
    }

    fn valid_at(&self, path: &str) -> RequestBuilder {
        let request = self.keyed(self.request(&self.operation.0, path));
        if self.has_body() { request.json(&self.good_body()) } else { request }
    }

    fn keyed(&self, request: RequestBuilder) -> RequestBuilder {
        if self.is_keyed() { request.header("Idempotency-Key", new_key()) } else { request }
    }

    fn is_keyed(&self) -> bool {
        self.parameters("header").contains(&"Idempotency-Key")
    }

    fn has_body(&self) -> bool {
        self.operation.2.get("requestBody").is_some()
    }

    /// The first example of the document, or an empty object.
    fn good_body(&self) -> Value {
        let content = &resolved(&self.operation.2["requestBody"])["content"]["application/json"];
        let named = content["examples"].as_object().and_then(|examples| examples.values().next());
        let named = named.map(|example| &resolved(example)["value"]);
        named.or(content.get("example")).cloned().unwrap_or_else(|| json!({}))
    }

    fn tokens(&self) -> Vec<(String, RequestBuilder)> {
        if self.is_open() {
            return Vec::new();
        }
        let headers = ["Bearer", "Bearer ", "Bearer x", "Basic eDp4", "Bearer eyJhbGciOiJub25lIn0.e30.", "\u{ff}"];
        let tries = headers.iter().map(|header| {
            let value = HeaderValue::from_bytes(header.as_bytes()).unwrap();
            (format!("bad token {header:?}"), self.valid().header("Authorization", value))
        });
        tries.collect()
    }

    /// Methods that the path does not support.
    fn methods(&self) -> Vec<(String, RequestBuilder)> {
        let item = &openapi_check::document()["paths"][self.operation.1];
        let methods = ["GET", "HEAD", "OPTIONS", "TRACE", "PATCH", "PUT", "POST", "DELETE", "BREW"];
        let others = methods.iter().filter(|method| item.get(method.to_lowercase()).is_none());
        others
            .map(|method| (format!("method {method}"), self.request(&method.parse().unwrap(), &self.path())))
            .collect()
    }

    fn ids(&self) -> Vec<(String, RequestBuilder)> {
        if self.parameters("path").is_empty() {
            return Vec::new();
        }
        let bad = ["x", "usr_01h455vb4pex5vsknk084sn02q", "%00", "%FF", "..%2F", "-1", "null", "%F0%9F%9A%95", "trip_"];
        let long = "9".repeat(2_000);
        let bad = bad.into_iter().chain([long.as_str()]);
        bad.map(|bad| {
            let path = self.path_with(|_| bad.to_owned());
            (format!("bad id {}", &bad[..bad.len().min(40)]), self.valid_at(&path))
        })
        .collect()
    }

    fn queries(&self) -> Vec<(String, RequestBuilder)> {
        let values =
            ["", "-1", "0", "101", "99999999999999999999", "1e999", "NaN", "null", "%00", "%FF", "%F0%9F%9A%95", "[]"];
        let mut queries: Vec<_> =
            ["unknown=1", "=", "&&", "%FF", "limit", "limit=1&limit=2"].map(str::to_owned).to_vec();
        for name in self.parameters("query") {
            queries.extend(values.map(|value| format!("{name}={value}")));
        }
        let path = self.path();
        queries.into_iter().map(|query| (format!("query {query}"), self.valid_at(&format!("{path}?{query}")))).collect()
    }

    fn headers(&self) -> Vec<(String, RequestBuilder)> {
        let mut requests = Vec::new();
        let long = "k".repeat(256);
        if self.is_keyed() {
            let unkeyed = || {
                let request = self.request(&self.operation.0, &self.path());
                if self.has_body() { request.json(&self.good_body()) } else { request }
            };
            requests.push(("bad key, none".to_owned(), unkeyed()));
            for key in ["", "a b", "\u{e9}", long.as_str()] {
                let value = HeaderValue::from_bytes(key.as_bytes()).unwrap();
                let name = format!("bad key {:?}", &key[..key.len().min(40)]);
                requests.push((name, unkeyed().header("Idempotency-Key", value)));
            }
        }
        let odd = ["nonsense", "\"\"", "\"99999999999999999999\"", "*", "\u{ff}", ""];
        for name in ["If-Match", "If-None-Match", "Accept", "Last-Event-ID", "traceparent", "Content-Encoding"] {
            for value in odd {
                let header = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                requests.push((format!("header {name} {value:?}"), self.valid().header(name, header)));
            }
        }
        requests
    }

    fn bodies(&self) -> Vec<(String, RequestBuilder)> {
        if self.operation.0 == Method::GET || self.operation.0 == Method::DELETE {
            return Vec::new();
        }
        let request = || self.keyed(self.request(&self.operation.0, &self.path()));
        let typed = |kind: &str| request().header("Content-Type", kind);
        let deep = "[".repeat(20_000);
        let unknown = r#"{"surely unknown": 1}"#;
        let texts = ["null", "1", "\"x\"", "{", "{}{}", "{\"a\":1e999}", unknown, deep.as_str(), "{\"a\":\"\\ud800\"}"];
        let mut requests: Vec<_> = texts
            .iter()
            .map(|text| (&text[..text.len().min(40)], typed("application/json").body((*text).to_owned())))
            .map(|(text, request)| (format!("bad body {text}"), request))
            .collect();
        let bytes = typed("application/json").body(vec![b'{', b'"', 0xff, 0xfe, b'"', b':', b'1', b'}']);
        requests.push(("bad body, not UTF-8".to_owned(), bytes));
        for kind in ["text/plain", "application/xml", "multipart/form-data", "nonsense", ""] {
            requests.push((format!("body as {kind:?}"), typed(kind).body(self.good_body().to_string())));
        }
        requests.push(("body as nothing".to_owned(), request().body(self.good_body().to_string())));
        requests.push(("body absent".to_owned(), typed("application/json")));
        if self.has_body() {
            requests.extend(self.mutants().into_iter().map(|(what, body)| (what, request().json(&body))));
        }
        requests
    }

    /// The example with each value replaced by invalid ones.
    fn mutants(&self) -> Vec<(String, Value)> {
        let good = self.good_body();
        let strange = [
            json!(null),
            json!(true),
            json!(-1),
            json!(1e308),
            json!(u64::MAX),
            json!(""),
            json!("\u{0}"),
            json!("x".repeat(5_000)),
            json!([]),
            json!({}),
            json!([[{}]]),
        ];
        let replaced = |(nth, strange): (usize, &Value), pointer: &String| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).unwrap() = strange.clone();
            (format!("mutant {nth} of {pointer}"), body)
        };
        let pointers = pointers(&good, "");
        pointers
            .iter()
            .flat_map(|pointer| strange.iter().enumerate().map(|one| replaced(one, pointer)).collect::<Vec<_>>())
            .collect()
    }
}

/// Returns the JSON pointers of all nested values.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (format!("{at}/{name}"), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(nth, item)| (format!("{at}/{nth}"), item)).collect(),
        _ => Vec::new(),
    };
    let below = |(at, member): (String, &Value)| [vec![at.clone()], pointers(member, &at)].concat();
    members.into_iter().flat_map(below).collect()
}

pub fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(to) => openapi_check::document().pointer(to.trim_start_matches('#')).unwrap(),
        None => value,
    }
}
