//! Reads a plan of PostgreSQL in JSON.

use std::collections::BTreeSet;

use serde_json::Value;

use super::measure::Measurement;
use crate::workspace::Result;

/// Reads the output of `explain (analyze, buffers, format json)`.
///
/// # Errors
///
/// It has another form.
pub fn read(explained: &Value) -> Result<Measurement> {
    let top = explained.get(0).ok_or("an explanation without a plan")?;
    let plan = top.get("Plan").ok_or("an explanation without a plan")?;
    let number = |name: &str| plan.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut scans = BTreeSet::new();
    let mut changed = 0;
    visit(plan, &mut |node| {
        scans.extend(scan(node));
        if let Some("ModifyTable") = node["Node Type"].as_str() {
            changed += children(node).map(rows).max().unwrap_or(0);
        }
    });
    let scans: Vec<String> = scans.into_iter().collect();
    Ok(Measurement {
        plan: if scans.is_empty() { "no table".to_owned() } else { scans.join(", ") },
        rows: rows(plan).max(changed),
        buffers: number("Shared Hit Blocks") + number("Shared Read Blocks"),
        ms: top.get("Execution Time").and_then(Value::as_f64).unwrap_or(0.0),
    })
}

/// Describes how a node reads a table; `None` if it reads none.
fn scan(node: &Value) -> Option<String> {
    let index = || node["Index Name"].as_str();
    match node["Node Type"].as_str()? {
        "Seq Scan" => Some(format!("**{}** whole", node["Relation Name"].as_str()?)),
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" => Some(index()?.to_owned()),
        _ => None,
    }
}

/// The rows of a node over all its loops.
fn rows(node: &Value) -> u64 {
    let number = |name: &str| node.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    (number("Actual Rows") * number("Actual Loops").max(1.0)).round() as u64
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node.get("Plans").and_then(Value::as_array).into_iter().flatten()
}

/// Calls `see` with a node and all nodes below it.
fn visit(node: &Value, see: &mut impl FnMut(&Value)) {
    see(node);
    for child in children(node) {
        visit(child, see);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plan_names_indexes_and_whole_tables_and_sums_pages() {
        let explained = json!([{
            "Plan": {
                "Node Type": "Nested Loop", "Actual Rows": 3, "Actual Loops": 1, "Shared Hit Blocks": 5, "Shared Read Blocks": 2,
                "Plans": [
                    {"Node Type": "Seq Scan", "Relation Name": "matcher", "Actual Rows": 1, "Actual Loops": 1},
                    {"Node Type": "Index Scan", "Index Name": "trips_pkey", "Actual Rows": 1, "Actual Loops": 3},
                ],
            },
            "Execution Time": 0.25,
        }]);
        let measured = read(&explained).expect("a plan");
        assert_eq!(measured.plan, "**matcher** whole, trips_pkey");
        assert_eq!((measured.rows, measured.buffers, measured.ms), (3, 7, 0.25));
    }

    #[test]
    fn changed_rows_count_although_the_statement_returns_none() {
        let child = json!({"Node Type": "Index Scan", "Index Name": "trips_pkey", "Actual Rows": 2, "Actual Loops": 1});
        let update =
            json!([{"Plan": {"Node Type": "ModifyTable", "Actual Rows": 0, "Actual Loops": 1, "Plans": [child]}}]);
        assert_eq!(read(&update).expect("a plan").rows, 2);
    }
}
