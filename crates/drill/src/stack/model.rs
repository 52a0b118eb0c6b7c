//! What a run needs, and what it returns.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::judge::CheckSpec;
use crate::load::{LoadSpec, Recording};

/// The two programs of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programs {
    /// The service, built from the exported tree. It migrates the database as well.
    pub service: PathBuf,
    /// The program of the clean checkout: the provider simulator and the audit.
    pub clean: PathBuf,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// The programs.
    pub programs: Programs,
    /// Identifies the schema: a digest of the migrations, and of everything else that the template of the database depends on. Letters,
    /// digits and `_`.
    pub schema: String,
    /// Environment of the service: a fault in configuration, or the user's mitigation. It wins over the load's.
    pub environment: BTreeMap<String, String>,
    /// SQL that runs after the migrations: a fault in data.
    pub sql: Option<String>,
    /// The seed of everything that actors decide.
    pub seed: u64,
    /// The load.
    pub load: LoadSpec,
    /// The checks of the pack: what they need is read before the database is dropped.
    pub checks: Vec<CheckSpec>,
    /// Whether the contract suite, the security suite and the audit run after the load.
    pub always: bool,
}

/// What a run returned. Nothing of the run is left but this.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunResult {
    /// What the actors saw.
    pub recording: Recording,
    /// Samples of `/metrics` of all processes, added, when the load began: `name{labels}` to value.
    pub metrics_before: BTreeMap<String, f64>,
    /// The same at the end of the load.
    pub metrics_after: BTreeMap<String, f64>,
    /// Rows of the `sql` checks, by query: number and the first ones as JSON, or the error.
    pub rows: BTreeMap<String, Rows>,
    /// Log records that match the `log` checks, by pattern.
    pub log_counts: BTreeMap<String, u64>,
    /// The audit's report; null if it was not run.
    pub audit: Value,
    /// Results of the contract and security suites.
    pub contract: Vec<CaseResult>,
    /// Ends of service processes without an order.
    pub deaths: u64,
    /// Real seconds of the whole run.
    pub total_s: f64,
}

/// Rows of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Number of rows.
    pub count: u64,
    /// The first five.
    pub first: Vec<Value>,
    /// Why the query failed; empty if it did not.
    pub error: String,
}

/// A case of the contract or security suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseResult {
    /// `contract` or `security`.
    pub suite: String,
    /// What must hold.
    pub what: String,
    /// Whether it held.
    pub held: bool,
    /// What was seen, if it did not.
    pub seen: String,
}
