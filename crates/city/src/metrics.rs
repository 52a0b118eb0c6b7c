//! The match latencies of the service, from the histogram at `/metrics`.

use std::collections::BTreeMap;

use serde::Serialize;

const BUCKET: &str = "ridematch_match_latency_seconds_bucket";

/// Cumulative counts by upper bound in seconds (the last one infinite), by size class of the match cycle.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MatchLatency {
    by_batch_size: BTreeMap<String, Vec<(f64, u64)>>,
}

/// Quantiles of a histogram, in real milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// The number of offers.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// The time from the authorization to the written offer, measured by the service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchLatencyReport {
    /// All offers.
    #[serde(flatten)]
    pub all: Quantiles,
    /// By size class of the match cycle, such as `2-5` trips.
    pub by_batch_size: BTreeMap<String, Quantiles>,
}

impl MatchLatency {
    /// Parses the histogram on a page, and ignores the rest.
    pub fn parse(page: &str) -> Self {
        let mut found = Self::default();
        for line in page.lines() {
            let Some((labels, value)) = line.strip_prefix(BUCKET).and_then(|rest| rest.rsplit_once(' ')) else {
                continue;
            };
            let (Some(bound), Ok(count)) = (label(labels, "le"), value.parse::<f64>()) else {
                continue;
            };
            let (batch_size, bound) =
                (label(labels, "batch_size").unwrap_or(""), bound.parse().unwrap_or(f64::INFINITY));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, written as a float")]
            found.by_batch_size.entry(batch_size.to_owned()).or_default().push((bound, count as u64));
        }
        found
    }

    /// The difference to an earlier reading. After a restart the service counts from zero, and so does this.
    fn since(&self, earlier: &Self) -> Self {
        let newer = |(batch_size, now): (&String, &Vec<(f64, u64)>)| {
            let before = earlier.by_batch_size.get(batch_size).filter(|before| {
                before.len() == now.len() && before.iter().zip(now).all(|(before, now)| before.1 <= now.1)
            });
            let counts = now.iter().enumerate();
            let counts = counts.map(|(i, (bound, count))| (*bound, count - before.map_or(0, |before| before[i].1)));
            (batch_size.clone(), counts.collect())
        };
        Self { by_batch_size: self.by_batch_size.iter().map(newer).collect() }
    }

    /// Adds another reading.
    fn add(&mut self, more: &Self) {
        for (batch_size, buckets) in &more.by_batch_size {
            let sum = self.by_batch_size.entry(batch_size.clone()).or_default();
            sum.resize(buckets.len().max(sum.len()), (f64::INFINITY, 0));
            for (sum, (bound, count)) in sum.iter_mut().zip(buckets) {
                *sum = (*bound, sum.1 + count);
            }
        }
    }

    /// The quantiles of all offers and of each size class; `None` without samples.
    fn summary(&self) -> Option<MatchLatencyReport> {
        let mut all = Self::default();
        for buckets in self.by_batch_size.values() {
            all.add(&Self { by_batch_size: [(String::new(), buckets.clone())].into() });
        }
        let each = self.by_batch_size.iter();
        let by_batch_size = each.filter_map(|(batch_size, buckets)| Some((batch_size.clone(), quantiles(buckets)?)));
        Some(MatchLatencyReport { all: quantiles(all.by_batch_size.get("")?)?, by_batch_size: by_batch_size.collect() })
    }
}

/// The match latencies of a run, summed over readings: without the counts before the run, and with the counts before a
/// restart of the service.
#[derive(Debug)]
pub(crate) struct RunMatchLatency {
    last: MatchLatency,
    sum: MatchLatency,
}

impl RunMatchLatency {
    /// Starts with the reading at the start of the run.
    pub fn from(start: MatchLatency) -> Self {
        Self { last: start, sum: MatchLatency::default() }
    }

    /// Adds the next reading.
    pub fn observe(&mut self, now: MatchLatency) {
        self.sum.add(&now.since(&self.last));
        self.last = now;
    }

    /// The quantiles so far; `None` without samples.
    pub fn summary(&self) -> Option<MatchLatencyReport> {
        self.sum.summary()
    }
}

fn quantiles(buckets: &[(f64, u64)]) -> Option<Quantiles> {
    let count = buckets.last()?.1;
    let quantiles = Quantiles { count, p50_ms: quantile_ms(buckets, 0.5), p99_ms: quantile_ms(buckets, 0.99) };
    (count > 0).then_some(quantiles)
}

/// The quantile, interpolated within its bucket as Prometheus's `histogram_quantile` does; at most the last finite bound.
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

/// Rounds to a hundredth.
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
# HELP ridematch_match_latency_seconds Authorized to offer written.
# TYPE ridematch_match_latency_seconds histogram
ridematch_match_latency_seconds_bucket{batch_size="1",le="0.005"} 50
ridematch_match_latency_seconds_bucket{batch_size="1",le="0.01"} 90
ridematch_match_latency_seconds_bucket{batch_size="1",le="0.05"} 100
ridematch_match_latency_seconds_bucket{batch_size="1",le="+Inf"} 100
ridematch_match_latency_seconds_sum{batch_size="1"} 0.7
ridematch_match_latency_seconds_count{batch_size="1"} 100
ridematch_match_latency_seconds_bucket{batch_size="2-5",le="0.005"} 0
ridematch_match_latency_seconds_bucket{batch_size="2-5",le="0.01"} 0
ridematch_match_latency_seconds_bucket{batch_size="2-5",le="0.05"} 2
ridematch_match_latency_seconds_bucket{batch_size="2-5",le="+Inf"} 4
ridematch_match_latency_seconds_bucket{batch_size="21+",le="0.005"} 0
ridematch_match_latency_seconds_bucket{batch_size="21+",le="+Inf"} 0
http_requests_total{route="/v1/trips"} 7
"#;

    #[test]
    fn quantiles_are_interpolated_by_size_class_and_for_all() {
        let MatchLatencyReport { all, by_batch_size } = MatchLatency::parse(PAGE).summary().unwrap();
        assert_eq!(by_batch_size["1"], Quantiles { count: 100, p50_ms: 5.0, p99_ms: 46.0 });
        assert_eq!(by_batch_size["2-5"], Quantiles { count: 4, p50_ms: 50.0, p99_ms: 50.0 });
        assert!(!by_batch_size.contains_key("21+"));
        assert_eq!(all.count, 104);
        assert_eq!(MatchLatency::parse("no histogram").summary(), None);
    }

    #[test]
    fn earlier_counts_are_left_out_also_across_restarts() {
        let reading = |count: u64| MatchLatency::parse(&PAGE.replace("} 100\n", &format!("}} {count}\n")));
        let mut matches = RunMatchLatency::from(reading(100));
        assert_eq!(matches.summary(), None);
        for count in [103, 110] {
            matches.observe(reading(count));
        }
        // Fewer than before: the service has restarted.
        matches.observe(reading(104));
        let summary = matches.summary().unwrap();
        assert_eq!(summary.by_batch_size["1"].count, 10 + 104);
    }
}
