//! Reduces what was recorded to one number for each check.

use crate::judge::model::{
    Among, CheckSpec, DeliveredCheck, LatencyCheck, MetricCheck, OutcomeCheck, OwnCheck, PositionsCheck, SqlCheck,
    StatusCheck,
};
use crate::judge::recorded;
use crate::load::operation_matches;
use crate::load::recording::{ForeignRecord, OfferRecord, Recording, RequestRecord, TripRecord};
use crate::stack::RunResult;
use crate::stack::metrics;

/// Code of a request whose caller hung up on purpose.
const HUNG_UP: &str = "hung_up";

/// Ends of trips.
const ENDS: [&str; 8] =
    ["completed", "cancelled", "no_driver", "payment_failed", "no_show", "aborted", "gave_up", "refused"];

/// Verdicts and ends that are named in what was seen.
const NAMED_MAX: usize = 6;

/// A number and what it was computed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    /// The number; `None` if nothing counted.
    pub value: Option<f64>,
    /// How many requests, trips, … counted.
    pub count: u64,
    /// Its unit, for words.
    pub unit: Unit,
    /// Further words: examples, or a breakdown.
    pub detail: String,
}

/// The unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A share of what counted.
    Share(&'static str),
    /// Milliseconds.
    Milliseconds,
    /// Domain seconds.
    DomainSeconds,
    /// Per real second.
    PerSecond,
    /// A number of something.
    Number(&'static str),
    /// A number without a unit.
    Plain,
}

/// Returns the number of a check.
pub(crate) fn measure(check: &CheckSpec, result: &RunResult) -> Measured {
    let recording = &result.recording;
    match check {
        CheckSpec::Outcome(check) => outcome(check, recording),
        CheckSpec::Offers(check) => {
            let offers = recording.offers.iter().filter(|offer| of_group(&check.among, &offer.group, offer.at_s));
            share(offers, "offers", |offer: &&OfferRecord| offer.end.clone(), &check.ends)
        }
        CheckSpec::Status(check) => status(check, recording),
        CheckSpec::Latency(check) => latency(check, recording),
        CheckSpec::Throughput(check) => {
            let counted = requests(&check.operation, &check.among, recording);
            let answered = counted.filter(|request| (200..300).contains(&request.status)).count();
            let from_s = check.among.from_s;
            let seconds = check.among.until_s.unwrap_or(recording.seconds).min(recording.seconds) - from_s;
            number(ratio(answered as f64, seconds.max(0.1)), answered as u64, Unit::PerSecond)
        }
        CheckSpec::Wait(check) => {
            let trips = trips(&check.among, recording).filter(|trip| trip.end != "refused");
            let longest = recording.seconds * f64::from(recording.time_scale);
            let waits: Vec<f64> = trips.map(|trip| trip.wait_s.unwrap_or(longest)).collect();
            let count = waits.len() as u64;
            Measured {
                value: percentile(waits, check.percentile),
                count,
                unit: Unit::DomainSeconds,
                detail: String::new(),
            }
        }
        CheckSpec::Positions(check) => positions(check, recording),
        CheckSpec::Metric(check) => metric(check, result),
        CheckSpec::Sql(check) => sql(check, result),
        CheckSpec::Delivered(check) => delivered(check, recording),
        CheckSpec::Own(check) => own(check, recording),
        CheckSpec::Restarts(check) => {
            let is_restart = |name: &str| matches!(name, "death" | "probe_restart");
            let restarts =
                recording.events.iter().filter(|event| event.at_s >= check.from_s && is_restart(&event.name));
            number(Some(restarts.count() as f64), 1, Unit::Number("restarts"))
        }
        CheckSpec::Log(check) => {
            let count = result.log_counts.get(&check.pattern).copied().unwrap_or(0);
            number(Some(count as f64), 1, Unit::Number("log records"))
        }
        CheckSpec::Recorded(check) => recorded::measure(&check.name, &check.among, recording),
    }
}

/// A sample, or its change, by itself or divided by another one.
fn metric(check: &MetricCheck, result: &RunResult) -> Measured {
    let value = |sample: &str| {
        let before = if check.change { metrics::sum(&result.metrics_before, sample) } else { 0.0 };
        metrics::sum(&result.metrics_after, sample) - before
    };
    let per = check.per.as_deref().map_or(1.0, value);
    let exists = check.per.is_none() || per > 0.0;
    let value = exists.then(|| value(&check.sample) / per);
    Measured { value, count: 1, unit: Unit::Plain, detail: check.sample.clone() }
}

/// The rows of a query. One that failed has no number.
fn sql(check: &SqlCheck, result: &RunResult) -> Measured {
    let rows = result.rows.get(&check.query).cloned().unwrap_or_default();
    let value = rows.error.is_empty().then_some(rows.count as f64);
    let first: Vec<String> = rows.first.iter().map(ToString::to_string).collect();
    let detail = if rows.error.is_empty() { first.join(" ") } else { rows.error };
    Measured { value, count: 1, unit: Unit::Number("rows"), detail }
}

/// Objects of others that callers were shown, and how many responses could have shown one.
fn own(check: &OwnCheck, recording: &Recording) -> Measured {
    let is_counted = |request: &&RequestRecord| (200..300).contains(&request.status);
    let count = requests(&check.operation, &check.among, recording).filter(is_counted).count() as u64;
    let is_shown = |foreign: &&ForeignRecord| {
        operation_matches(&check.operation, &foreign.operation) && of_group(&check.among, &foreign.group, foreign.at_s)
    };
    let words = |foreign: &ForeignRecord| {
        let ForeignRecord { operation, caller, object, owner, .. } = foreign;
        format!("{operation}: {caller} was shown {object} of {owner}")
    };
    let examples: Vec<String> = recording.foreign.iter().filter(is_shown).map(words).collect();
    let value = Some(examples.len() as f64);
    Measured { value, count, unit: Unit::Number("foreign objects"), detail: shortened(&examples) }
}

fn number(value: Option<f64>, count: u64, unit: Unit) -> Measured {
    Measured { value, count, unit, detail: String::new() }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Whether something of a group that began at a time counts.
pub(super) fn of_group(among: &Among, group: &str, at_s: f64) -> bool {
    among.group.as_deref().is_none_or(|wanted| wanted == group)
        && at_s >= among.from_s
        && among.until_s.is_none_or(|until_s| at_s < until_s)
}

fn trips<'a>(among: &'a Among, recording: &'a Recording) -> impl Iterator<Item = &'a TripRecord> {
    recording.trips.iter().filter(|trip| of_group(among, &trip.group, trip.at_s))
}

/// Requests of an operation that count: not those whose caller hung up on purpose.
fn requests<'a>(
    operation: &'a str,
    among: &'a Among,
    recording: &'a Recording,
) -> impl Iterator<Item = &'a RequestRecord> {
    let counts = move |request: &&RequestRecord| {
        request.code != HUNG_UP
            && of_group(among, &request.group, request.at_s)
            && operation_matches(operation, &request.operation)
    };
    recording.requests.iter().filter(counts)
}

