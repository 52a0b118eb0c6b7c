//! The last minute of a running load, and the alert.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::metrics::MetricChange;
use super::table::{row, table};
use crate::judge::model::CheckSpec;
use crate::judge::{CheckResult, judge_check};
use crate::load::Context;
use crate::load::recording::{EventRecord, PositionCount, Recording, RequestRecord};
use crate::stack::metrics as samples;
use crate::stack::{LoadRun, RunResult, Stack, read_states};

/// What the figures cover, real seconds.
const WINDOW_S: f64 = 60.0;

/// What is kept of the recording, real seconds.
const KEPT_S: f64 = 180.0;

/// Slow requests that are listed.
const SLOWEST: usize = 25;

/// The last minute of a running load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Real seconds since the load began.
    pub at_s: f64,
    /// Real seconds that the figures cover.
    pub window_s: f64,
    /// The alert's conditions: what should hold, and what is seen.
    pub alert: Vec<CheckResult>,
    /// Trips by their end, or `open`.
    pub trips: BTreeMap<String, u64>,
    /// Offers by the driver's answer and its status.
    pub offers: BTreeMap<String, u64>,
    /// Positions by verdict.
    pub positions: BTreeMap<String, u64>,
    /// The same by the group of the drivers.
    pub positions_by_group: BTreeMap<String, BTreeMap<String, u64>>,
    /// Requests by operation.
    pub operations: Vec<OperationFigures>,
    /// The slowest requests, slowest first.
    pub slowest: Vec<RequestRecord>,
    /// Deliveries that the subscriber received, by event and status.
    pub deliveries: BTreeMap<String, u64>,
    /// What happened to processes.
    pub events: Vec<EventRecord>,
    /// Samples of `/metrics` when the load began, and now.
    pub metrics_start: BTreeMap<String, f64>,
    /// As above.
    pub metrics_now: BTreeMap<String, f64>,
}

/// Requests of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationFigures {
    /// Method and path template.
    pub operation: String,
    /// Responses and requests without one.
    pub count: u64,
    /// By status; 0: no response.
    pub statuses: BTreeMap<u16, u64>,
    /// Half of them were faster, milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 were faster, milliseconds.
    pub p99_ms: f64,
}

/// Reads figures from a running load.
pub(crate) struct FiguresWriter {
    context: Arc<Context>,
    checks: Vec<CheckSpec>,
    metrics_start: BTreeMap<String, f64>,
    /// Samples of the last minute, with their times.
    samples: VecDeque<(f64, BTreeMap<String, f64>)>,
}

impl FiguresWriter {
    /// Prepares to read a load's figures. `checks` are the conditions of the alert.
    pub fn new(load: &LoadRun, checks: &[CheckSpec]) -> Self {
        let metrics_start = load.metrics_before.clone();
        let samples = VecDeque::from([(0.0, metrics_start.clone())]);
        Self { context: Arc::clone(&load.context), checks: checks.to_vec(), metrics_start, samples }
    }

    /// Returns the figures now, and forgets what is older than three minutes.
    pub async fn read(&mut self, stack: &Stack) -> Figures {
        let now_s = self.context.now_s();
        let metrics_now = samples::read(&stack.http, &stack.urls).await;
        self.samples.push_back((now_s, metrics_now.clone()));
        while self.samples.len() > 2 && self.samples[0].0 < now_s - WINDOW_S {
            self.samples.pop_front();
        }
        // The database may be away: then the states are those of the last time.
        let _unknown = read_states(&stack.database_url, &self.context, now_s - WINDOW_S).await;
        let recording = self.window(now_s);
        let metrics_before = self.samples.front().map(|(_, first)| first.clone()).unwrap_or_default();
        let mut result =
            RunResult { recording, metrics_before, metrics_after: metrics_now.clone(), ..RunResult::default() };
        result.recording.events = stack.events(now_s);
        let shows = |check: &&CheckSpec| !matches!(check, CheckSpec::Sql(_) | CheckSpec::Log(_));
        let alert = self.checks.iter().filter(shows).map(|check| judge_check(check, &result, None)).collect();
        let RunResult { recording, .. } = result;
        Figures {
            at_s: now_s,
            window_s: now_s.min(WINDOW_S),
            alert,
            trips: count(recording.trips.iter().map(|trip| crate::judge::end_of(trip).to_owned())),
            offers: count(recording.offers.iter().map(|offer| match offer.answer.as_str() {
                "" => "not answered".to_owned(),
                answer => format!("{answer} {}", offer.status),
            })),
            positions: verdicts(recording.positions.iter()),
            positions_by_group: verdicts_by_group(&recording.positions),
            operations: operations(&recording),
            slowest: slowest(&recording),
            deliveries: count(recording.deliveries.iter().map(|one| format!("{} {}", one.event, one.status))),
            events: recording.events,
            metrics_start: self.metrics_start.clone(),
            metrics_now,
        }
    }

