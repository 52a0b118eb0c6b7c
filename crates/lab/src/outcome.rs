//! The result of a lab: a table, the answer to its bet, records, conclusions and a plot.

use serde::{Deserialize, Serialize};

use crate::numbers;
use crate::plot::Plot;

/// A column of figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// What is measured.
    pub name: String,
    /// In which unit.
    pub unit: String,
    /// Decimals in the printed table.
    pub decimals: usize,
}

impl Column {
    /// A column.
    pub fn new(name: &str, unit: &str, decimals: usize) -> Self {
        Self { name: name.to_owned(), unit: unit.to_owned(), decimals }
    }

    /// Returns its name with the unit.
    pub fn heading(&self) -> String {
        if self.unit.is_empty() { self.name.clone() } else { format!("{}, {}", self.name, self.unit) }
    }

    /// Returns a figure as text: the median, and the range where runs differ.
    pub fn figure(&self, cell: Option<&Summary>) -> String {
        let Some(Summary { min, median, max }) = cell else { return "-".to_owned() };
        let [min, median, max] = [min, median, max].map(|figure| numbers::grouped(*figure, self.decimals));
        if min == max { median } else { format!("{median} ({min} to {max})") }
    }
}

/// What several runs measured for one figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The middle one; of an even number, the lower of the two.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Returns the summary of the runs; `None` without runs.
    pub fn of(runs: &[f64]) -> Option<Self> {
        let mut sorted = runs.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = *sorted.get((sorted.len().max(1) - 1) / 2)?;
        Some(Self { min: *sorted.first()?, median, max: *sorted.last()? })
    }
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The method or the size.
    pub label: String,
    /// One for each column; `None` where a figure does not apply.
    pub cells: Vec<Option<Summary>>,
}

/// Collects the figures of each run.
#[derive(Debug, Clone)]
pub struct Measurements {
    columns: Vec<Column>,
    rows: Vec<(String, Vec<Vec<f64>>)>,
}

impl Measurements {
    /// Without any run.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a run of a row: one figure for each column, NaN where none applies. A new label adds a row.
    pub fn record(&mut self, label: &str, figures: &[f64]) {
        debug_assert_eq!(figures.len(), self.columns.len(), "{label}: a figure for each column");
        let at = self.rows.iter().position(|(known, _)| known == label).unwrap_or_else(|| {
            self.rows.push((label.to_owned(), vec![Vec::new(); self.columns.len()]));
            self.rows.len() - 1
        });
        for (runs, figure) in self.rows[at].1.iter_mut().zip(figures) {
            if figure.is_finite() {
                runs.push(*figure);
            }
        }
    }

    /// Returns the table.
    pub fn table(self) -> Table {
        let row = |(label, cells): (String, Vec<Vec<f64>>)| Row {
            label,
            cells: cells.iter().map(|runs| Summary::of(runs)).collect(),
        };
        Table { columns: self.columns, rows: self.rows.into_iter().map(row).collect() }
    }
}

/// Rows of figures, each with least, median and greatest of the runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

impl Table {
    /// Returns a figure of the row with this label.
    pub fn cell(&self, label: &str, column: usize) -> Option<Summary> {
        let row = self.rows.iter().find(|row| row.label == label)?;
        row.cells.get(column).copied().flatten()
    }

    /// Returns the median of a figure; NaN if there is none, which no comparison takes for a number.
    pub fn median(&self, label: &str, column: usize) -> f64 {
        self.cell(label, column).map_or(f64::NAN, |cell| cell.median)
    }

    /// Returns the table as text: the median, and the range where runs differ.
    pub fn text(&self) -> String {
        let mut header = vec![String::new()];
        header.extend(self.columns.iter().map(Column::heading));
        let mut lines = vec![header];
        for row in &self.rows {
            let figures = row.cells.iter().zip(&self.columns).map(|(cell, column)| column.figure(cell.as_ref()));
            lines.push([row.label.clone()].into_iter().chain(figures).collect());
        }
        let widest = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..=self.columns.len()).map(widest).collect();
        let line = |cells: &Vec<String>| {
            let padded =
                cells.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
                    if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        lines.iter().map(line).collect()
    }
}

/// The number that settles the bet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The number; finite.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// In words: what it is, and which runs it comes from.
    pub text: String,
}

/// Records after one case, side by side: ours and the other party's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    /// Which case, by which method.
    pub title: String,
    /// The entries.
    pub lines: Vec<String>,
}

/// What a lab returns.
#[derive(Debug, Clone)]
pub struct LabResult {
    /// The figures.
    pub table: Table,
    /// The answer to the bet.
    pub answer: Answer,
    /// The records of cases that show the difference.
    pub records: Vec<Records>,
    /// What follows, with figures of this very run.
    pub conclusions: Vec<String>,
    /// The plot.
    pub plot: Plot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_is_least_median_and_greatest() {
        let summary = Summary::of(&[3.0, 1.0, 2.0]).expect("runs");
        assert_eq!(summary, Summary { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Summary::of(&[4.0, 1.0]).expect("runs").median.to_bits(), 1.0_f64.to_bits());
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn table_shows_the_range_only_where_runs_differ() {
        let mut measured = Measurements::new(vec![Column::new("count", "", 0), Column::new("time", "ms", 1)]);
        measured.record("one", &[7.0, 1.0]);
        measured.record("one", &[7.0, 3.0]);
        measured.record("two", &[1_234.0, f64::NAN]);
        let table = measured.table();
        let text = table.text();
        assert_eq!(text, "     count          time, ms\none      7  1.0 (1.0 to 3.0)\ntwo  1,234                 -\n");
        assert!(table.median("two", 1).is_nan());
        assert!(table.median("three", 0).is_nan());
    }
}
