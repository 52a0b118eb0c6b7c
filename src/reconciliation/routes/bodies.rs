//! The JSON bodies of runs, findings and the review queue.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::payments::model::AttemptOutcome;
use crate::platform::clock::MachineTime;
use crate::platform::ids::{FindingId, OpsId, PaymentId, RunId, TripId};
use crate::reconciliation::model::differences::Difference;
use crate::reconciliation::model::findings::{Finding, Run, RunCounts};
use crate::reconciliation::model::kinds::{DifferenceKind, FindingState, RepairRule, RunScope, RunState};
use crate::reconciliation::store::{RepairRow, ReviewItem};

/// The open findings and the review queue.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct OverviewBody {
    /// The latest run; `null` before the first one.
    pub last_run: Option<RunBody>,
    /// The latest run that compared the records; the findings are from then.
    pub last_checked_run: Option<RunBody>,
    /// The number of open findings by kind, without kinds that have none.
    pub open: BTreeMap<String, i64>,
    /// Open findings: the records differ, and no rule has repaired them yet.
    pub findings: CountedItems<FindingBody>,
    /// Payments, refunds, trips and deliveries that need an operator's decision.
    pub needs_review: CountedItems<ReviewItemBody>,
}

/// The first hundred items of a list, and their total number.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct CountedItems<T> {
    /// The total number.
    pub total: u64,
    /// The first hundred items.
    #[schema(max_items = 100)]
    pub items: Vec<T>,
}

/// A difference between our records and the provider's. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct FindingBody {
    /// The finding.
    id: FindingId,
    /// How the records differ.
    kind: DifferenceKind,
    /// The provider's id of the object if there is one, else ours.
    #[schema(max_length = 255, example = "pi_3Nqz")]
    subject: String,
    /// What differs, as a predicate of the subject.
    #[schema(max_length = 1000, example = "holds 1000 USD, and the trip is over")]
    detail: String,
    /// The finding's state.
    state: FindingState,
    /// The payment; `null` if it is not one of ours.
    payment_id: Option<PaymentId>,
    /// The trip; `null` if it is not one of ours.
    trip_id: Option<TripId>,
    /// The provider's intent; `null` if there is none.
    #[schema(max_length = 255, example = "pi_3Nqz")]
    intent_id: Option<String>,
    /// The amount in our records, minor units; `null` if the difference is not about amounts.
    ours: Option<i64>,
    /// The amount in the provider's records, minor units.
    theirs: Option<i64>,
    /// ISO 4217 code of both amounts.
    #[schema(pattern = "^[A-Z]{3}$", example = "USD")]
    currency: Option<String>,
    /// The rule that repairs it.
    repair: RepairRule,
    /// How often the rule was applied. After five attempts an operator has to decide.
    #[schema(minimum = 0)]
    repairs_tried: i64,
    /// When a run first found it (machine time).
    first_seen_at: MachineTime,
    /// When a run last found it (machine time).
    last_seen_at: MachineTime,
    /// When it was repaired or resolved (machine time); `null` while it is open.
    ended_at: Option<MachineTime>,
    /// The operator who resolved it; `null` if the difference disappeared.
    resolved_by: Option<OpsId>,
    /// The operator's reason; `null` without one.
    #[schema(max_length = 500)]
    note: Option<String>,
}

impl From<Finding> for FindingBody {
    fn from(finding: Finding) -> Self {
        let Difference {
            kind,
            subject,
            payment_id,
            trip_id,
            intent_id,
            refund_id: _,
            currency,
            amounts,
            detail,
            repair,
        } = finding.difference;
        let (ours, theirs) = amounts.unzip();
        Self {
            id: finding.id,
            kind,
            subject,
            detail,
            state: finding.state,
            payment_id,
            trip_id,
            intent_id,
            ours,
            theirs,
            currency,
            repair,
            repairs_tried: finding.repairs_tried,
            first_seen_at: finding.first_seen_at,
            last_seen_at: finding.last_seen_at,
            ended_at: finding.ended_at,
            resolved_by: finding.resolved_by,
            note: finding.note,
        }
    }
}

/// A finding with its repairs.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct FindingDetail {
    #[serde(flatten)]
    pub finding: FindingBody,
    /// The repairs that runs made, in order.
    #[schema(max_items = 1000)]
    pub repairs: Vec<RepairBody>,
}

