//! The table of `docs/guards.md`, and the lines of a run's report.

use super::model::Variant;

/// The table: guard, what is wrong without it, who has had that, and the tests that die.
pub fn table(variants: &[Variant]) -> String {
    let mut table =
        "| variant | the guard | without it | seen at | dies |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for Variant { name, guard, wrong, seen_at, found_by, .. } in variants {
        let seen_at = seen_at.as_deref().unwrap_or("");
        let dies = found_by.iter().map(|finder| format!("`{finder}`")).collect::<Vec<_>>().join("<br>");
        table += &format!("| `{name}` | {guard} | {wrong} | {seen_at} | {dies} |\n");
    }
    table
}

/// One line of the report.
pub fn line(name: &str, found: bool, what: &str) -> String {
    let found = if found { "found" } else { "NOT FOUND" };
    format!("{name:<40} {found:<10} {what}\n")
}
