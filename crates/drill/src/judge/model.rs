//! The checks as a pack describes them. Each one reduces what was recorded to one number and compares it with a limit.

use serde::{Deserialize, Serialize};

/// One check of a pack. `what` says in one sentence what must hold; it is printed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CheckSpec {
    /// Share of the trips that end in one of the named ways.
    Outcome(OutcomeCheck),
    /// Share of the offers that end in one of the named ways.
    Offers(OffersCheck),
    /// Share of the responses of an operation with one of the statuses or codes.
    Status(StatusCheck),
    /// A percentile of the response times of an operation, milliseconds.
    Latency(LatencyCheck),
    /// Successful responses of an operation per real second.
    Throughput(ThroughputCheck),
    /// A percentile of the domain seconds from a trip's request until it is assigned. Trips never assigned count as the longest wait.
    Wait(WaitCheck),
    /// Share of the positions that got the verdict.
    Positions(PositionsCheck),
    /// A sample of `/metrics` at the end, or its change since the load began.
    Metric(MetricCheck),
    /// The number of rows of a query over the run's database.
    Sql(SqlCheck),
    /// Share of the trips in a state whose event reached the subscriber.
    Delivered(DeliveredCheck),
    /// Share of the responses that show only data of their caller.
    Own(OwnCheck),
    /// Restarts and unordered ends of service processes.
    Restarts(RestartsCheck),
    /// Records of the service's log that match a pattern.
    Log(LogCheck),
    /// A predicate over the recording, by name.
    Recorded(RecordedCheck),
}

/// The limits of a number. At least one is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The smallest number that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// The largest number that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// The largest multiple of the healthy build's number on the same seed that passes. Numbers up to `at_most`, if given, pass as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times_healthy: Option<f64>,
    /// The smallest share of the healthy build's number on the same seed that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of_healthy: Option<f64>,
}

/// What counts. Absent: everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Among {
    /// Name of a group of the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Real second of the load from which requests, trips and offers count, by their start.
    #[serde(default)]
    pub from_s: f64,
    /// Real second of the load until which they count, by their start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_s: Option<f64>,
    /// The fewest that must count; fewer fail the check. Without it a service that does nothing could pass.
    #[serde(default = "one")]
    pub count_min: u64,
}

/// How trips end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeCheck {
    /// What must hold.
    pub what: String,
    /// Ends that count: a state of the trip, `gave_up` (the rider's patience ended), `refused` (not created) or `open`.
    pub ends: Vec<String>,
    /// The limit of their share.
    pub limit: Limit,
    /// The trips, by their riders' group.
    #[serde(default)]
    pub among: Among,
    /// Only trips with at least one declined offer.
    #[serde(default)]
    pub declined: bool,
}

/// How offers end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OffersCheck {
    /// What must hold.
    pub what: String,
    /// Ends that count: `accepted`, `declined`, `expired`, `withdrawn` or `pending`, by the database.
    pub ends: Vec<String>,
    /// The limit of their share.
    pub limit: Limit,
    /// The offers, by their drivers' group.
    #[serde(default)]
    pub among: Among,
}

/// Statuses and codes of responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusCheck {
    /// What must hold.
    pub what: String,
    /// Method and path template: `POST /v1/quotes`; `*` at the end matches any rest.
    pub operation: String,
    /// Statuses that count; 0: no response.
    #[serde(default)]
    pub statuses: Vec<u16>,
    /// Codes of problem documents that count.
    #[serde(default)]
    pub codes: Vec<String>,
    /// The limit of their share.
    pub limit: Limit,
    /// The requests.
    #[serde(default)]
    pub among: Among,
}

/// Response times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencyCheck {
    /// What must hold.
    pub what: String,
    /// Method and path template, as for `status`.
    pub operation: String,
    /// The percentile, above 0 and at most 100.
    pub percentile: f64,
    /// The limit in milliseconds.
    pub limit: Limit,
    /// The requests. Those without a response count with the time until the caller gave up.
    #[serde(default)]
    pub among: Among,
}

