//! A drill as data: the card that everyone may read, and the sealed pack.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use worktree::Replace;

use crate::{judge::CheckSpec, load::LoadSpec};

/// `drill.toml`: what the list and the page show. It tells the symptom, never the cause.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The symptom in a few words.
    pub title: String,
    /// From 1 (the fault is in one recent commit) to 5 (a pair of faults, or one that hides).
    pub level: u8,
    /// How long a practiced engineer needs.
    pub minutes: u16,
    /// The area, by which the scoreboard adds up.
    pub topic: Topic,
    /// The severity that the page carries.
    pub severity: Severity,
    /// The page: at most two lines, with figures that the load shows.
    pub page: String,
    /// The customer's words.
    pub ticket: String,
    /// Whether its proof has not passed yet: it can be started by its number, is never chosen by itself, and `verify --all` only looks at its
    /// form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
}

/// The area of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// Positions, distances and the index.
    Geo,
    /// Which driver is offered which trip.
    Matching,
    /// The life of a trip.
    Trips,
    /// Payments and the ledger.
    Money,
    /// Workers, streams and webhooks.
    Async,
    /// Queries, locks and connections.
    Database,
    /// What surrounds the service: clients, gateways, probes.
    Edge,
}

/// The severity of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Money, privacy, or every user.
    Sev1,
    /// Many users, or one large customer.
    Sev2,
    /// Some users, with a way around.
    Sev3,
}

/// `pack.toml`: everything else. It is kept sealed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Words that occur neither in `src/` and `migrations/` nor in the export; the slug is always among them.
    #[serde(default)]
    pub words: Vec<String>,
    /// The component at fault, of `catalog.toml`; `none` for a drill without a fault.
    pub component: String,
    /// The mechanism, of `catalog.toml`.
    pub mechanism: String,
    /// Patterns of evidence, each `KIND:REGEX` with a kind of [`EvidenceKind`]. Any one suffices.
    pub evidence: Vec<String>,
    /// The second fault of a pair.
    #[serde(default)]
    pub also: Vec<Cause>,
    /// Which test, metric, lint or constraint would have caught the fault; one sentence each.
    #[serde(default)]
    pub caught_by: Vec<String>,
    /// The post-mortem in Markdown. `{{…}}` is a blank that the reader fills in first.
    pub post_mortem: String,
    /// Variables of the service's environment in the first import: lines of `deploy/service.env`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// 8 to 12 commits, oldest first. Without one that has `fault = true`, the fault is in the first import (or in configuration or data).
    #[serde(default)]
    pub commit: Vec<Commit>,
    /// The fault. Empty for a drill without one.
    #[serde(default)]
    pub fault: Change,
    /// The reference fix, on top of the faulty tree. Empty for a drill without a fault.
    #[serde(default)]
    pub fix: Change,
    /// Changes that look right and are not, each on top of the faulty tree.
    #[serde(default)]
    pub wrong: Vec<WrongFix>,
    /// What runs.
    pub load: LoadSpec,
    /// The trigger: what fails on the faulty tree and passes on a healthy one.
    pub check: Vec<CheckSpec>,
    /// The alert. At least one of them fails within 60 s on the exported tree. Without any, the trigger is meant.
    #[serde(default)]
    pub symptom: Vec<CheckSpec>,
    /// Exactly four: signal, subsystem, mechanism, line.
    pub hint: Vec<Hint>,
    /// How the harm can be stopped before the fix.
    pub mitigation: Option<Mitigation>,
    /// The damage that outlasts the fix.
    pub repair: Option<Repair>,
    /// What the facilitator of a game day has besides the hints.
    #[serde(default)]
    pub host: HostScript,
    /// Changes of the exported tree that belong to no commit.
    #[serde(default)]
    pub tree: TreeChanges,
    /// Written by `cargo drill seal`: the clean text of each file that a replacement touches. `cargo drill refresh` merges with it.
    #[serde(default)]
    pub base: BTreeMap<String, String>,
}

/// A cause: the answer to `diagnose`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// The component at fault.
    pub component: String,
    /// The mechanism.
    pub mechanism: String,
    /// As [`Pack::evidence`].
    pub evidence: Vec<String>,
}

/// A change of the running system. All parts are optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Replacements of text, in order.
    #[serde(default)]
    pub replace: Vec<Replace>,
    /// Added files, by path.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Deleted files.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Variables of the service's environment. They are lines of `deploy/service.env` in the exported tree; an empty value removes the line.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// SQL, run after all migrations.
    pub sql: Option<String>,
}