/// A repair of a finding. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct RepairBody {
    /// The run that made it.
    run_id: RunId,
    /// The rule that was applied.
    #[schema(value_type = RepairRule)]
    repair: String,
    /// Its outcome. If it is unknown, the next run sees from the provider's records what happened.
    #[schema(value_type = AttemptOutcome)]
    outcome: String,
    /// The reason of the outcome; `null` without one.
    #[schema(max_length = 1000)]
    detail: Option<String>,
    /// When it started (machine time).
    started_at: MachineTime,
    /// When its outcome was recorded (machine time); `null` before.
    finished_at: Option<MachineTime>,
}

impl From<RepairRow> for RepairBody {
    fn from(row: RepairRow) -> Self {
        let RepairRow { run_id, repair, outcome, detail, started_at, finished_at } = row;
        Self { run_id, repair, outcome, detail, started_at, finished_at }
    }
}

/// One comparison of the records. Times are machine time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct RunBody {
    /// The run.
    id: RunId,
    /// The payments that it compares.
    scope: RunScope,
    /// The operator who requested it; `null` for a scheduled run.
    requested_by: Option<OpsId>,
    /// The run's state.
    state: RunState,
    /// When it was requested (machine time).
    requested_at: MachineTime,
    /// When it started (machine time); `null` before.
    started_at: Option<MachineTime>,
    /// When it ended (machine time); `null` before.
    finished_at: Option<MachineTime>,
    /// How long it took, milliseconds; `null` before its end.
    #[schema(minimum = 0)]
    duration_ms: Option<i64>,
    /// It compares payments, refunds and disputes made since then (machine time); everything if `null`. A run over all payments that ended
    /// early is continued by the next one.
    since: Option<MachineTime>,
    /// Our payments that were made in the compared windows.
    #[schema(minimum = 0)]
    payments: i64,
    /// Trips that are over and have open work; a later run compares their payments.
    #[schema(minimum = 0)]
    unsettled: i64,
    /// The provider's intents.
    #[schema(minimum = 0)]
    intents: i64,
    /// The intents among them that name no payment: another system uses the account. They are never changed.
    #[schema(minimum = 0)]
    foreign_intents: i64,
    /// The provider's refunds.
    #[schema(minimum = 0)]
    refunds: i64,
    /// Differences.
    #[schema(minimum = 0)]
    differences: i64,
    /// New findings.
    #[schema(minimum = 0)]
    found: i64,
    /// Attempted repairs.
    #[schema(minimum = 0)]
    repairs: i64,
    /// Findings whose difference is gone.
    #[schema(minimum = 0)]
    ended: i64,
    /// Windows of time that were compared: a day each, or less if it has many payments.
    #[schema(minimum = 0)]
    windows: i64,
    /// Findings that could not be recorded, closed or repaired, for example because they were locked. The next run tries again.
    #[schema(minimum = 0)]
    failed: i64,
    /// Why the run is unchecked or incomplete; `null` otherwise.
    #[schema(max_length = 1000)]
    detail: Option<String>,
}

impl From<Run> for RunBody {
    fn from(run: Run) -> Self {
        let RunCounts {
            payments,
            unsettled,
            intents,
            foreign_intents,
            refunds,
            differences,
            found,
            repairs,
            ended,
            windows,
            failed,
        } = run.counts;
        let duration = run.started_at.zip(run.finished_at).map(|(from, to)| to.since(from).num_milliseconds());
        Self {
            id: run.id,
            scope: run.scope,
            requested_by: run.requested_by,
            state: run.state,
            requested_at: run.requested_at,
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
            windows,
            failed,
            detail: run.detail,
        }
    }
}

/// An object that needs an operator's decision.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::reconciliation::routes) struct ReviewItemBody {
    /// The id of the object: a payment, refund or trip of ours, or an event of the provider.
    #[schema(max_length = 255, example = "pay_01jd3n9k8zf4r8x2v5m7q0w1ev")]
    subject: String,
    /// The trip that it belongs to; `null` without one.
    trip_id: Option<TripId>,
    /// Why it needs review, as a predicate of the subject.
    #[schema(max_length = 1000)]
    detail: String,
}

impl From<ReviewItem> for ReviewItemBody {
    fn from(item: ReviewItem) -> Self {
        let ReviewItem { subject, trip_id, detail } = item;
        Self { subject, trip_id, detail }
    }
}
