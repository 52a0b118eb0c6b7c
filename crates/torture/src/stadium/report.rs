//! The report of a stadium.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::cli::Stadium;

/// Reasons of refusals that are printed.
const REASONS_MAX: usize = 5;

/// What a stadium showed.
pub(super) struct StadiumReport {
    pub options: Stadium,
    pub request_time: Duration,
    pub accepted: usize,
    /// In words.
    pub refused: Vec<String>,
    /// Sorted.
    pub response_ms: Vec<u64>,
    /// Trips by state.
    pub states: Vec<(String, i64)>,
    /// From each request to the start of its search, sorted.
    pub search_after_ms: Vec<u64>,
    /// Captures that were due, and those that were made.
    pub captures: usize,
    pub captured: i64,
    /// From the first request to the last capture.
    pub last_capture_after_ms: Option<i64>,
    pub total_time: Duration,
}

impl StadiumReport {
    /// The riders that are not searched a driver for.
    pub fn lost(&self) -> usize {
        usize::try_from(self.options.riders).unwrap_or(usize::MAX).saturating_sub(self.search_after_ms.len())
    }

    /// Whether every rider got a search, and every capture was made.
    pub fn is_clean(&self) -> bool {
        self.lost() == 0 && usize::try_from(self.captured).is_ok_and(|captured| captured == self.captures)
    }
}

impl fmt::Display for StadiumReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stadium { riders, provider_ms, captures_due, authorizations_max, .. } = &self.options;
        let permits = authorizations_max.map_or_else(|| "the default".to_owned(), |permits| permits.to_string());
        writeln!(f, "\nA stadium: {riders} riders, a provider that takes {provider_ms} ms for each call")?;
        writeln!(f, "  authorizations in progress at most: {permits}; captures due before: {captures_due}")?;
        let seconds = self.request_time.as_secs_f64();
        writeln!(f, "\nRequests: {} accepted, {} refused, in {seconds:.1} s", self.accepted, self.refused.len())?;
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for reason in &self.refused {
            *reasons.entry(reason).or_default() += 1;
        }
        for (reason, count) in reasons.iter().take(REASONS_MAX) {
            writeln!(f, "  {count:>7}  {reason}")?;
        }
        writeln!(f, "  response time: {}", Percentiles(&self.response_ms))?;
        writeln!(f, "\nTrips, once every authorization has ended")?;
        for (state, count) in &self.states {
            writeln!(f, "  {count:>7}  {state}")?;
        }
        writeln!(f, "  from request to search: {}", Percentiles(&self.search_after_ms))?;
        if self.captures > 0 {
            let last = self.last_capture_after_ms.map_or_else(
                || "none of them".to_owned(),
                |after_ms| format!("the last one {after_ms} ms after the first request"),
            );
            writeln!(f, "\nCaptures: {} of {}, {last}", self.captured, self.captures)?;
        }
        let result = if self.is_clean() {
            "no rider was lost".to_owned()
        } else {
            format!("FAILED: {} riders were lost", self.lost())
        };
        writeln!(f, "\n{result}, {} s in all", self.total_time.as_secs())
    }
}

/// The percentiles of sorted milliseconds.
struct Percentiles<'a>(&'a [u64]);

impl Percentiles<'_> {
    fn at(&self, percent: usize) -> u64 {
        let place = (self.0.len() * percent).div_ceil(100).saturating_sub(1);
        self.0.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Percentiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "none");
        }
        let max = self.0.last().copied().unwrap_or_default();
        write!(f, "p50 {} ms, p95 {} ms, p99 {} ms, max {max} ms", self.at(50), self.at(95), self.at(99))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> StadiumReport {
        let options = Stadium {
            riders: 3,
            within: 1,
            provider_ms: 400,
            captures_due: 2,
            authorizations_max: None,
            keep: false,
            program: None,
        };
        StadiumReport {
            options,
            request_time: Duration::from_secs(1),
            accepted: 3,
            refused: Vec::new(),
            response_ms: vec![1, 2, 3],
            states: vec![("searching".to_owned(), 3)],
            search_after_ms: vec![800, 900, 1_000],
            captures: 2,
            captured: 2,
            last_capture_after_ms: Some(1_500),
            total_time: Duration::from_secs(9),
        }
    }

    #[test]
    fn rider_without_a_search_fails_the_stadium() {
        assert!(report().is_clean());
        let failed = StadiumReport { search_after_ms: vec![800, 900], ..report() };
        assert!(!failed.is_clean() && failed.to_string().contains("FAILED: 1 riders were lost"));
        let refused = StadiumReport { search_after_ms: vec![800], accepted: 1, ..report() };
        assert_eq!(refused.lost(), 2, "a refused request is a lost rider");
    }

    #[test]
    fn capture_that_is_not_made_fails_the_stadium() {
        assert!(!StadiumReport { captured: 1, ..report() }.is_clean());
    }

    #[test]
    fn percentiles_are_the_smallest_values_that_cover_their_share() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(Percentiles(&values).to_string(), "p50 100 ms, p95 190 ms, p99 198 ms, max 200 ms");
        assert_eq!(Percentiles(&[7]).to_string(), "p50 7 ms, p95 7 ms, p99 7 ms, max 7 ms");
    }
}
