//! Changes of the service's metrics since the load began.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::table::{row, table};

/// A sample when the load began, and now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricChange {
    /// Name and labels.
    pub sample: String,
    /// The value when the load began.
    pub start: f64,
    /// The value now.
    pub now: f64,
}

/// Returns the samples whose name or labels contain a text and that have changed or are not zero. Buckets of histograms are left out unless
/// the text asks for them.
pub(super) fn changes(
    start: &BTreeMap<String, f64>,
    now: &BTreeMap<String, f64>,
    containing: &str,
) -> Vec<MetricChange> {
    let wants_buckets = containing.contains("_bucket");
    let is_wanted = |sample: &&String| sample.contains(containing) && (wants_buckets || !sample.contains("_bucket{"));
    let change = |sample: &String| MetricChange {
        sample: sample.clone(),
        start: start.get(sample).copied().unwrap_or(0.0),
        now: now.get(sample).copied().unwrap_or(0.0),
    };
    let changes = now.keys().filter(is_wanted).map(change);
    changes.filter(|change| change.now != 0.0 || change.start != 0.0).collect()
}

/// The changes as a table.
pub fn changes_table(changes: &[MetricChange]) -> String {
    let number = |value: f64| format!("{}", (value * 1_000.0).round() / 1_000.0);
    let mut rows = vec![row(["start", "now", "change", "sample"])];
    rows.extend(changes.iter().map(|change| {
        let difference = change.now - change.start;
        row([&number(change.start), &number(change.now), &number(difference), &change.sample])
    }));
    table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unchanged_zeros_and_buckets_are_left_out() {
        let samples = |pairs: &[(&str, f64)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let start = samples(&[("a", 1.0), ("zero", 0.0)]);
        let now = samples(&[("a", 4.0), ("zero", 0.0), ("h_bucket{le=\"1\"}", 3.0), ("new", 2.0)]);
        let names =
            |containing| changes(&start, &now, containing).into_iter().map(|one| one.sample).collect::<Vec<_>>();
        assert_eq!(names(""), ["a", "new"]);
        assert_eq!(names("h_bucket"), ["h_bucket{le=\"1\"}"]);
        assert!(changes_table(&changes(&start, &now, "a")).contains("    1    4       3  a"));
    }
}
