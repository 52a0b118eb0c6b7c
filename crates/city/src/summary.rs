//! The summary of several runs that differ only in their seed: the mean and the spread of each figure.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::metrics::rounded;
use crate::report::Report;

/// The reports of all runs, and their summary.
#[derive(Debug, Clone, Serialize)]
pub struct Experiment {
    /// One line for each figure.
    pub summary: Vec<Column>,
    /// One report for each seed.
    pub runs: Vec<Report>,
}

/// A figure over all runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// The name of the figure, as in the report.
    pub name: &'static str,
    /// The unit.
    pub unit: &'static str,
    /// The mean of the runs that have the figure; `null` if none has.
    pub mean: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// The standard deviation of the sample; `null` below two runs.
    pub deviation: Option<f64>,
    /// The figure of each run, in the order of the seeds.
    pub values: Vec<Option<f64>>,
}

type Figure = fn(&Report) -> Option<f64>;

const FIGURES: [(&str, &str, Figure); 13] = [
    ("served_percent", "%", |report| report.quality.served_percent),
    ("deadhead_km_per_ride", "km", |report| report.quality.deadhead_km_per_ride),
    ("repositioning_km_per_ride", "km", |report| report.quality.repositioning_km_per_ride),
    ("pickup_wait_p50", "s", |report| Some(report.pickup_wait_s?.p50)),
    ("pickup_wait_p90", "s", |report| Some(report.pickup_wait_s?.p90)),
    ("pickup_wait_p99", "s", |report| Some(report.pickup_wait_s?.p99)),
    ("wait_inequality", "", |report| report.quality.wait_inequality),
    ("utilization_percent", "%", |report| report.quality.utilization_percent),
    ("offers_per_ride", "", |report| report.quality.offers_per_ride),
    ("no_driver_percent", "%", |report| percent(report, report.outcomes.no_driver)),
    ("cancelled_percent", "%", |report| percent(report, report.outcomes.cancelled)),
    ("lost_to_price_percent", "%", |report| percent(report, report.outcomes.lost_to_price)),
    ("match_latency_p50", "ms", |report| Some(report.match_latency.as_ref()?.all.p50_ms)),
];

#[allow(clippy::cast_precision_loss, reason = "a percentage")]
fn percent(report: &Report, count: u64) -> Option<f64> {
    (report.requests > 0).then(|| rounded(count as f64 * 100.0 / report.requests as f64))
}

impl Experiment {
    /// Summarizes the runs.
    pub(crate) fn new(runs: Vec<Report>) -> Self {
        let column = |(name, unit, figure): &(&'static str, &'static str, Figure)| {
            Column::new((name, unit), runs.iter().map(figure).collect())
        };
        Self { summary: FIGURES.iter().map(column).collect(), runs }
    }

    /// Whether all runs succeeded.
    pub fn is_success(&self) -> bool {
        self.runs.iter().all(Report::is_success)
    }
}

impl Column {
    fn new((name, unit): (&'static str, &'static str), values: Vec<Option<f64>>) -> Self {
        let known: Vec<f64> = values.iter().copied().flatten().collect();
        let count = known.len() as f64;
        let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / count);
        let squares = |mean: f64| known.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        Self {
            name,
            unit,
            mean: mean.map(rounded),
            min: known.iter().copied().reduce(f64::min),
            max: known.iter().copied().reduce(f64::max),
            deviation: mean.filter(|_| known.len() > 1).map(|mean| rounded((squares(mean) / (count - 1.0)).sqrt())),
            values,
        }
    }
}

impl Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<String> = self.runs.iter().map(|run| run.seed.to_string()).collect();
        writeln!(f, "{} runs, seeds {}", self.runs.len(), seeds.join(", "))?;
        writeln!(f, "{:<28}{:>10} {:>10}  {:>10} to {:<10} unit", "", "mean", "deviation", "min", "max")?;
        for Column { name, unit, mean, min, max, deviation, .. } in &self.summary {
            let number = |number: &Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.2}"));
            let (mean, deviation, min, max) = (number(mean), number(deviation), number(min), number(max));
            writeln!(f, "{name:<28}{mean:>10} {deviation:>10}  {min:>10} to {max:<10} {unit}")?;
        }
        let degraded = self.runs.iter().filter(|run| run.degraded).count();
        writeln!(f, "{:<28}{degraded:>10}", "degraded runs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_has_mean_and_spread_of_the_known_values() {
        let column = Column::new(("wait", "s"), vec![Some(1.0), None, Some(2.0), Some(6.0)]);
        assert_eq!((column.mean, column.min, column.max), (Some(3.0), Some(1.0), Some(6.0)));
        // The square root of (4 + 1 + 9) / 2.
        assert_eq!(column.deviation, Some(2.65));
        assert_eq!(column.values.len(), 4);
    }

    #[test]
    fn column_of_one_run_has_no_deviation_and_one_without_values_nothing() {
        let one = Column::new(("wait", "s"), vec![Some(5.0)]);
        assert_eq!((one.mean, one.deviation), (Some(5.0), None));
        let none = Column::new(("wait", "s"), vec![None]);
        assert_eq!((none.mean, none.min, none.max), (None, None, None));
    }
}
