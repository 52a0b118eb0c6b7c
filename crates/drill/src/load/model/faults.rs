//! Faults and events of a load, the subscriber, and the supervisor.

use serde::{Deserialize, Serialize};

use super::defaults::{healthz, one, one_s, probe_every, probe_time_out, three_probes};

/// A fault of the provider simulator, in its own words, and when it is planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderFault {
    /// Real second of the load from which it strikes.
    #[serde(default)]
    pub from_s: f64,
    /// Real second of the load until which it strikes; absent: to the end of the load. After the load there are no faults.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// The step: `create`, `confirm`, `capture`, `cancel`, `refund`, `get`, `list`, `any` or `webhook`.
    pub on: String,
    /// The kind, as psp-sim names it: `latency`, `hang_after`, `error_503`, `rejected`, `decline`, `lost`, …
    pub kind: String,
    /// The probability, from 0 to 1; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The most strikes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The decline or error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The duration, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// The median of a log-normal latency, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// The 99th percentile of a log-normal latency, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u64>,
}

/// A subscriber of the service's webhooks. It checks signatures and keeps every delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberSpec {
    /// Endpoints, each with a path of its own.
    #[serde(default = "one")]
    pub endpoints: u32,
    /// Event types; empty: all.
    #[serde(default)]
    pub event_types: Vec<String>,
    /// Real milliseconds before it answers 200.
    #[serde(default)]
    pub answer_after_ms: u64,
    /// When it answers otherwise.
    #[serde(default)]
    pub faults: Vec<SubscriberFault>,
}

/// A fault of the subscriber.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberFault {
    /// Real second of the load from which it strikes.
    #[serde(default)]
    pub from_s: f64,
    /// Real second of the load until which it strikes; absent: to the end of the load.
    #[serde(default)]
    pub until_s: Option<f64>,
    /// Share of deliveries.
    #[serde(default = "one_s")]
    pub share: f64,
    /// What it does.
    pub answer: SubscriberAnswer,
}

/// What a faulty subscriber does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SubscriberAnswer {
    /// This status.
    Status(u16),
    /// This status, with this text as the body.
    Body(u16, String),
    /// Closes the connection without a response.
    Close,
    /// Holds the connection for these milliseconds, then closes it.
    Hang(u64),
    /// Sends these bytes, whatever they are, and closes the connection.
    Raw(String),
}

/// A supervisor that probes the service and restarts it, as an orchestrator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupervisorSpec {
    /// Path of the probe.
    #[serde(default = "healthz")]
    pub probe: String,
    /// Real milliseconds between two probes.
    #[serde(default = "probe_every")]
    pub every_ms: u64,
    /// Real milliseconds after which a probe has failed.
    #[serde(default = "probe_time_out")]
    pub time_out_ms: u64,
    /// Failed probes in a row that lead to a restart.
    #[serde(default = "three_probes")]
    pub failures: u32,
}

/// Something that happens to processes and connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadEvent {
    /// Real second of the load.
    pub at_s: f64,
    /// What happens.
    #[serde(rename = "do")]
    pub what: LoadEventKind,
    /// How long it lasts, real seconds, where it lasts.
    #[serde(default)]
    pub for_s: f64,
    /// SQL of `sql`; Unix shell patterns are not involved. Runs in the run's database with the rights of its owner.
    #[serde(default)]
    pub sql: Option<String>,
    /// Domain seconds of `advance_clock`.
    #[serde(default)]
    pub domain_s: f64,
}

/// What happens to processes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadEventKind {
    /// The first service process is killed and started again.
    KillService,
    /// The first service process stops in order and is started again.
    RestartService,
    /// The first service process stands still for `for_s`.
    PauseService,
    /// The database cannot be reached for `for_s`: open connections are cut, new ones closed at once.
    DatabaseAway,
    /// Responses of the database wait for `for_s`.
    DatabaseHolds,
    /// Open connections to the database are cut once.
    CutDatabase,
    /// The provider cannot be reached for `for_s`.
    ProviderAway,
    /// A statement runs in the run's database.
    Sql,
    /// The domain clock is advanced.
    AdvanceClock,
    /// All drivers go offline and online again.
    ReconnectDrivers,
}
