//! The page with the figures.

use std::fmt::Write as _;

use super::{measure::Measurement, statements::Statement};

/// The page before the tables.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Fewer pages than this are few, however many more they are than before: they are the levels of indexes and the rows of a page.
const FEW_BUFFERS: u64 = 128;

/// The history grows a hundredfold. A statement that reads more than eight times the pages grows with it.
const GROWTH: u64 = 8;

/// A statement with its figures.
#[derive(Debug)]
pub struct MeasuredStatement {
    /// The statement.
    pub statement: Statement,
    /// With the shorter history.
    pub few: Measurement,
    /// With the longer one.
    pub many: Measurement,
}

impl MeasuredStatement {
    /// Returns whether the cost grows with the history.
    pub fn grows(&self) -> bool {
        self.many.buffers > FEW_BUFFERS && self.many.buffers > GROWTH * self.few.buffers
    }
}

/// Returns the page: a table for each module. `machine`: what ran the statements.
pub fn render(all: &[MeasuredStatement], sizes: [u64; 2], machine: &str) -> String {
    let mut page = INTRODUCTION.replace("{machine}", machine);
    let mut module = "";
    for one in all {
        if one.statement.module() != module {
            module = one.statement.module();
            let [few, many] = sizes.map(grouped);
            let _ = write!(
                page,
                "\n## {module}\n\n| statement | used by | reads | rows | pages, {few} trips | pages, {many} trips | \
                 ms, {few} trips | ms, {many} trips |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
            );
        }
        let Measurement { plan, rows, buffers, ms } = &one.many;
        let mark = if one.grows() { " **grows**" } else { "" };
        let _ = writeln!(
            page,
            "| {} | {} | {plan} | {} | {} | {}{mark} | {:.2} | {ms:.2} |",
            name(&one.statement),
            one.statement.used_by,
            grouped(*rows),
            grouped(one.few.buffers),
            grouped(*buffers),
            one.few.ms,
        );
    }
    page + &accepted(all)
}

/// Lists the statements that may grow, with the reasons.
fn accepted(all: &[MeasuredStatement]) -> String {
    let mut text = String::new();
    for one in all {
        if let Some(reason) = &one.statement.grows_because {
            let _ = writeln!(text, "- {}: {reason}", name(&one.statement));
        }
    }
    if text.is_empty() { text } else { format!("\n## What may grow\n\n{text}") }
}

fn name(statement: &Statement) -> String {
    let variant = statement.variant.as_ref().map(|variant| format!(" ({variant})")).unwrap_or_default();
    format!("`{}`{variant}", statement.at.trim_start_matches("src/"))
}

/// Returns a number with commas between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(few: u64, many: u64) -> MeasuredStatement {
        let cost = |buffers| Measurement { buffers, ..Measurement::default() };
        MeasuredStatement { statement: Statement::default(), few: cost(few), many: cost(many) }
    }

    #[test]
    fn a_hundred_times_the_pages_is_growth_and_another_index_level_is_not() {
        assert!(measured(100, 10_000).grows());
        assert!(measured(20, 2_000).grows());
        assert!(!measured(3, 5).grows());
        assert!(!measured(1, 100).grows(), "few pages");
        assert!(!measured(9_000, 10_000).grows(), "much, but not more");
        assert_eq!(["7", "1,000", "1,000,000"].map(str::to_owned), [7, 1_000, 1_000_000].map(grouped));
    }

    #[test]
    fn page_names_the_machine_that_measured() {
        let page = render(&[measured(1, 1)], [10, 1_000], "2 cores, PostgreSQL 17.2");
        assert!(page.contains("(2 cores, PostgreSQL 17.2)") && !page.contains("{machine}"), "{page}");
    }
}
