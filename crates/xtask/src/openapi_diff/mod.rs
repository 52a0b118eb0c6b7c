//! `cargo xtask openapi-diff OLD NEW [CHANGELOG]`: what in the new document breaks a client that was made for the old one.
//!
//! Breaking is what takes something away: an operation, its name, a status of success, a role, a field; and what asks for more:
//! a field or parameter that has become required, a type or a bound that has become narrower. Names may be added to what is
//! answered, and fields too. A request's fields are closed, for unknown ones are refused.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::workspace::Result;

/// The section of the changelog that excuses.
const SECTION: &str = "### Breaking";

/// What it says there to excuse all of them.
const ALL: &str = "every operation";

/// Something that breaks clients.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// `POST /v1/trips`.
    operation: String,
    /// What is wrong with it.
    what: String,
}

/// Compares two files; breaking changes are a failure unless the changelog names their operations.
///
/// # Errors
/// If a file cannot be read.
pub fn run(old: &str, new: &str, changelog: Option<&str>) -> Result<ExitCode> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let document = |path: &str| -> Result<Value> { Ok(serde_json::from_str(&read(path)?)?) };
    let changelog = changelog.map(read).transpose()?.unwrap_or_default();
    let found = findings(&document(old)?, &document(new)?);
    let unsaid: Vec<_> = found.iter().filter(|finding| !is_said(&changelog, finding)).collect();
    for Finding { operation, what } in &unsaid {
        eprintln!("breaking: {operation}: {what}");
    }
    println!("openapi-diff: {} breaking changes, {} of them not in the changelog", found.len(), unsaid.len());
    if unsaid.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("name each operation, as `POST /v1/trips`, or \"{ALL}\", under \"{SECTION}\" of what is unreleased");
    Ok(ExitCode::FAILURE)
}

/// Whether what is unreleased says that this operation breaks.
fn is_said(changelog: &str, finding: &Finding) -> bool {
    let unreleased = changelog.split("\n## ").find(|part| part.starts_with("Unreleased")).unwrap_or_default();
    let section = unreleased.split_once(SECTION).map_or("", |(_, rest)| rest.split("\n### ").next().unwrap_or(rest));
    section.contains(&format!("`{}`", finding.operation)) || section.contains(ALL)
}

/// The two documents, and what was found so far.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    operation: String,
    found: BTreeSet<Finding>,
}

impl Comparison<'_> {
    fn report(&mut self, what: impl Into<String>) {
        self.found.insert(Finding { operation: self.operation.clone(), what: what.into() });
    }
}

/// Everything that breaks, by operation.
fn findings(old: &Value, new: &Value) -> BTreeSet<Finding> {
    let mut comparison = Comparison { old, new, operation: String::new(), found: BTreeSet::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item) {
            comparison.operation = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => compare_operation(&mut comparison, operation, now),
                None => comparison.report("is gone"),
            }
        }
    }
    comparison.found
}

fn compare_operation(comparison: &mut Comparison<'_>, old: &Value, new: &Value) {
    if old["operationId"] != new["operationId"] {
        comparison.report(format!("is called {} and was {}", new["operationId"], old["operationId"]));
    }
    let gone: Vec<_> = roles(old).difference(&roles(new)).cloned().collect();
    if !gone.is_empty() && !roles(new).is_empty() {
        comparison.report(format!("is not for the role {} any more", gone.join(", ")));
    }
    compare_parameters(comparison, old, new);
    let (was, is) = (&old["requestBody"], &new["requestBody"]);
    if is["required"] == true && was["required"] != true {
        comparison.report("the body has become required");
    }
    compare_contents(comparison, "the body", schema::Way::Request, was, is);
    for (status, answer) in members(&old["responses"]).filter(|(status, _)| status.starts_with('2')) {
        match new["responses"].get(status) {
            Some(now) => compare_contents(comparison, status, schema::Way::Response, answer, now),
            None => comparison.report(format!("does not answer {status} any more")),
        }
    }
}

fn compare_parameters(comparison: &mut Comparison<'_>, old: &Value, new: &Value) {
    let of = |document: &Value, operation: &Value| -> Vec<Value> {
        let all = operation["parameters"].as_array().into_iter().flatten();
        all.map(|parameter| resolved(document, parameter).clone()).collect()
    };
    let (before, after) = (of(comparison.old, old), of(comparison.new, new));
    let find = |all: &[Value], one: &Value| {
        all.iter().find(|other| other["name"] == one["name"] && other["in"] == one["in"]).cloned()
    };
    for parameter in &before {
        let name = format!("the parameter {}", parameter["name"]);
        match find(&after, parameter) {
            Some(now) => {
                let schemas = (&parameter["schema"], &now["schema"]);
                schema::compare(comparison, &name, schema::Way::Request, schemas);
            }
            None => comparison.report(format!("{name} is gone")),
        }
    }
    for parameter in after.iter().filter(|parameter| parameter["required"] == true) {
        if find(&before, parameter).is_none_or(|was| was["required"] != true) {
            comparison.report(format!("the parameter {} has become required", parameter["name"]));
        }
    }
}

fn compare_contents(comparison: &mut Comparison<'_>, at: &str, way: schema::Way, old: &Value, new: &Value) {
    let (old, new) = (resolved(comparison.old, old).clone(), resolved(comparison.new, new).clone());
    for (kind, content) in members(&old["content"]) {
        match new["content"].get(kind) {
            Some(now) => schema::compare(comparison, at, way, (&content["schema"], &now["schema"])),
            None => comparison.report(format!("{at} is not {kind} any more")),
        }
    }
}

/// Who may call it: the names of its security schemes.
fn roles(operation: &Value) -> BTreeSet<String> {
    let ways = operation["security"].as_array().into_iter().flatten();
    ways.flat_map(|way| members(way).map(|(name, _)| name.clone()).collect::<Vec<_>>()).collect()
}

/// What a reference leads to; itself if it is none.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