    /// The recording of the last minute. Times are moved so that checks count all of it.
    fn window(&self, now_s: f64) -> Recording {
        let mut recording = self.context.recording();
        recording.requests.retain(|request| request.at_s >= now_s - KEPT_S);
        recording.offers.retain(|offer| offer.at_s >= now_s - KEPT_S);
        recording.driver_events.retain(|event| event.at_s >= now_s - KEPT_S);
        recording.deliveries.retain(|delivery| delivery.at_s >= now_s - KEPT_S);
        #[allow(clippy::cast_precision_loss, reason = "seconds")]
        recording.positions.retain(|position| position.second as f64 >= now_s - WINDOW_S);
        recording.foreign.retain(|foreign| foreign.at_s >= now_s - KEPT_S);
        let from_s = now_s - WINDOW_S;
        let is_recent = |at_s: f64| at_s >= from_s;
        Recording {
            seed: recording.seed,
            seconds: now_s,
            time_scale: recording.time_scale,
            requests: recording.requests.iter().filter(|request| is_recent(request.at_s)).cloned().collect(),
            // A trip of the last seconds has had no time to end.
            trips: recording.trips.iter().filter(|trip| is_recent(trip.at_s)).cloned().collect(),
            offers: recording.offers.iter().filter(|offer| is_recent(offer.at_s)).cloned().collect(),
            driver_events: recording.driver_events.iter().filter(|one| is_recent(one.at_s)).cloned().collect(),
            positions: recording.positions.clone(),
            events: Vec::new(),
            deliveries: recording.deliveries.iter().filter(|one| is_recent(one.at_s)).cloned().collect(),
            foreign: recording.foreign.iter().filter(|one| is_recent(one.at_s)).cloned().collect(),
        }
    }
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Positions by verdict.
fn verdicts<'a>(positions: impl Iterator<Item = &'a PositionCount>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for position in positions {
        *counts.entry(position.verdict.clone()).or_default() += position.count;
    }
    counts
}

/// Positions by group and verdict.
fn verdicts_by_group(positions: &[PositionCount]) -> BTreeMap<String, BTreeMap<String, u64>> {
    let mut by_group = BTreeMap::<String, BTreeMap<String, u64>>::new();
    for position in positions {
        let counts = by_group.entry(position.group.clone()).or_default();
        *counts.entry(position.verdict.clone()).or_default() += position.count;
    }
    by_group
}

fn operations(recording: &Recording) -> Vec<OperationFigures> {
    let mut by_operation = BTreeMap::<&str, Vec<&RequestRecord>>::new();
    for request in &recording.requests {
        by_operation.entry(&request.operation).or_default().push(request);
    }
    let figures = by_operation.into_iter().map(|(operation, mut requests)| {
        requests.sort_by(|one, other| one.ms.total_cmp(&other.ms));
        let rank = |share: usize| requests[(requests.len() * share / 100).min(requests.len() - 1)].ms;
        let mut statuses = BTreeMap::new();
        for request in &requests {
            *statuses.entry(request.status).or_default() += 1;
        }
        let count = requests.len() as u64;
        OperationFigures { operation: operation.to_owned(), count, statuses, p50_ms: rank(50), p99_ms: rank(99) }
    });
    figures.collect()
}

fn slowest(recording: &Recording) -> Vec<RequestRecord> {
    let mut requests: Vec<_> = recording.requests.iter().collect();
    requests.sort_by(|one, other| other.ms.total_cmp(&one.ms));
    requests.into_iter().take(SLOWEST).cloned().collect()
}

impl Figures {
    /// The conditions of the alert that do not hold.
    pub fn firing(&self) -> impl Iterator<Item = &CheckResult> {
        self.alert.iter().filter(|check| !check.held)
    }

