//! Runs, findings and what waits for a person, as JSON. Values in, DTOs out; nothing is looked up here.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::ops::model::findings::{Counts, Finding, Run};
use crate::ops::model::kinds::{FindingState, Kind, Repair, RunState, Scope};
use crate::ops::store::{Attention, RepairRow};
use crate::payments::model::Outcome;
use crate::platform::clock::MachineTime;
use crate::platform::http::names::published;
use crate::platform::ids::{FindingId, OpsId, PaymentId, RunId, TripId};

published! {
    /// In what the books differ; `docs/reconciliation.md` explains each.
    FindingKind = Kind::ALL.iter().map(|kind| kind.as_str());
    /// How a finding stands: the books differ still (`open`); a rule was applied, and they do not any more (`repaired`); a person
    /// says that it is done with, or it went away by itself (`resolved`).
    FindingStatus = FindingState::ALL.iter().map(|state| state.as_str());
    /// What a rule does about a finding: nothing, a person has to look; look at the provider's intent again; release the payment of a
    /// trip that is over; cancel an intent that nobody wants; write a refund down that our books know nothing of.
    FindingRepair = Repair::ALL.iter().map(|repair| repair.as_str());
    /// How an attempt at a repair ended. Whatever it says, the next run sees from the provider's books what became of it.
    RepairOutcome = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    /// Which payments a run compares: those of the last eight days, or all.
    RunScope = Scope::ALL.iter().map(|scope| scope.as_str());
    /// How a run stands: it waits for a worker (`asked`), is under way (`running`), has compared the books (`checked`), could not,
    /// because the provider did not show its own (`unchecked`), or its process is gone (`abandoned`).
    RunStatus = RunState::ALL.iter().map(|state| state.as_str());
}

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
    /// The first hundred of them.
    #[schema(max_items = 100)]
    pub items: Vec<T>,
}

/// A difference between the books, from the first run that saw it to its end. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct FindingBody {
    /// The finding.
    id: FindingId,
    /// In what the books differ.
    #[schema(value_type = FindingKind)]
    kind: &'static str,
    /// The provider's id of the thing, where it has one, else ours.
    #[schema(max_length = 255, example = "pi_3Nqz")]
    subject: String,
    /// What differs; reads on from the subject.
    #[schema(max_length = 1000, example = "holds 1000 USD, and the trip is over")]
    what: String,
    /// How it stands.
    #[schema(value_type = FindingStatus)]
    state: &'static str,
    /// The payment; `null` if it is about none of ours.
    payment_id: Option<PaymentId>,
    /// The trip; `null` if it is about none of ours.
    trip_id: Option<TripId>,
    /// The provider's intent; `null` if there is none.
    #[schema(max_length = 255, example = "pi_3Nqz")]
    intent_id: Option<String>,
    /// What our books say, minor units, where the difference is one of amounts.
    ours: Option<i64>,
    /// What the provider's books say, minor units.
    theirs: Option<i64>,
    /// ISO 4217 code of both amounts.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Option<String>,
    /// The rule that covers it.
    #[schema(value_type = FindingRepair)]
    repair: &'static str,
    /// How often it was applied. After five times it is a person's.
    #[schema(minimum = 0)]
    repairs_tried: i64,
    /// When a run saw it first (machine time).
    first_seen_at: MachineTime,
    /// When a run saw it last (machine time).
    last_seen_at: MachineTime,
    /// When it was repaired or resolved (machine time); `null` while it is open.
    ended_at: Option<MachineTime>,
    /// The operator who resolved it; `null` if it went away by itself.
    resolved_by: Option<OpsId>,
    /// What the operator wrote; `null` without one.
    #[schema(max_length = 500)]
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
    /// What runs did about it, in order.
    #[schema(max_items = 1000)]
    pub repairs: Vec<RepairBody>,
}

/// What a run did about a finding. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::ops::routes) struct RepairBody {
    /// The run that did it.
    run_id: RunId,
    /// The rule that was applied.
    #[schema(value_type = FindingRepair)]
    repair: String,
    /// How it ended.
    #[schema(value_type = RepairOutcome)]
    outcome: String,
    /// What the provider said; `null` if nothing.
    #[schema(max_length = 1000)]
    detail: Option<String>,
    /// When it was begun (machine time).
    started_at: MachineTime,
    /// When it ended (machine time); `null` while it is not known.
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
    /// The run.
    id: RunId,
    /// Which payments it compares.
    #[schema(value_type = RunScope)]
    scope: &'static str,
    /// The operator who asked for it; `null`: the schedule.
    asked_by: Option<OpsId>,
    /// How it stands.
    #[schema(value_type = RunStatus)]
    state: &'static str,
    /// When it was asked for (machine time).
    asked_at: MachineTime,
    /// When it began (machine time); `null` before.
    started_at: Option<MachineTime>,
    /// When it ended (machine time); `null` before.
    finished_at: Option<MachineTime>,
    /// How long it took, milliseconds; `null` before its end.
    #[schema(minimum = 0)]
    duration_ms: Option<i64>,
    /// It compares payments made since then (machine time); everything if `null`.
    since: Option<MachineTime>,
    /// Payments of ours that were compared.
    #[schema(minimum = 0)]
    payments: i64,
    /// Trips that are over and have unfinished work; they are compared when it is done.
    #[schema(minimum = 0)]
    unsettled: i64,
    /// Intents of the provider.
    #[schema(minimum = 0)]
    intents: i64,
    /// Of these, made by somebody else who uses the account, for no payment at all. They are left alone.
    #[schema(minimum = 0)]
    foreign_intents: i64,
    /// Refunds of the provider.
    #[schema(minimum = 0)]
    refunds: i64,
    /// Differences.
    #[schema(minimum = 0)]
    differences: i64,
    /// Differences that no run had seen before.
    #[schema(minimum = 0)]
    found: i64,
    /// Repairs that were tried.
    #[schema(minimum = 0)]
    repairs: i64,
    /// Findings that are gone.
    #[schema(minimum = 0)]
    ended: i64,
    /// Why it is unchecked; `null` if it is not.
    #[schema(max_length = 1000)]
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
    /// The id of the thing: a payment, refund or trip of ours, or an event of the provider.
    #[schema(max_length = 255, example = "pay_01jd3n9k8zf4r8x2v5m7q0w1ev")]
    subject: String,
    /// The trip that it belongs to; `null` if it belongs to none.
    trip_id: Option<TripId>,
    /// Why it waits; reads on from the subject.
    #[schema(max_length = 1000)]
    what: String,
}

impl From<Attention> for AttentionBody {
    fn from(attention: Attention) -> Self {
        let Attention { subject, trip_id, what } = attention;
        Self { subject, trip_id, what }
    }
}