/// How a trip ended: as the rider saw it, or its state in the database.
pub(crate) fn end_of(trip: &TripRecord) -> &str {
    match trip.end.as_str() {
        "gave_up" | "refused" => &trip.end,
        _ if ENDS.contains(&trip.state.as_str()) => &trip.state,
        _ if trip.state.is_empty() && ENDS.contains(&trip.end.as_str()) => &trip.end,
        _ => "open",
    }
}

/// The share of items whose name is wanted, and a breakdown by name.
fn share<T>(
    items: impl Iterator<Item = T>,
    what: &'static str,
    name: impl Fn(&T) -> String,
    wanted: &[String],
) -> Measured {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for item in items {
        *counts.entry(name(&item)).or_default() += 1;
    }
    let whole: u64 = counts.values().sum();
    let part: u64 = wanted.iter().filter_map(|name| counts.get(name)).sum();
    let mut named: Vec<_> = counts.into_iter().collect();
    named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let detail: Vec<String> = named.iter().take(NAMED_MAX).map(|(name, count)| format!("{name} {count}")).collect();
    Measured {
        value: ratio(part as f64, whole as f64),
        count: whole,
        unit: Unit::Share(what),
        detail: detail.join(", "),
    }
}

fn outcome(check: &OutcomeCheck, recording: &Recording) -> Measured {
    let declined = |trip: &&TripRecord| {
        let is_of_trip = |offer: &&OfferRecord| offer.trip == trip.id && offer.answer == "decline";
        !check.declined || recording.offers.iter().any(|offer| is_of_trip(&offer))
    };
    let trips = trips(&check.among, recording).filter(declined);
    share(trips, "trips", |trip| end_of(trip).to_owned(), &check.ends)
}

