//! Runs, findings and what waits for a person, as JSON. Values in, DTOs out; nothing is looked up here.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ops::model::findings::{Counts, Finding, Run};
use crate::ops::store::{Attention, RepairRow};
use crate::platform::clock::MachineTime;
use crate::platform::ids::{FindingId, OpsId, PaymentId, RunId, TripId};

/// What differs from the provider's books, and what waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct OverviewBody {
    /// The run that was asked for or begun last; `null` before the first one.
    pub last_run: Option<RunBody>,
    /// The last run that came to know something: the findings are of its time.
    pub last_checked_run: Option<RunBody>,
    /// How many findings are open, by kind; kinds that have none are left out.
    pub open: BTreeMap<String, i64>,
    /// Open findings: the books differ, and no rule has helped so far.
    pub findings: Listed<FindingBody>,
    /// Payments, refunds, trips and deliveries that do not go on by themselves.
    pub attention: Listed<AttentionBody>,
}

/// The first hundred of a list, and how long it is.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct Listed<T> {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub items: Vec<T>,
}

/// A difference between the books, from the first run that saw it to its end. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct FindingBody {
    id: FindingId,
    /// In what the books differ; `docs/reconciliation.md` explains each.
    #[schema(value_type = String, example = "held_there_trip_over")]
    kind: &'static str,
    /// The provider's id of the thing, where it has one, else ours.
    #[schema(example = "pi_3Nqz")]
    subject: String,
    /// What differs; reads on from the subject.
    #[schema(example = "holds 1000 USD, and the trip is over")]
    what: String,
    /// `open`, `repaired` or `resolved`.
    #[schema(value_type = String)]
    state: &'static str,
    payment_id: Option<PaymentId>,
    trip_id: Option<TripId>,
    /// The provider's intent.
    intent_id: Option<String>,
    /// What our books say, minor units, where the difference is one of amounts.
    ours: Option<i64>,
    /// What the provider's books say, minor units.
    theirs: Option<i64>,
    currency: Option<String>,
    /// The rule that covers it: `none`, `look_again`, `release`, `cancel_intent` or `adopt_refund`.
    #[schema(value_type = String)]
    repair: &'static str,
    /// How often it was applied. After five times it is a person's.
    repairs_tried: i64,
    first_seen_at: MachineTime,
    last_seen_at: MachineTime,
    /// When it was repaired or resolved.
    ended_at: Option<MachineTime>,
    /// The operator who resolved it; `null` if it went away by itself.
    #[schema(value_type = Option<String>)]
    resolved_by: Option<OpsId>,
    /// Why.
    note: Option<String>,
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let (ours, theirs) = finding.figures.unzip();
        Self {
            id: finding.id,
            kind: finding.kind.as_str(),
            subject: finding.subject,
            what: finding.what,
            state: finding.state.as_str(),
            payment_id: finding.payment_id,
            trip_id: finding.trip_id,
            intent_id: finding.intent_id,
            ours,
            theirs,
            currency: finding.currency,
            repair: finding.repair.as_str(),
            repairs_tried: finding.repairs_tried,
            first_seen_at: finding.first_seen_at,
            last_seen_at: finding.last_seen_at,
            ended_at: finding.ended_at,
            resolved_by: finding.resolved_by,
            note: finding.note,
        }
    }
}

/// A finding, and what was done about it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct FindingDetail {
    #[serde(flatten)]
    pub finding: FindingBody,
    /// In order.
    pub repairs: Vec<RepairBody>,
}

/// What a run did about a finding. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct RepairBody {
    run_id: RunId,
    repair: String,
    /// `started`, `succeeded`, `declined`, `not_sent` or `unknown`. Whatever it says, the next run sees from the provider's books
    /// what became of it.
    outcome: String,
    detail: Option<String>,
    started_at: MachineTime,
    finished_at: Option<MachineTime>,
}

impl From<RepairRow> for RepairBody {
    fn from(row: RepairRow) -> Self {
        let RepairRow { run_id, repair, outcome, detail, started_at, finished_at } = row;
        Self { run_id, repair, outcome, detail, started_at, finished_at }
    }
}

/// One comparison of the books. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct RunBody {
    id: RunId,
    /// `recent`: payments of the last days; `all`.
    #[schema(value_type = String)]
    scope: &'static str,
    /// The operator who asked for it; `null`: the schedule.
    #[schema(value_type = Option<String>)]
    asked_by: Option<OpsId>,
    /// `asked`, `running`, `checked`; `unchecked`: the provider did not show its books; `abandoned`: its process is gone.
    #[schema(value_type = String)]
    state: &'static str,
    asked_at: MachineTime,
    started_at: Option<MachineTime>,
    finished_at: Option<MachineTime>,
    /// How long it took.
    duration_ms: Option<i64>,
    /// It compares payments made since then; everything if `null`.
    since: Option<MachineTime>,
    /// Payments of ours that were compared.
    payments: i64,
    /// Trips that are over and have unfinished work; they are compared when it is done.
    unsettled: i64,
    /// Intents of the provider.
    intents: i64,
    /// Of these, made by somebody else who uses the account, for no payment at all. They are left alone.
    foreign_intents: i64,
    /// Refunds of the provider.
    refunds: i64,
    /// Differences.
    differences: i64,
    /// Differences that no run had seen before.
    found: i64,
    /// Repairs that were tried.
    repairs: i64,
    /// Findings that are gone.
    ended: i64,
    /// Why it is unchecked.
    detail: Option<String>,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        let Counts { payments, unsettled, intents, foreign_intents, refunds, differences, found, repairs, ended } =
            run.counts;
        let duration = run.started_at.zip(run.finished_at).map(|(from, to)| to.since(from).num_milliseconds());
        Self {
            id: run.id,
            scope: run.scope.as_str(),
            asked_by: run.asked_by,
            state: run.state.as_str(),
            asked_at: run.asked_at,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: duration,
            since: run.since,
            payments,
            unsettled,
            intents,
            foreign_intents,
            refunds,
            differences,
            found,
            repairs,
            ended,
            detail: run.detail,
        }
    }
}

/// Something that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct AttentionBody {
    #[schema(example = "pay_01jd3n9k8zf4r8x2v5m7q0w1et")]
    subject: String,
    trip_id: Option<TripId>,
    /// Why; reads on from the subject.
    what: String,
}

impl From<Attention> for AttentionBody {
    fn from(attention: Attention) -> Self {
        let Attention { subject, trip_id, what } = attention;
        Self { subject, trip_id, what }
    }
}
