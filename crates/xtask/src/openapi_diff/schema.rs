//! Compares schemas.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Comparison, members, resolved};

/// The direction of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A client sends it: what was accepted must stay accepted.
    Request,
    /// A client reads it: what is returned must match what was declared.
    Response,
}

/// Depth of the comparison. Our schemas have up to six levels; a recursive one ends here.
const DEPTH_MAX: usize = 16;

/// Bounds that are narrower when greater, and those that are narrower when smaller.
const LEAST: [&str; 4] = ["minimum", "minLength", "minItems", "exclusiveMinimum"];
const MOST: [&str; 4] = ["maximum", "maxLength", "maxItems", "exclusiveMaximum"];

/// Compares two schemas.
pub fn compare(comparison: &mut Comparison<'_>, at: &str, direction: Direction, (old, new): (&Value, &Value)) {
    let old = Flat::new(comparison.old, old, 0);
    let new = Flat::new(comparison.new, new, 0);
    compare_flat(comparison, at, direction, (&old, &new));
}

/// A schema without references and alternatives: the union of these.
#[derive(Debug, Default)]
struct Flat {
    kinds: BTreeSet<String>,
    names: Option<BTreeSet<String>>,
    pattern: Option<String>,
    bounds: BTreeMap<&'static str, f64>,
    required: BTreeSet<String>,
    fields: BTreeMap<String, Flat>,
    items: Option<Box<Flat>>,
}

impl Flat {
    fn new(document: &Value, schema: &Value, depth: usize) -> Self {
        let schema = resolved(document, schema);
        let mut flat = Self::default();
        if depth == DEPTH_MAX {
            return flat;
        }
        let texts = |value: &Value| match value {
            Value::Array(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            one => one.as_str().map(str::to_owned).into_iter().collect::<BTreeSet<_>>(),
        };
        flat.kinds = texts(&schema["type"]);
        flat.names = schema.get("enum").map(texts);
        flat.pattern = schema["pattern"].as_str().map(str::to_owned);
        let bounds = LEAST.into_iter().chain(MOST);
        flat.bounds = bounds.filter_map(|name| Some((name, schema[name].as_f64()?))).collect();
        flat.required = texts(&schema["required"]);
        let fields = members(&schema["properties"]);
        flat.fields = fields.map(|(name, field)| (name.clone(), Self::new(document, field, depth + 1))).collect();
        flat.items = schema.get("items").map(|items| Box::new(Self::new(document, items, depth + 1)));
        for word in ["allOf", "oneOf", "anyOf"] {
            for part in schema[word].as_array().into_iter().flatten() {
                flat.join(Self::new(document, part, depth + 1), word == "allOf");
            }
        }
        flat
    }

    /// Merges a part or an alternative. For alternatives, only one contributes required fields.
    fn join(&mut self, part: Self, is_part: bool) {
        self.kinds.extend(part.kinds);
        self.fields.extend(part.fields);
        self.bounds.extend(part.bounds);
        self.names = self.names.take().or(part.names);
        self.pattern = self.pattern.take().or(part.pattern);
        self.items = self.items.take().or(part.items);
        if is_part || self.required.is_empty() {
            self.required.extend(part.required);
        }
    }
}

fn compare_flat(comparison: &mut Comparison<'_>, at: &str, direction: Direction, (old, new): (&Flat, &Flat)) {
    let (accepted, provided) = if direction == Direction::Request { (new, old) } else { (old, new) };
    let unexpected: Vec<_> = provided.kinds.difference(&accepted.kinds).map(String::as_str).collect();
    let is_unexpected = !unexpected.is_empty() && !accepted.kinds.is_empty();
    // Every integer is a number.
    let is_number = unexpected == ["integer"] && accepted.kinds.contains("number");
    if is_unexpected && !is_number {
        comparison.report(format!("{at} has the type {:?} instead of {:?}", new.kinds, old.kinds));
    }
    if direction == Direction::Request {
        compare_bounds(comparison, at, old, new);
    }
    for name in accepted.required.difference(&provided.required) {
        match direction {
            Direction::Request => comparison.report(format!("{at}/{name} is now required")),
            Direction::Response => comparison.report(format!("{at}/{name} may be missing")),
        }
    }
    for (name, was) in &old.fields {
        let at = format!("{at}/{name}");
        match new.fields.get(name) {
            Some(is) => compare_flat(comparison, &at, direction, (was, is)),
            None => comparison.report(format!("{at} is removed")),
        }
    }
    if let (Some(was), Some(is)) = (&old.items, &new.items) {
        compare_flat(comparison, &format!("{at}[]"), direction, (was, is));
    }
}

/// Compares what a request may contain.
fn compare_bounds(comparison: &mut Comparison<'_>, at: &str, old: &Flat, new: &Flat) {
    if let Some(names) = &new.names {
        match &old.names {
            Some(before) => {
                let gone: Vec<_> = before.difference(names).cloned().collect();
                if !gone.is_empty() {
                    comparison.report(format!("{at} no longer accepts {}", gone.join(", ")));
                }
            }
            None => comparison.report(format!("{at} is now an enum")),
        }
    }
    if new.pattern.is_some() && new.pattern != old.pattern && new.names.is_none() {
        comparison.report(format!("{at} has another pattern"));
    }
    for (name, is) in &new.bounds {
        let is_narrower = |was: &f64| if LEAST.contains(name) { is > was } else { is < was };
        if old.bounds.get(name).is_none_or(is_narrower) {
            comparison.report(format!("{at} has a narrower {name}: {is}"));
        }
    }
}
