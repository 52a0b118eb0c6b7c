//! Checks every response of every test against the published OpenAPI document: status, content type, headers and body.
//! [`ApiResponse::of`](super::ApiResponse::of) calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};

use jsonschema::{Draft, Registry, Validator};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Public paths that are not in the document: pages, metrics, and the document itself.
const UNDOCUMENTED: &[&str] =
    &["/", "/book", "/city", "/console", "/docs", "/metrics", "/openapi.json", "/problems", "/rehearse", "/shell"];

/// Headers that must be declared where the service sends them.
const DECLARED_HEADERS: &[&str] = &[
    "allow",
    "etag",
    "idempotent-replayed",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "trace-id",
    "www-authenticate",
];

/// Base URI of the references in the document.
const DOCUMENT: &str = "urn:ridematch:openapi";

/// The parts of a response that are checked.
pub struct Checked<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    /// `None` for a stream, whose body has no end.
    pub body: Option<&'a [u8]>,
}

/// The published document.
pub fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::to_value(ridematch::document()).expect("the document"))
}

/// Every operation of the document by name: method, path template, and definition.
pub fn operations() -> BTreeMap<&'static str, (Method, &'static str, &'static Value)> {
    let mut operations = BTreeMap::new();
    for (template, item) in document()["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path's operations") {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            let Some(name) = operation["operationId"].as_str() else { continue };
            operations.insert(name, (method, template.as_str(), operation));
        }
    }
    operations
}

/// Operations and statuses that were checked in this process so far.
pub fn seen() -> BTreeSet<(&'static str, u16)> {
    SEEN.lock().expect("no panic while it is locked").clone()
}

