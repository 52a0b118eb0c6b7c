//! What the page shows of a running drill: the same readings as `cargo drill observe`, over a time range.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{Observer, Question};
use crate::load::recording::RequestRecord;
use crate::observe::{Figures, LogFilter, LogLine, database, deploys, logs};

/// Seconds between two samples of the metrics, and the most samples: two hours.
const SAMPLE_EVERY_S: f64 = 4.0;
const SAMPLES_MAX: usize = 1_800;

/// The most slow requests that are kept and shown.
const SLOW_KEPT: usize = 2_000;
const SLOW_SHOWN: usize = 60;

/// The most metrics that are shown: those that changed most.
const SERIES_MAX: usize = 60;

/// The most log lines that are shown.
const LINES_MAX: usize = 300;

/// What a running drill has shown so far.
#[derive(Debug)]
pub struct Observed {
    /// The services' logs.
    pub logs: Vec<PathBuf>,
    /// The database.
    pub database_url: String,
    /// The exported tree, whose history is the deploy log.
    pub tree: PathBuf,
    /// What the pager said.
    pub page: String,
    /// When the load began.
    pub started_at: DateTime<Utc>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    figures: Figures,
    /// Seconds since the load began, and the metrics then.
    samples: VecDeque<(f64, BTreeMap<String, f64>)>,
    /// Slow requests by time.
    slow: VecDeque<RequestRecord>,
}

/// Seconds since the load began, from and until.
#[derive(Debug, Clone, Copy)]
struct Range {
    from_s: f64,
    until_s: f64,
}

impl Range {
    fn contains(self, at_s: f64) -> bool {
        (self.from_s..=self.until_s).contains(&at_s)
    }
}

impl Observed {
    /// Of a drill that has just begun.
    pub fn new(
        (logs, database_url, tree): (Vec<PathBuf>, String, PathBuf),
        page: String,
        started_at: DateTime<Utc>,
    ) -> Self {
        Self { logs, database_url, tree, page, started_at, seen: Mutex::default() }
    }

