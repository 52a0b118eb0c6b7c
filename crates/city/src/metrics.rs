//! The service's own histogram of match latencies, from its Prometheus page.

use std::collections::BTreeMap;

use serde::Serialize;

const BUCKET: &str = "ridematch_match_latency_seconds_bucket";

/// Cumulative counts by upper bound in seconds, the last bound being infinite; by size class of the dispatch round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MatchLatency {
    by_burst: BTreeMap<String, Vec<(f64, u64)>>,
}

/// What a histogram says, in real milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// How many offers.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// All but one in a hundred took no longer.
    pub p99_ms: f64,
}

/// From authorised to the offer being written, by the service's own histogram.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchLatencyReport {
    /// All offers together.
    #[serde(flatten)]
    pub all: Quantiles,
    /// By size class of the dispatch round that wrote the offer, such as `2-5` trips.
    pub by_burst: BTreeMap<String, Quantiles>,
}

impl MatchLatency {
    /// Finds the histogram on a page; what is not of it is passed over.
    pub fn read(page: &str) -> Self {
        let mut found = Self::default();
        for line in page.lines() {
            let Some((labels, value)) = line.strip_prefix(BUCKET).and_then(|rest| rest.rsplit_once(' ')) else {
                continue;
            };
            let (Some(bound), Ok(count)) = (label(labels, "le"), value.parse::<f64>()) else {
                continue;
            };
            let (burst, bound) = (label(labels, "burst").unwrap_or(""), bound.parse().unwrap_or(f64::INFINITY));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, written as a float")]
            found.by_burst.entry(burst.to_owned()).or_default().push((bound, count as u64));
        }
        found
    }

    /// What came since an earlier reading. A service that was restarted counts from nothing, and so does this.
    fn since(&self, earlier: &Self) -> Self {
        let newer = |(burst, now): (&String, &Vec<(f64, u64)>)| {
            let before = earlier.by_burst.get(burst).filter(|before| {
                before.len() == now.len() && before.iter().zip(now).all(|(before, now)| before.1 <= now.1)
            });
            let counts = now.iter().enumerate();
            let counts = counts.map(|(i, (bound, count))| (*bound, count - before.map_or(0, |before| before[i].1)));
            (burst.clone(), counts.collect())
        };
        Self { by_burst: self.by_burst.iter().map(newer).collect() }
    }

    /// Adds what another reading has.
    fn add(&mut self, more: &Self) {
        for (burst, buckets) in &more.by_burst {
            let sum = self.by_burst.entry(burst.clone()).or_default();
            sum.resize(buckets.len().max(sum.len()), (f64::INFINITY, 0));
            for (sum, (bound, count)) in sum.iter_mut().zip(buckets) {
                *sum = (*bound, sum.1 + count);
            }
        }
    }

    /// What the whole histogram says, and each burst size of it; `None` without samples.
    fn summary(&self) -> Option<MatchLatencyReport> {
        let mut all = Self::default();
        for buckets in self.by_burst.values() {
            all.add(&Self { by_burst: [(String::new(), buckets.clone())].into() });
        }
        let each = self.by_burst.iter();
        let by_burst = each.filter_map(|(burst, buckets)| Some((burst.clone(), quantiles(buckets)?)));
        Some(MatchLatencyReport { all: quantiles(all.by_burst.get("")?)?, by_burst: by_burst.collect() })
    }
}

/// The latencies of one run, put together from readings: what was there before it is left out, and what a service had
/// counted before it was restarted is kept.
#[derive(Debug)]
pub(crate) struct Matches {
    last: MatchLatency,
    sum: MatchLatency,
}

impl Matches {
    /// From the reading at the run's start.
    pub fn from(start: MatchLatency) -> Self {
        Self { last: start, sum: MatchLatency::default() }
    }

    /// Takes over the next reading.
    pub fn observe(&mut self, now: MatchLatency) {
        self.sum.add(&now.since(&self.last));
        self.last = now;
    }

    /// What was measured so far; `None` when nothing was.
    pub fn summary(&self) -> Option<MatchLatencyReport> {
        self.sum.summary()
    }
}

