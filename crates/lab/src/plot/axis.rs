//! From figures to pixels, and the ticks between.

use super::Scale;
use crate::numbers;

/// An axis with its limits, drawn from pixel `from` to pixel `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ruler {
    scale: Scale,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Ruler {
    /// An axis that contains these figures.
    pub(super) fn new(scale: Scale, figures: &[f64], (from, to): (f64, f64)) -> Self {
        let finite = || figures.iter().copied().filter(|figure| figure.is_finite());
        let (low, high) = match scale {
            Scale::Linear => {
                let (low, high) = (finite().fold(0.0, f64::min), finite().fold(0.0, f64::max));
                let step = step(low, high);
                ((low / step).floor() * step, (high / step).ceil() * step)
            }
            Scale::Logarithmic => {
                let positive = || finite().filter(|figure| *figure > 0.0);
                let (low, high) = (positive().fold(f64::MAX, f64::min), positive().fold(f64::MIN_POSITIVE, f64::max));
                if low > high { (1.0, 10.0) } else { (power(low, f64::floor), power(high, f64::ceil)) }
            }
        };
        let high = match scale {
            Scale::Linear if high <= low => low + 1.0,
            Scale::Logarithmic if high <= low => low * 10.0,
            _ => high,
        };
        Self { scale, low, high, from, to }
    }

    /// A line's x axis: it ends at the least and the greatest figure.
    pub(super) fn tight(scale: Scale, figures: &[f64], (from, to): (f64, f64)) -> Self {
        let around = Self::new(scale, figures, (from, to));
        let low = figures.iter().copied().fold(f64::INFINITY, f64::min);
        let high = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if low < high { Self { low, high, ..around } } else { around }
    }

    /// Returns where a figure is.
    pub(super) fn at(&self, figure: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (figure - self.low) / (self.high - self.low),
            Scale::Logarithmic => (figure.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Returns the figures with a tick, and their labels.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let figures = match self.scale {
            Scale::Linear => {
                let step = step(self.low, self.high);
                let first = (self.low / step).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last).map(|at| at as f64 * step).collect::<Vec<_>>()
            }
            Scale::Logarithmic => {
                let (first, last) = (self.low.log10().ceil() as i32, (self.high.log10() + 1e-9).floor() as i32);
                (first..=last).map(|at| 10_f64.powi(at)).collect()
            }
        };
        figures.into_iter().map(|figure| (figure, label(figure))).collect()
    }
}

/// Returns a label without needless zeros.
fn label(figure: f64) -> String {
    let decimals = (0..6).find(|decimals| {
        let factor = 10_f64.powi(*decimals);
        ((figure * factor).round() / factor - figure).abs() <= figure.abs() * 1e-9
    });
    numbers::grouped(figure, decimals.unwrap_or(6) as usize)
}

/// Returns the power of ten at or beside a figure.
fn power(figure: f64, round: fn(f64) -> f64) -> f64 {
    10_f64.powf(round(figure.log10()))
}

/// Returns a step of 1, 2 or 5 times a power of ten, so that there are 4 to 10 steps.
fn step(low: f64, high: f64) -> f64 {
    let raw = (high - low) / 5.0;
    if raw <= 0.0 {
        return 1.0;
    }
    let power = power(raw, f64::floor);
    let step = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= raw * 0.999);
    step.unwrap_or(10.0) * power
}