    /// Verdicts on positions by group, if there are several groups.
    pub fn of_groups(&self) -> impl Iterator<Item = (String, &BTreeMap<String, u64>)> {
        let are_several = self.positions_by_group.len() > 1;
        let groups = self.positions_by_group.iter().filter(move |_| are_several);
        groups.map(|(group, counts)| (format!("positions of {group}"), counts))
    }

    /// Changes of the samples whose name contains a text, since the load began.
    pub fn metric_changes(&self, containing: &str) -> Vec<MetricChange> {
        super::metrics::changes(&self.metrics_start, &self.metrics_now, containing)
    }

    /// The slowest requests as a table, with the trace ids that the service's log has.
    pub fn slowest_table(&self) -> String {
        let mut rows = vec![row(["ms", "status", "operation", "code", "caller", "trace id"])];
        rows.extend(self.slowest.iter().map(|request| {
            let (ms, status) = (format!("{:.0}", request.ms), request.status.to_string());
            row([&ms, &status, &request.operation, &request.code, &request.caller, &request.trace_id])
        }));
        table(&rows)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The last {:.0} s of the load, which began {:.0} s ago:\n", self.window_s, self.at_s)?;
        for check in &self.alert {
            let mark = if check.held { "ok    " } else { "FIRING" };
            writeln!(f, "  {mark}  {}\n          seen {}; expected {}", check.what, check.seen, check.expected)?;
        }
        writeln!(f)?;
        let mut all = vec![
            ("trips".to_owned(), &self.trips),
            ("offers".to_owned(), &self.offers),
            ("positions".to_owned(), &self.positions),
        ];
        all.extend(self.of_groups());
        all.push(("webhook deliveries".to_owned(), &self.deliveries));
        for (what, counts) in all {
            if !counts.is_empty() {
                let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
                writeln!(f, "  {what}: {}", counts.join(", "))?;
            }
        }
        let mut rows = vec![row(["operation", "requests", "p50 ms", "p99 ms", "statuses"])];
        for of in &self.operations {
            let statuses: Vec<String> =
                of.statuses.iter().map(|(status, count)| format!("{status} × {count}")).collect();
            let (p50, p99) = (format!("{:.0}", of.p50_ms), format!("{:.0}", of.p99_ms));
            rows.push(row([&of.operation, &of.count.to_string(), &p50, &p99, &statuses.join(", ")]));
        }
        writeln!(f, "\n{}", table(&rows))?;
        for event in self.events.iter().rev().take(8).rev() {
            writeln!(f, "  at {:.0} s: {} ({})", event.at_s, event.name, event.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_shows_alert_and_counts() {
        let alert = CheckResult {
            kind: "check".to_owned(),
            what: "Riders get a ride.".to_owned(),
            held: false,
            seen: "12.0 % of 50 trips".to_owned(),
            expected: "at least 90.0 %".to_owned(),
            value: Some(0.12),
        };
        let trips = BTreeMap::from([("open".to_owned(), 3)]);
        let figures = Figures { alert: vec![alert], trips, at_s: 70.0, window_s: 60.0, ..Figures::default() };
        let text = figures.to_string();
        assert!(text.contains("FIRING  Riders get a ride.") && text.contains("trips: open 3"), "{text}");
        assert_eq!(figures.firing().count(), 1);
    }

    #[test]
    fn verdicts_are_shown_by_group_where_there_are_several() {
        let position = |group: &str, verdict: &str, count| PositionCount {
            second: 1,
            group: group.to_owned(),
            verdict: verdict.to_owned(),
            count,
        };
        let mut positions = vec![position("north", "future", 3), position("north", "future", 4)];
        let figures = |positions: &[PositionCount]| Figures {
            positions: verdicts(positions.iter()),
            positions_by_group: verdicts_by_group(positions),
            ..Figures::default()
        };
        let text = figures(&positions).to_string();
        assert!(text.contains("positions: future 7") && !text.contains("of north"), "{text}");
        positions.push(position("south", "accepted", 5));
        let text = figures(&positions).to_string();
        for line in
            ["positions: accepted 5, future 7\n", "positions of north: future 7\n", "positions of south: accepted 5\n"]
        {
            assert!(text.contains(line), "{text}");
        }
    }
}