impl Change {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A commit of the exported history.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// The message. Its first line has at most 72 characters.
    pub message: String,
    /// How many days ago. Earlier commits have greater or equal numbers.
    pub days_ago: u16,
    /// `Name`; without it, one is chosen by the message.
    pub author: Option<String>,
    /// Whether the replacements of [`Pack::fault`] are in this commit, beside its own.
    #[serde(default)]
    pub fault: bool,
    /// Its own replacements.
    #[serde(default)]
    pub replace: Vec<Replace>,
    /// Added files, by path.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Variables of the service's environment, as in [`Change::environment`].
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// A change that looks right.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrongFix {
    /// What it does, as an imperative: "Widen the search radius".
    pub name: String,
    /// Why it is no fix. Printed when it is recognized.
    pub why: String,
    /// Whether it only silences the check: deletes the feature, catches the error, returns early, widens a time-out, turns a check off,
    /// or writes the expected answer into the code. Tricks are not shown by `diagnose --review`.
    #[serde(default)]
    pub trick: bool,
    /// How `check` recognizes it in the user's own diff: `FILE: REGEX`, or `REGEX` for any file. Each is searched in the changed lines
    /// (with their `+` or `-`) of one file at a time, with `.` also matching line ends. Any one suffices.
    #[serde(default)]
    pub recognize: Vec<String>,
    /// Replacements, in order.
    #[serde(default)]
    pub replace: Vec<Replace>,
    /// Added files, by path.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Deleted files.
    #[serde(default)]
    pub remove: Vec<String>,
    /// As [`Change::environment`].
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// As [`Change::sql`].
    pub sql: Option<String>,
}

impl WrongFix {
    /// Returns its change.
    pub fn change(&self) -> Change {
        Change {
            replace: self.replace.clone(),
            add: self.add.clone(),
            remove: self.remove.clone(),
            environment: self.environment.clone(),
            sql: self.sql.clone(),
        }
    }
}

/// A hint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hint {
    /// How far it goes.
    pub kind: HintKind,
    /// The hint.
    pub text: String,
}

/// How far a hint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HintKind {
    /// What to look at.
    Signal,
    /// Where in the service it comes from.
    Subsystem,
    /// What goes wrong there.
    Mechanism,
    /// The file and the function.
    Line,
}

/// Stopping the harm before the fix. What the user does is judged by [`Mitigation::check`]; the rest is the reference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mitigation {
    /// What stops the harm, and what it costs.
    pub explanation: String,
    /// Variables of the service's environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The first line of the message of a commit: the service of the commit before it runs.
    pub roll_back: Option<String>,
    /// What must hold while it is in force. Without any, the trigger.
    #[serde(default)]
    pub check: Vec<CheckSpec>,
}

/// The damage that outlasts the fix, and its repair.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// What is damaged, as the customer sees it.
    pub damage: String,
    /// How it is repaired.
    pub explanation: String,
    /// A query over the damaged database. Each row is one damaged object: an id and a description.
    pub query: String,
    /// The reference repair: requests of an operator, one for each damaged object.
    #[serde(default)]
    pub request: Vec<RepairRequest>,
    /// The reference repair where there is no way by API.
    pub sql: Option<String>,
}

/// A request to the service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepairRequest {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: String,
    /// The path. `{id}` is the first column of [`Repair::query`].
    pub path: String,
    /// The body in JSON. `{id}` is replaced as in the path.
    pub body: Option<String>,
}

/// What the facilitator of a game day has besides the hints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostScript {
    /// A second ticket, to be sent when the team has a theory: it supports or refutes one.
    #[serde(default)]
    pub second_ticket: String,
    /// Questions of the debriefing; without any, general ones.
    #[serde(default)]
    pub debrief: Vec<String>,
}

/// Changes of the exported tree that belong to no commit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeChanges {
    /// Files and folders that are left out: tests and pages that name the guard.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Replacements that take out comments which state the broken rule.
    #[serde(default)]
    pub replace: Vec<Replace>,
}

/// The kinds of evidence that a diagnosis can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EvidenceKind {
    /// A line of the service's log.
    Log,
    /// A sample of `/metrics`, or its change.
    Metric,
    /// A request and its answer.
    Request,
    /// A query and a row that it returned.
    Sql,
    /// A commit of the deploy log.
    Commit,
    /// A place in the source: `src/file.rs:LINE` or a function.
    Source,
    /// A variable of the environment.
    Environment,
}
