//! The load as a pack describes it. The vocabulary is general: a pack composes it.
//!
//! Times of the run (`from_s`, `at_s`, …) are real seconds since the service was ready. Times of actors are domain seconds where the
//! comment says so: `time_scale` of them pass in one real second.

mod actors;
mod defaults;
mod faults;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::defaults::{one, three};
pub use actors::{
    Area, CancelWhen, DriverGroup, Keys, OperatorGroup, Positions, Receive, RequestGroup, Retry, RiderCancel,
    RiderGroup,
};
pub use faults::{
    LoadEvent, LoadEventKind, ProviderFault, SubscriberAnswer, SubscriberFault, SubscriberSpec, SupervisorSpec,
};

/// What runs against the service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// Real seconds of load.
    pub seconds: f64,
    /// Domain seconds per real second, 1 to 60.
    #[serde(default = "one")]
    pub time_scale: u32,
    /// The longest wait, in real seconds, for open trips and deliveries after the load.
    #[serde(default = "three")]
    pub settle_s: f64,
    /// Whether that wait is also for payments and refunds that are on their way to the provider.
    #[serde(default)]
    pub settle_money: bool,
    /// Environment of the service in every run, healthy or faulty.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Service processes on the same database, 1 or 2. One is the matcher.
    #[serde(default = "one")]
    pub processes: u32,
    /// SQL that runs once after the migrations: bulk data. Kept as a template, so only the first run waits for it.
    #[serde(default)]
    pub data: Option<String>,
    /// Groups of drivers.
    #[serde(default)]
    pub drivers: Vec<DriverGroup>,
    /// Groups of riders.
    #[serde(default)]
    pub riders: Vec<RiderGroup>,
    /// Open-loop requests: sent at their rate, whether or not earlier ones have been answered.
    #[serde(default)]
    pub requests: Vec<RequestGroup>,
    /// Groups of operators.
    #[serde(default)]
    pub operators: Vec<OperatorGroup>,
    /// Faults of the payment provider.
    #[serde(default)]
    pub provider: Vec<ProviderFault>,
    /// A subscriber of the service's webhooks.
    #[serde(default)]
    pub subscriber: Option<SubscriberSpec>,
    /// A supervisor that probes the service and restarts it.
    #[serde(default)]
    pub supervisor: Option<SupervisorSpec>,
    /// What happens to processes and connections.
    #[serde(default)]
    pub events: Vec<LoadEvent>,
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
