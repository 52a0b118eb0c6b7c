//! Percentiles, and where a curve crosses a level.

/// Returns the value below which this share of the values lies, by the nearest rank; 0 without values.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Returns the arithmetic mean; 0 without values.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// Returns where a curve through `(x, y)` first rises from below `level` to it, interpolated on a line; `None` if it never does.
///
/// A curve that begins at the level or above crosses at its first point.
pub(crate) fn crossing(points: &[(f64, f64)], level: f64) -> Option<f64> {
    let first = points.first()?;
    if first.1 >= level {
        return Some(first.0);
    }
    let rises = points.windows(2).find(|pair| pair[0].1 < level && pair[1].1 >= level)?;
    let ((x0, y0), (x1, y1)) = (rises[0], rises[1]);
    Some(x0 + (x1 - x0) * (level - y0) / (y1 - y0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((percentile(&mut values, 0.99) - 99.0).abs() < 1e-9);
        assert!((percentile(&mut values, 0.5) - 50.0).abs() < 1e-9);
        assert!((percentile(&mut [7.0], 0.01) - 7.0).abs() < 1e-9);
        assert!(percentile(&mut [], 0.5).abs() < 1e-9);
    }

    #[test]
    fn crossing_is_between_the_points_around_the_level() {
        let curve = [(1.0, 0.0), (2.0, 10.0), (3.0, 20.0)];
        assert_eq!(crossing(&curve, 5.0), Some(1.5));
        assert_eq!(crossing(&curve, 10.0), Some(2.0));
        assert_eq!(crossing(&curve, 21.0), None);
        assert_eq!(crossing(&curve, -1.0), Some(1.0));
        assert_eq!(crossing(&[], 1.0), None);
    }
}