static SEEN: Mutex<BTreeSet<(&'static str, u16)>> = Mutex::new(BTreeSet::new());

/// Panics if the document does not declare this response.
pub fn check_response(method: &Method, path: &str, reply: &Checked<'_>) {
    // A HEAD is answered as a GET, without the body.
    let faults = match *method == Method::HEAD {
        false => faults(method, path, reply),
        true if reply.body.is_some_and(|body| !body.is_empty()) => vec!["a HEAD has no body".to_owned()],
        true => faults(&Method::GET, path, &Checked { body: None, ..*reply }),
    };
    assert!(
        faults.is_empty(),
        "{method} {path} responded with {}, which the document does not declare:\n  {}\n{}",
        reply.status,
        faults.join("\n  "),
        String::from_utf8_lossy(reply.body.unwrap_or_default()),
    );
}

/// Returns what the document does not declare.
fn faults(method: &Method, path: &str, reply: &Checked<'_>) -> Vec<String> {
    let Some((template, item)) = item(path) else { return faults_of_unknown_path(path, reply) };
    let Some((name, operation)) = operation(item, method) else {
        return faults_of_unknown_method(template, item, reply);
    };
    if template.starts_with("/v1/sandbox/") && reply.status == StatusCode::NOT_FOUND && !is_declared(operation, "404") {
        // A production service has no sandbox.
        return faults_of_problem(reply);
    }
    SEEN.lock().expect("no panic while it is locked").insert((name, reply.status.as_u16()));
    let key = [reply.status.as_str(), "default"].into_iter().find(|key| is_declared(operation, key));
    let Some(key) = key else {
        return vec![format!("{name}: the status {} is not declared", reply.status.as_u16())];
    };
    let pointer = format!("/paths/{}/{}/responses/{key}", escaped(template), method.as_str().to_lowercase());
    let (pointer, response) = resolved(pointer);
    let mut faults = faults_of_headers(response, reply.headers);
    faults.extend(faults_of_body(&pointer, response, reply));
    faults.into_iter().map(|fault| format!("{name} {key}: {fault}")).collect()
}

fn is_declared(operation: &Value, status: &str) -> bool {
    operation["responses"].get(status).is_some()
}

/// Returns the path item of a path: the match with the fewest parameters.
fn item(path: &str) -> Option<(&'static str, &'static Value)> {
    let matches = |template: &str| {
        let (mut theirs, mut ours) = (path.split('/'), template.split('/'));
        theirs.clone().count() == ours.clone().count()
            && ours
                .by_ref()
                .zip(theirs.by_ref())
                .all(|(ours, theirs)| ours == theirs || (ours.starts_with('{') && !theirs.is_empty()))
    };
    let paths = document()["paths"].as_object().expect("paths").iter();
    let (template, item) =
        paths.filter(|(template, _)| matches(template)).min_by_key(|(template, _)| template.matches('{').count())?;
    Some((template.as_str(), item))
}

fn operation(item: &'static Value, method: &Method) -> Option<(&'static str, &'static Value)> {
    let operation = item.get(method.as_str().to_lowercase())?;
    Some((operation["operationId"].as_str()?, operation))
}

/// An unknown path is a 404 with a problem document.
fn faults_of_unknown_path(path: &str, reply: &Checked<'_>) -> Vec<String> {
    let is_page = |page: &str| path == page || (page != "/" && path.starts_with(&format!("{page}/")));
    if UNDOCUMENTED.iter().any(|page| is_page(page)) {
        return Vec::new();
    }
    match reply.status {
        StatusCode::NOT_FOUND => faults_of_problem(reply),
        _ => vec!["the document has no such path".to_owned()],
    }
}

/// An unknown method is a 405 with a problem document and the list of methods.
fn faults_of_unknown_method(template: &str, item: &Value, reply: &Checked<'_>) -> Vec<String> {
    if reply.status != StatusCode::METHOD_NOT_ALLOWED {
        return vec![format!("{template} has no such method, so it should be 405")];
    }
    let mut documented: BTreeSet<_> = operations_of(item).collect();
    if documented.contains("GET") {
        documented.insert("HEAD".to_owned());
    }
    let allowed = text(reply.headers, "allow").unwrap_or_default();
    let allowed: BTreeSet<_> = allowed.split(',').map(|method| method.trim().to_owned()).collect();
    let mut faults = faults_of_problem(reply);
    if allowed != documented {
        faults.push(format!("{template} has {documented:?}, and `Allow` says {allowed:?}"));
    }
    faults
}

fn operations_of(item: &Value) -> impl Iterator<Item = String> {
    let members = item.as_object().expect("a path's operations").keys();
    members.filter(|member| item[member.as_str()]["responses"].is_object()).map(|method| method.to_uppercase())
}

fn faults_of_problem(reply: &Checked<'_>) -> Vec<String> {
    let kind = text(reply.headers, "content-type").unwrap_or_default();
    if kind != "application/problem+json" {
        return vec![format!("a problem document is expected, and it is {kind:?}")];
    }
    reply.body.map_or_else(Vec::new, |body| faults_of_json("/components/schemas/Problem", body))
}

/// Declared headers must match their schema, and be present if required. [`DECLARED_HEADERS`] must be declared.
fn faults_of_headers(response: &Value, headers: &HeaderMap) -> Vec<String> {
    let none = serde_json::Map::new();
    let declared = response["headers"].as_object().unwrap_or(&none);
    let mut faults = Vec::new();
    for (name, header) in declared {
        let header = header["$ref"].as_str().map_or(header, |to| at(to.trim_start_matches('#')));
        match text(headers, name) {
            None if header["required"] == true => faults.push(format!("the header {name} is missing")),
            None => {}
            Some(value) if fits(&header["schema"], value) => {}
            Some(value) => faults.push(format!("the header {name} is {value:?}, which does not match its schema")),
        }
    }
    let is_declared = |name: &str| declared.keys().any(|declared| declared.eq_ignore_ascii_case(name));
    let undeclared = DECLARED_HEADERS.iter().filter(|name| headers.contains_key(**name) && !is_declared(name));
    faults.extend(undeclared.map(|name| format!("the header {name} is not declared")));
    faults
}

/// Whether a header's value matches its schema, as a string or as a number.
fn fits(schema: &Value, value: &str) -> bool {
    let schema = schema["$ref"].as_str().map_or(schema, |to| at(to.trim_start_matches('#')));
    let validator = compiled(schema);
    let spelled = serde_json::from_str::<Value>(value).ok();
    validator.is_valid(&json!(value)) || spelled.is_some_and(|spelled| validator.is_valid(&spelled))
}

fn faults_of_body(pointer: &str, response: &Value, reply: &Checked<'_>) -> Vec<String> {
    let kind = text(reply.headers, "content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let declared = response["content"].as_object().filter(|content| !content.is_empty());
    match (declared, kind, reply.body) {
        (None, _, Some(b"")) => Vec::new(),
        (None, _, _) => vec!["there is a body, and none is declared".to_owned()],
        (Some(_), None, _) => vec!["there is no content type".to_owned()],
        (Some(declared), Some(kind), body) => match declared.get(kind) {
            None => vec![format!("it is {kind}, and declared is {:?}", declared.keys().collect::<Vec<_>>())],
            Some(content) if content.get("schema").is_none() => vec![format!("{kind} has no schema")],
            Some(_) => match body {
                Some(body) if kind.ends_with("json") => {
                    faults_of_json(&format!("{pointer}/content/{}/schema", escaped(kind)), body)
                }
                _ => Vec::new(),
            },
        },
    }
}

/// Returns the violations of the schema at `pointer`.
fn faults_of_json(pointer: &str, body: &[u8]) -> Vec<String> {
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(error) => return vec![format!("the body is not JSON: {error}")],
    };
    let say = |error: jsonschema::ValidationError<'_>| format!("at {:?}: {error}", error.instance_path().as_str());
    validator(pointer).iter_errors(&body).map(say).collect()
}

/// Returns the validator for the schema at `pointer`.
fn validator(pointer: &str) -> &'static Validator {
    let fragment = pointer.replace('%', "%25").replace('{', "%7B").replace('}', "%7D");
    compiled(&json!({"$ref": format!("{DOCUMENT}#{fragment}")}))
}

/// Returns the validator for a schema. Compiled once: that takes longer than the validation.
fn compiled(schema: &Value) -> &'static Validator {
    static COMPILED: Mutex<BTreeMap<String, &'static Validator>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().expect("a schema does not compile");
    compiled.entry(schema.to_string()).or_insert_with_key(|text| {
        let validator = options().build(schema);
        Box::leak(Box::new(validator.unwrap_or_else(|error| panic!("{text}: {error}"))))
    })
}

/// JSON Schema 2020-12, as in OpenAPI 3.1. Formats are validated.
fn options() -> jsonschema::ValidationOptions<'static> {
    static REGISTRY: OnceLock<Registry<'static>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let registry = Registry::new().draft(Draft::Draft202012).add(DOCUMENT, document()).expect("a valid base URI");
        registry.prepare().expect("a document without dangling references")
    });
    jsonschema::options().with_draft(Draft::Draft202012).with_registry(registry).should_validate_formats(true)
}

/// Resolves references. Returns the pointer and the value.
fn resolved(pointer: String) -> (String, &'static Value) {
    let found = at(&pointer);
    match found["$ref"].as_str() {
        Some(to) => resolved(to.trim_start_matches('#').to_owned()),
        None => (pointer, found),
    }
}

fn at(pointer: &str) -> &'static Value {
    document().pointer(pointer).unwrap_or_else(|| panic!("the document has no {pointer}"))
}

/// Escapes a name for a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
