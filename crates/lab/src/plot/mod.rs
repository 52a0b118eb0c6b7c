//! A plot as data, and its SVG. Bars compare methods, lines show how a figure grows.

mod axis;
mod svg;
#[cfg(test)]
mod tests;

use crate::outcome::{Summary, Table};

/// How an axis maps figures to lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences. It includes 0.
    Linear,
    /// Equal steps are equal factors. Figures of 0 and below are at the lower end.
    Logarithmic,
}

/// An axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// What it shows.
    pub label: String,
    /// In which unit.
    pub unit: String,
    /// How.
    pub scale: Scale,
}

impl Axis {
    /// An axis with equal steps.
    pub fn linear(label: &str, unit: &str) -> Self {
        Self { label: label.to_owned(), unit: unit.to_owned(), scale: Scale::Linear }
    }

    /// An axis with equal factors.
    pub fn logarithmic(label: &str, unit: &str) -> Self {
        Self { scale: Scale::Logarithmic, ..Self::linear(label, unit) }
    }

    fn title(&self) -> String {
        if self.unit.is_empty() { self.label.clone() } else { format!("{} ({})", self.label, self.unit) }
    }
}

/// Figures with one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Bars: one for each category, `None` where there is none.
    pub figures: Vec<Option<Summary>>,
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Marks {
    /// A group of bars for each category.
    Bars {
        /// Their names, from left to right.
        categories: Vec<String>,
    },
    /// A line through points.
    Lines {
        /// The x axis.
        x_axis: Axis,
        /// Where each figure is on it.
        x: Vec<f64>,
    },
}

/// A plot. Each mark shows the median, with a whisker from least to greatest.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Above the plot.
    pub title: String,
    /// The y axis.
    pub y_axis: Axis,
    /// Bars or lines.
    pub marks: Marks,
    /// At most four.
    pub series: Vec<Series>,
    /// A level that matters, with its name.
    pub level: Option<(f64, String)>,
}

impl Plot {
    /// Bars: the rows of a table are the categories, and these columns are the series.
    pub fn bars(title: &str, y_axis: Axis, table: &Table, columns: &[usize]) -> Self {
        let categories = table.rows.iter().map(|row| row.label.clone()).collect();
        Self::of(title, y_axis, Marks::Bars { categories }, series(table, columns))
    }

    /// Lines: the rows of a table are the points at `x`, and these columns are the series.
    pub fn lines(title: &str, axes: (Axis, Axis), x: Vec<f64>, (table, columns): (&Table, &[usize])) -> Self {
        let (x_axis, y_axis) = axes;
        Self::of(title, y_axis, Marks::Lines { x_axis, x }, series(table, columns))
    }

    fn of(title: &str, y_axis: Axis, marks: Marks, series: Vec<Series>) -> Self {
        Self { title: title.to_owned(), y_axis, marks, series, level: None }
    }

    /// Adds a level that matters.
    #[must_use]
    pub fn with_level(self, level: f64, name: &str) -> Self {
        Self { level: Some((level, name.to_owned())), ..self }
    }

    /// Returns the SVG.
    pub fn svg(&self) -> String {
        svg::write(self)
    }
}

fn series(table: &Table, columns: &[usize]) -> Vec<Series> {
    let of = |at: &usize| Series {
        name: table.columns[*at].name.clone(),
        figures: table.rows.iter().map(|row| row.cells[*at]).collect(),
    };
    columns.iter().map(of).collect()
}