    /// Keeps the figures of the last minute.
    pub fn record(&self, figures: &Figures) {
        let mut seen = self.seen();
        if seen.samples.back().is_none_or(|(at_s, _)| figures.at_s >= at_s + SAMPLE_EVERY_S) {
            let samples = figures.metrics_now.iter().filter(|(name, _)| !name.contains("_bucket{"));
            let samples = samples.map(|(name, value)| (name.clone(), *value)).collect();
            seen.samples.push_back((figures.at_s, samples));
            if seen.samples.len() > SAMPLES_MAX {
                seen.samples.pop_front();
            }
        }
        let newest = seen.slow.back().map_or(-1.0, |request| request.at_s);
        let mut slow: Vec<_> = figures.slowest.iter().filter(|request| request.at_s > newest).cloned().collect();
        slow.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
        seen.slow.extend(slow);
        let surplus = seen.slow.len().saturating_sub(SLOW_KEPT);
        seen.slow.drain(..surplus);
        seen.figures = figures.clone();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn range(&self, question: &Question) -> Range {
        let now_s = self.seen().figures.at_s;
        let until_s = question.until.map_or(now_s, f64::from);
        Range { from_s: question.from.map_or(0.0, f64::from), until_s }
    }

    fn alert(&self) -> Value {
        let seen = self.seen();
        let firing = seen.figures.firing();
        let firing = firing.map(|check| format!("{} Seen: {}; expected: {}.", check.what, check.seen, check.expected));
        let lines: Vec<String> = std::iter::once(self.page.clone()).chain(firing).collect();
        let counts =
            [("trips", &seen.figures.trips), ("offers", &seen.figures.offers), ("positions", &seen.figures.positions)];
        let counts = counts.into_iter().map(|(of, counts)| (of.to_owned(), counts)).chain(seen.figures.of_groups());
        let counts = counts.flat_map(|(of, counts)| {
            counts.iter().map(move |(name, count)| json!({"name": format!("{of}: {name}"), "value": count}))
        });
        let operations =
            seen.figures.operations.iter().map(
                |one| json!({"name": format!("{}, p99", one.operation), "value": one.p99_ms.round(), "unit": "ms"}),
            );
        json!({"lines": lines, "figures": counts.chain(operations).collect::<Vec<_>>()})
    }

    /// The metrics that changed most, counters as rates.
    fn metrics(&self, range: Range) -> Value {
        let seen = self.seen();
        let samples: Vec<_> = seen.samples.iter().filter(|(at_s, _)| range.contains(*at_s)).collect();
        let Some((_, last)) = samples.last() else { return json!({"series": []}) };
        let mut series: Vec<(f64, Value)> = Vec::new();
        for name in last.keys() {
            let values = samples.iter().filter_map(|(at_s, values)| Some((*at_s, *values.get(name)?)));
            let points = if is_counter(name) { rates(values.collect()) } else { values.collect() };
            let spread = points.iter().map(|point| point.1).fold(f64::NEG_INFINITY, f64::max)
                - points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
            if !points.is_empty() && spread > 0.0 {
                let scale = points.iter().map(|point| point.1.abs()).fold(f64::MIN_POSITIVE, f64::max);
                let unit = if is_counter(name) { "per second" } else { "" };
                series.push((spread / scale, json!({"name": name, "points": points, "change": unit})));
            }
        }
        series.sort_by(|one, other| other.0.total_cmp(&one.0));
        json!({"series": series.into_iter().take(SERIES_MAX).map(|(_, one)| one).collect::<Vec<_>>()})
    }

    fn logs(&self, range: Range, id: Option<String>) -> Value {
        let filter = LogFilter { id, last: Some(usize::MAX), ..LogFilter::default() };
        let lines = match logs::read(&self.logs, &filter) {
            Ok(lines) => lines,
            Err(error) => return json!({"entries": [], "left_out": 0, "error": error.to_string()}),
        };
        let timed = lines.into_iter().map(|line| (self.seconds(&line.at).unwrap_or(range.until_s), line));
        let wanted: Vec<_> = timed.filter(|(at_s, _)| range.contains(*at_s)).collect();
        let left_out = wanted.len().saturating_sub(LINES_MAX);
        let entries: Vec<Value> = wanted[left_out..].iter().rev().map(|(at_s, line)| entry(*at_s, line)).collect();
        json!({"entries": entries, "left_out": left_out})
    }

    /// A time of the log in seconds since the load began.
    fn seconds(&self, at: &str) -> Option<f64> {
        let at = DateTime::parse_from_rfc3339(at).ok()?;
        let since = at.with_timezone(&Utc) - self.started_at;
        Some(since.as_seconds_f64().max(0.0))
    }

    fn slow(&self, range: Range, id: Option<&str>) -> Value {
        let seen = self.seen();
        let wanted = |request: &&RequestRecord| {
            range.contains(request.at_s)
                && id.is_none_or(|id| request.trace_id.contains(id) || request.caller.contains(id))
        };
        let mut requests: Vec<&RequestRecord> = seen.slow.iter().filter(wanted).collect();
        requests.sort_by(|one, other| other.ms.total_cmp(&one.ms));
        let row = |request: &&RequestRecord| {
            json!({
                "at_s": request.at_s, "operation": request.operation, "status": request.status, "ms": request.ms,
                "where": request.code, "trace_id": request.trace_id,
            })
        };
        json!({"requests": requests.iter().take(SLOW_SHOWN).map(row).collect::<Vec<_>>()})
    }

    async fn database(&self) -> Value {
        let activity = match database::activity(&self.database_url).await {
            Ok(activity) => activity,
            Err(error) => return json!({"activity": [], "locks": [], "statements": [], "error": error.to_string()}),
        };
        let query_of = |pid: i32| activity.longest.iter().find(|session| session.pid == pid);
        let sessions: Vec<Value> = activity
            .longest
            .iter()
            .map(|one| json!({"state": one.state, "wait": one.wait, "ms": one.state_s * 1e3, "query": one.query}))
            .collect();
        let waiting = activity.longest.iter().flat_map(|one| one.blocked_by.iter().map(move |pid| (one, *pid)));
        let locks: Vec<Value> = waiting
            .map(|(one, pid)| {
                let holding = query_of(pid).map_or_else(|| format!("session {pid}"), |other| other.query.clone());
                json!({"relation": one.wait, "mode": format!("{:.1} s", one.state_s), "waiting": one.query, "holding": holding})
            })
            .collect();
        json!({"activity": sessions, "locks": locks, "statements": activity.statements, "tables": activity.tables})
    }

    fn deploys(&self) -> Value {
        let commits = deploys(&self.tree).unwrap_or_default();
        let row = |one: &crate::observe::Deploy| json!({"commit": one.commit, "at": one.at, "author": one.author, "message": one.subject, "changed": one.changed});
        json!({"commits": commits.iter().map(row).collect::<Vec<_>>()})
    }
}

impl Observer for Observed {
    fn observe(&self, panel: &str, question: Question) -> BoxFuture<'_, Option<Value>> {
        let panel = panel.to_owned();
        Box::pin(async move {
            let range = self.range(&question);
            let mut answer = match panel.as_str() {
                "alert" => self.alert(),
                "metrics" => self.metrics(range),
                "logs" => self.logs(range, question.id),
                "slow" => self.slow(range, question.id.as_deref()),
                "database" => self.database().await,
                "deploys" => self.deploys(),
                _ => return None,
            };
            answer["now_s"] = json!(self.seen().figures.at_s);
            Some(answer)
        })
    }
}

fn entry(at_s: f64, line: &LogLine) -> Value {
    let id = |name: &str| line.fields.get(name).or_else(|| line.fields.get("span")?.get(name)).and_then(Value::as_str);
    json!({
        "at_s": at_s, "level": line.level, "message": format!("{}: {}", line.target, line.message), "fields": line.fields,
        "trace_id": id("trace_id"),
    })
}

/// Whether a sample only grows, by the conventions of its name.
fn is_counter(name: &str) -> bool {
    let name = name.split('{').next().unwrap_or_default();
    ["_total", "_count", "_sum"].iter().any(|end| name.ends_with(end))
}

/// Changes per second. A restart sets a counter back: then there is no point.
fn rates(values: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let pairs = values.windows(2).filter(|pair| pair[1].1 >= pair[0].1 && pair[1].0 > pair[0].0);
    pairs.map(|pair| (pair[1].0, (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0))).collect()
}

#[cfg(test)]
#[path = "observed_tests.rs"]
mod tests;