fn status(check: &StatusCheck, recording: &Recording) -> Measured {
    let counted: Vec<_> = requests(&check.operation, &check.among, recording).collect();
    let is_wanted =
        |request: &&&RequestRecord| check.statuses.contains(&request.status) || check.codes.contains(&request.code);
    let part = counted.iter().filter(is_wanted).count();
    let by_status = share(counted.iter(), "responses", |request| request.status.to_string(), &[]);
    Measured { value: ratio(part as f64, counted.len() as f64), ..by_status }
}

fn latency(check: &LatencyCheck, recording: &Recording) -> Measured {
    let times: Vec<f64> = requests(&check.operation, &check.among, recording).map(|request| request.ms).collect();
    let count = times.len() as u64;
    number(percentile(times, check.percentile), count, Unit::Milliseconds)
}

fn positions(check: &PositionsCheck, recording: &Recording) -> Measured {
    let counted = recording.positions.iter().filter(|count| of_group(&check.among, &count.group, count.second as f64));
    let mut by_verdict = std::collections::BTreeMap::<&str, u64>::new();
    for position in counted {
        *by_verdict.entry(&position.verdict).or_default() += position.count;
    }
    let whole: u64 = by_verdict.values().sum();
    let part: u64 = check.verdicts.iter().filter_map(|verdict| by_verdict.get(verdict.as_str())).sum();
    let detail: Vec<String> = by_verdict.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
    let unit = Unit::Share("positions");
    Measured { value: ratio(part as f64, whole as f64), count: whole, unit, detail: detail.join(", ") }
}

/// The value below which this percentage of the values lies (nearest rank).
fn percentile(mut values: Vec<f64>, percentile: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let rank = (percentile / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied()
}

/// Trips that must have been delivered, and those of them that were.
fn delivered(check: &DeliveredCheck, recording: &Recording) -> Measured {
    let due: Vec<_> = trips(&check.among, recording).filter(|trip| trip.state == check.state).collect();
    let received: Vec<_> = recording.deliveries.iter().filter(|delivery| delivery.event == check.event).collect();
    let accepted =
        |id: &str| received.iter().any(|delivery| delivery.object == id && (200..300).contains(&delivery.status));
    let missing: Vec<String> = due.iter().filter(|trip| !accepted(&trip.id)).map(|trip| trip.id.clone()).collect();
    let known = |id: &str| recording.trips.iter().find(|trip| trip.id == id);
    let is_phantom = |object: &&&str| known(object).is_some_and(|trip| trip.state != check.state);
    let mut objects: Vec<&str> = received.iter().map(|delivery| delivery.object.as_str()).collect();
    objects.sort_unstable();
    objects.dedup();
    let phantoms = if check.phantoms_allowed { 0 } else { objects.iter().filter(is_phantom).count() };
    let forged = received.iter().filter(|delivery| !delivery.signed).count();
    let mut detail = Vec::new();
    if !missing.is_empty() {
        detail.push(format!("{} not delivered: {}", missing.len(), shortened(&missing)));
    }
    if phantoms > 0 {
        detail.push(format!("{phantoms} delivered for trips in another state"));
    }
    if forged > 0 {
        detail.push(format!("{forged} with a wrong signature"));
    }
    let right = if phantoms + forged > 0 { 0 } else { due.len() - missing.len() };
    let value = ratio(right as f64, due.len() as f64);
    Measured { value, count: due.len() as u64, unit: Unit::Share("trips"), detail: detail.join("; ") }
}

/// Whether everything that the `delivered` checks wait for has arrived.
pub(crate) fn all_delivered(checks: &[CheckSpec], recording: &Recording) -> bool {
    checks.iter().all(|check| match check {
        CheckSpec::Delivered(check) => delivered(check, recording).value.is_none_or(|share| share >= 1.0),
        _ => true,
    })
}

/// The first few of some texts.
pub(super) fn shortened(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(3);
    let first = texts.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

#[cfg(test)]
#[path = "measures_tests.rs"]
mod tests;
