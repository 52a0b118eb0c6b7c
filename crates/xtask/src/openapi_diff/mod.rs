//! `cargo xtask openapi-diff OLD NEW [CHANGELOG]`: finds changes of the new document that break clients of the old one.
//!
//! Breaking is a removal of an operation, its name, a success status, a role or a field; a field or parameter that became required;
//! a narrower type or bound. Adding fields or enum values to a response is not breaking. Requests refuse unknown fields.

mod schema;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::workspace::Result;

/// The section of the changelog that lists breaking changes.
const SECTION: &str = "### Breaking";

/// The words by which it covers all operations.
const ALL: &str = "every operation";

/// A breaking change.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BreakingChange {
    /// `POST /v1/trips`.
    operation: String,
    /// What changed.
    what: String,
}

/// Compares two files. Fails unless the changelog lists the operations of all breaking changes.
///
/// # Errors
/// If a file cannot be read.
pub fn run(old: &str, new: &str, changelog: Option<&str>) -> Result<ExitCode> {
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let document = |path: &str| -> Result<Value> { Ok(serde_json::from_str(&read(path)?)?) };
    let changelog = changelog.map(read).transpose()?.unwrap_or_default();
    let found = breaking_changes(&document(old)?, &document(new)?);
    let unlisted: Vec<_> = found.iter().filter(|change| !is_listed(&changelog, change)).collect();
    for BreakingChange { operation, what } in &unlisted {
        eprintln!("breaking: {operation}: {what}");
    }
    println!("openapi-diff: {} breaking changes, {} of them not in the changelog", found.len(), unlisted.len());
    if unlisted.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("list each operation, like `POST /v1/trips`, or \"{ALL}\", under \"{SECTION}\" of \"Unreleased\"");
    Ok(ExitCode::FAILURE)
}

/// Whether the section "Unreleased" lists the operation of this change.
fn is_listed(changelog: &str, change: &BreakingChange) -> bool {
    let unreleased = changelog.split("\n## ").find(|part| part.starts_with("Unreleased")).unwrap_or_default();
    let section = unreleased.split_once(SECTION).map_or("", |(_, rest)| rest.split("\n### ").next().unwrap_or(rest));
    section.contains(&format!("`{}`", change.operation)) || section.contains(ALL)
}

/// The two documents, and the breaking changes so far.
struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    operation: String,
    found: BTreeSet<BreakingChange>,
}

impl Comparison<'_> {
    fn report(&mut self, what: impl Into<String>) {
        self.found.insert(BreakingChange { operation: self.operation.clone(), what: what.into() });
    }
}

/// Returns all breaking changes.
fn breaking_changes(old: &Value, new: &Value) -> BTreeSet<BreakingChange> {
    let mut comparison = Comparison { old, new, operation: String::new(), found: BTreeSet::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item) {
            comparison.operation = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                Some(now) => compare_operation(&mut comparison, operation, now),
                None => comparison.report("is removed"),
            }
        }
    }
    comparison.found
}

fn compare_operation(comparison: &mut Comparison<'_>, old: &Value, new: &Value) {
    if old["operationId"] != new["operationId"] {
        comparison.report(format!("has the operationId {} instead of {}", new["operationId"], old["operationId"]));
    }
    let gone: Vec<_> = roles(old).difference(&roles(new)).cloned().collect();
    if !gone.is_empty() && !roles(new).is_empty() {
        comparison.report(format!("no longer permits the role {}", gone.join(", ")));
    }
    compare_parameters(comparison, old, new);
    let (was, is) = (&old["requestBody"], &new["requestBody"]);
    if is["required"] == true && was["required"] != true {
        comparison.report("the body is now required");
    }
    compare_contents(comparison, "the body", schema::Direction::Request, was, is);
    for (status, answer) in members(&old["responses"]).filter(|(status, _)| status.starts_with('2')) {
        match new["responses"].get(status) {
            Some(now) => compare_contents(comparison, status, schema::Direction::Response, answer, now),
            None => comparison.report(format!("no longer returns {status}")),
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
                schema::compare(comparison, &name, schema::Direction::Request, schemas);
            }
            None => comparison.report(format!("{name} is removed")),
        }
    }
    for parameter in after.iter().filter(|parameter| parameter["required"] == true) {
        if find(&before, parameter).is_none_or(|was| was["required"] != true) {
            comparison.report(format!("the parameter {} is now required", parameter["name"]));
        }
    }
}

fn compare_contents(comparison: &mut Comparison<'_>, at: &str, direction: schema::Direction, old: &Value, new: &Value) {
    let (old, new) = (resolved(comparison.old, old).clone(), resolved(comparison.new, new).clone());
    for (kind, content) in members(&old["content"]) {
        match new["content"].get(kind) {
            Some(now) => schema::compare(comparison, at, direction, (&content["schema"], &now["schema"])),
            None => comparison.report(format!("{at} is no longer {kind}")),
        }
    }
}

/// Returns the roles that may call an operation: the names of its security schemes.
fn roles(operation: &Value) -> BTreeSet<String> {
    let alternatives = operation["security"].as_array().into_iter().flatten();
    alternatives.flat_map(|scheme| members(scheme).map(|(name, _)| name.clone()).collect::<Vec<_>>()).collect()
}

/// Resolves a reference.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(value)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
