//! The table of `docs/guards.md`, and the lines of a run's report.

use super::model::Mutation;

/// Returns the table of all mutations.
pub fn table(mutations: &[Mutation]) -> String {
    let mut table =
        "| mutation | guard | without it | seen at | tests that must fail |\n| --- | --- | --- | --- | --- |\n"
            .to_owned();
    for Mutation { name, guard, consequence, seen_at, detected_by, .. } in mutations {
        let seen_at = seen_at.as_deref().unwrap_or("");
        let tests = detected_by.iter().map(|detector| format!("`{detector}`")).collect::<Vec<_>>().join("<br>");
        table += &format!("| `{name}` | {guard} | {consequence} | {seen_at} | {tests} |\n");
    }
    table
}

/// Returns one line of the report.
pub fn line(name: &str, detected: bool, why: &str) -> String {
    let detected = if detected { "detected" } else { "NOT DETECTED" };
    format!("{name:<40} {detected:<13} {why}\n")
}