fn quantiles(buckets: &[(f64, u64)]) -> Option<Quantiles> {
    let count = buckets.last()?.1;
    let quantiles = Quantiles { count, p50_ms: quantile_ms(buckets, 0.5), p99_ms: quantile_ms(buckets, 0.99) };
    (count > 0).then_some(quantiles)
}

/// The bound that the given share stays within, interpolated inside its bucket as Prometheus's `histogram_quantile` does;
/// beyond the last finite bound it is that bound.
#[allow(clippy::cast_precision_loss, reason = "shares of counts")]
fn quantile_ms(buckets: &[(f64, u64)], share: f64) -> f64 {
    let rank = buckets.last().map_or(0.0, |(_, count)| *count as f64) * share;
    let (mut low, mut below) = (0.0, 0);
    for (bound, count) in buckets {
        if *count as f64 >= rank && *count > below {
            let inside = (rank - below as f64) / (count - below) as f64;
            let high = if bound.is_finite() { *bound } else { low };
            return rounded((low + (high - low) * inside) * 1000.0);
        }
        (low, below) = (if bound.is_finite() { *bound } else { low }, *count);
    }
    rounded(low * 1000.0)
}

/// To the hundredth: more would be made up.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The value of a label in `{a="b",c="d"}`; values of this histogram have no escapes.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let pairs = labels.trim().strip_prefix('{')?.strip_suffix('}')?;
    pairs.split("\",").find_map(|pair| {
        let (key, value) = pair.split_once("=\"")?;
        (key.trim() == name).then(|| value.trim_end_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const PAGE: &str = r#"
# HELP ridematch_match_latency_seconds Authorised to offer written.
# TYPE ridematch_match_latency_seconds histogram
ridematch_match_latency_seconds_bucket{burst="1",le="0.005"} 50
ridematch_match_latency_seconds_bucket{burst="1",le="0.01"} 90
ridematch_match_latency_seconds_bucket{burst="1",le="0.05"} 100
ridematch_match_latency_seconds_bucket{burst="1",le="+Inf"} 100
ridematch_match_latency_seconds_sum{burst="1"} 0.7
ridematch_match_latency_seconds_count{burst="1"} 100
ridematch_match_latency_seconds_bucket{burst="2-5",le="0.005"} 0
ridematch_match_latency_seconds_bucket{burst="2-5",le="0.01"} 0
ridematch_match_latency_seconds_bucket{burst="2-5",le="0.05"} 2
ridematch_match_latency_seconds_bucket{burst="2-5",le="+Inf"} 4
ridematch_match_latency_seconds_bucket{burst="21+",le="0.005"} 0
ridematch_match_latency_seconds_bucket{burst="21+",le="+Inf"} 0
http_requests_total{route="/v1/trips"} 7
"#;

    #[test]
    fn quantiles_are_interpolated_by_burst_size_and_for_all() {
        let MatchLatencyReport { all, by_burst } = MatchLatency::read(PAGE).summary().unwrap();
        assert_eq!(by_burst["1"], Quantiles { count: 100, p50_ms: 5.0, p99_ms: 46.0 });
        assert_eq!(by_burst["2-5"], Quantiles { count: 4, p50_ms: 50.0, p99_ms: 50.0 });
        assert!(!by_burst.contains_key("21+"));
        assert_eq!(all.count, 104);
        assert_eq!(MatchLatency::read("nothing here").summary(), None);
    }

    #[test]
    fn only_what_is_new_counts_also_across_restarts_of_the_service() {
        let reading = |count: u64| MatchLatency::read(&PAGE.replace("} 100\n", &format!("}} {count}\n")));
        let mut matches = Matches::from(reading(100));
        assert_eq!(matches.summary(), None);
        for count in [103, 110] {
            matches.observe(reading(count));
        }
        // Fewer than before: it counts from nothing again.
        matches.observe(reading(104));
        let summary = matches.summary().unwrap();
        assert_eq!(summary.by_burst["1"].count, 10 + 104);
    }
}