/// Successful responses per second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThroughputCheck {
    /// What must hold.
    pub what: String,
    /// Method and path template, as for `status`.
    pub operation: String,
    /// The limit per real second.
    pub limit: Limit,
    /// The requests.
    #[serde(default)]
    pub among: Among,
}

/// The wait for a driver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitCheck {
    /// What must hold.
    pub what: String,
    /// The percentile, above 0 and at most 100.
    pub percentile: f64,
    /// The limit in domain seconds.
    pub limit: Limit,
    /// The trips, by their riders' group.
    #[serde(default)]
    pub among: Among,
}

/// Verdicts on positions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionsCheck {
    /// What must hold.
    pub what: String,
    /// Verdicts that count: `accepted`, `duplicate`, `stale`, `future`, …
    pub verdicts: Vec<String>,
    /// The limit of their share.
    pub limit: Limit,
    /// The positions, by their drivers' group.
    #[serde(default)]
    pub among: Among,
}

/// A sample of `/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricCheck {
    /// What must hold.
    pub what: String,
    /// The metric's name, and labels that a sample must have: `name{label="value"}`. Samples that match are added.
    pub sample: String,
    /// Whether the change since the load began counts, instead of the value at its end.
    #[serde(default)]
    pub change: bool,
    /// Divides by this sample, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// The limit.
    pub limit: Limit,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlCheck {
    /// What must hold.
    pub what: String,
    /// The query. Runs after the load has settled, in a read-only transaction of at most ten seconds.
    pub query: String,
    /// The limit of the number of rows; none may be returned if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

/// Deliveries to the subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredCheck {
    /// What must hold.
    pub what: String,
    /// The event's type: `trip.completed`.
    pub event: String,
    /// The state of the trips that must have been delivered.
    pub state: String,
    /// The limit of their share; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Whether deliveries for trips in another state are allowed.
    #[serde(default)]
    pub phantoms_allowed: bool,
    /// The trips, by their riders' group.
    #[serde(default)]
    pub among: Among,
}

/// Whose data responses show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnCheck {
    /// What must hold.
    pub what: String,
    /// Method and path template, as for `status`.
    #[serde(default = "any_operation")]
    pub operation: String,
    /// The requests. All their responses must be the caller's.
    #[serde(default)]
    pub among: Among,
}

/// Restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartsCheck {
    /// What must hold.
    pub what: String,
    /// The limit of their number.
    pub limit: Limit,
    /// Real second of the load from which they count.
    #[serde(default)]
    pub from_s: f64,
}

/// Log records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogCheck {
    /// What must hold.
    pub what: String,
    /// A regular expression over the JSON line.
    pub pattern: String,
    /// The limit of their number.
    pub limit: Limit,
}

/// A predicate by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedCheck {
    /// What must hold.
    pub what: String,
    /// The name, from `judge::recorded::NAMES`.
    pub name: String,
    /// The trips or requests that count.
    #[serde(default)]
    pub among: Among,
}

fn one() -> u64 {
    1
}

fn any_operation() -> String {
    "*".to_owned()
}

impl CheckSpec {
    /// What must hold, in words.
    pub fn what(&self) -> &str {
        match self {
            Self::Outcome(check) => &check.what,
            Self::Offers(check) => &check.what,
            Self::Status(check) => &check.what,
            Self::Latency(check) => &check.what,
            Self::Throughput(check) => &check.what,
            Self::Wait(check) => &check.what,
            Self::Positions(check) => &check.what,
            Self::Metric(check) => &check.what,
            Self::Sql(check) => &check.what,
            Self::Delivered(check) => &check.what,
            Self::Own(check) => &check.what,
            Self::Restarts(check) => &check.what,
            Self::Log(check) => &check.what,
            Self::Recorded(check) => &check.what,
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
