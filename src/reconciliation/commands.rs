//! What reconciliation writes, one transaction each. Every write of a run first extends its lease ([`store::extend_lease`]), so a
//! run that another process has abandoned writes nothing more.

use std::collections::HashSet;

use uuid::Uuid;

use super::model::differences::Difference;
use super::model::findings::{self, Coverage, Finding, NewRun, Recurrence, Run};
use super::model::kinds::{DifferenceKind, FindingState, RepairRule, RunScope};
use super::store::{self, CloseFinding, NewRepairRow, RunStart};
use crate::payments::commands::import::{RefundImport, UnrecordedRefund, import_refund};
use crate::payments::commands::{recheck_intent, release};
use crate::payments::model::{AttemptOutcome, Hint, Payment, PaymentState};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result, check_version};
use crate::platform::ids::{FindingId, OpsId, RefundId, RunId};

/// The number of open findings that one transaction checks.
const OPEN_BATCH: usize = 1_000;

/// Requests a run. Returns the queued run, and whether it is new: a run that is queued already starts after this request, so it
/// serves the request too.
///
/// # Errors
/// If the database does not answer.
pub async fn request_run(tx: &mut Tx, new: &NewRun) -> Result<(Run, bool)> {
    let key_id = tx.key_id();
    let is_new = store::insert_run(tx, new, key_id).await?;
    // A worker may start the queued run before this reads it; the retry then inserts another one.
    let run = store::queued_run(tx, new.scope).await?.ok_or(Error::StaleWrite("the queued run"))?;
    Ok((run, is_new))
}

/// When a run is due without a request.
#[derive(Debug, Clone, Copy)]
pub struct RunSchedule {
    /// A run is due if the last one started at this time or earlier.
    pub due: MachineTime,
    /// A run of all payments is due if the last one started at this time or earlier.
    pub full_due: MachineTime,
    /// Whether a run is due if none was ever started.
    pub first_is_due: bool,
    /// The id of the new run.
    pub id: RunId,
}

/// Starts the queued run, or a scheduled one if it is due, unless one is running. First abandons a run whose lease has expired.
///
/// # Errors
/// `one_run_at_a_time` if another process started one at the same time.
pub(super) async fn start(tx: &mut Tx, start: RunStart, schedule: &RunSchedule) -> Result<Option<Run>> {
    store::abandon_run(tx, start.now).await?;
    if let Some(run) = store::start_queued(tx, start).await? {
        return Ok(Some(run));
    }
    let (any, full) = store::last_starts(tx).await?;
    let is_due = any.map_or(schedule.first_is_due, |any| any <= schedule.due);
    if !is_due {
        return Ok(None);
    }
    let scope = if full.is_none_or(|full| full <= schedule.full_due) { RunScope::All } else { RunScope::Recent };
    store::start_scheduled(tx, schedule.id, scope, start).await
}

/// The lease of a run, as its next write extends it.
#[derive(Debug, Clone, Copy)]
pub struct RunLease {
    /// The run.
    pub run: RunId,
    /// The current time.
    pub now: MachineTime,
    /// The end of the extended lease.
    pub until: MachineTime,
}

/// Records differences, each with an id for a new finding. Returns the number of new findings.
///
/// # Errors
/// If the run was abandoned, or the database does not answer.
pub async fn record_differences(tx: &mut Tx, lease: RunLease, seen: &[(FindingId, Difference)]) -> Result<i64> {
    store::extend_lease(tx, lease.run, lease.until).await?;
    let mut new = 0;
    for (id, difference) in seen {
        let latest = store::latest_finding(tx, difference.key()).await?;
        match (findings::recurrence(latest.as_ref(), difference), latest) {
            (Recurrence::StillOpen, Some(finding)) => {
                store::update_finding(tx, finding.id, difference, lease.now).await?;
            }
            (Recurrence::Accepted, Some(finding)) => store::record_seen(tx, finding.id, lease.now).await?,
            (Recurrence::New, _) | (_, None) => {
                store::insert_finding(tx, *id, difference, lease.now).await?;
                new += 1;
            }
        }
    }
    Ok(new)
}

/// The differences that a run found, and what it compared.
#[derive(Debug)]
pub struct RunObservations {
    /// Kind and subject of every difference.
    pub differences: HashSet<(DifferenceKind, String)>,
    /// What was compared.
    pub coverage: Coverage,
}

/// The result of checking one batch of open findings.
#[derive(Debug, Clone, Copy)]
pub struct CheckedBatch {
    /// The number of findings that were closed.
    pub closed: i64,
    /// The last finding of the batch; `None` after the last batch.
    pub next: Option<FindingId>,
}

/// Closes the open findings of one batch, those after `after`, that the run covered and did not find again.
///
/// # Errors
/// If the run was abandoned, or the database does not answer.
pub async fn close_absent_findings(
    tx: &mut Tx,
    lease: RunLease,
    after: FindingId,
    observations: &RunObservations,
) -> Result<CheckedBatch> {
    store::extend_lease(tx, lease.run, lease.until).await?;
    let open = store::open_findings(tx, after, i64::try_from(OPEN_BATCH).unwrap_or(i64::MAX)).await?;
    let next = open.get(OPEN_BATCH - 1).map(|last| last.id);
    let mut closed = 0;
    for finding in open {
        let Difference { kind, ref subject, .. } = finding.difference;
        if observations.differences.contains(&(kind, subject.clone())) {
            continue;
        }
        if let Some(state) = findings::final_state(&finding, &observations.coverage) {
            let end = CloseFinding { id: finding.id, state, at: lease.now, by: None, key_id: None };
            closed += i64::from(store::close_finding(tx, &end).await?);
        }
    }
    Ok(CheckedBatch { closed, next })
}

/// A repair to make, with the ids that it may need.
#[derive(Debug, Clone, Copy)]
pub struct NewRepair {
    /// The finding.
    pub finding_id: FindingId,
    /// The id of the repair; it is also the idempotency key of its call.
    pub id: Uuid,
    /// The id of an adopted refund.
    pub refund_id: RefundId,
    /// The current domain time.
    pub domain_now: DomainTime,
}

/// A call to the provider that is recorded and can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelCall {
    /// The repair.
    pub repair: Uuid,
    /// The intent to cancel.
    pub intent: String,
    /// The `Idempotency-Key` to send.
    pub key: String,
}

/// Applies the rule of a finding. Changes our side in this transaction; returns the call to the provider if the rule needs one.
///
/// # Errors
/// If the run was abandoned, or the database does not answer.
pub async fn repair(tx: &mut Tx, lease: RunLease, new: &NewRepair) -> Result<Option<CancelCall>> {
    store::extend_lease(tx, lease.run, lease.until).await?;
    let finding = store::lock_finding(tx, new.finding_id).await?;
    let Some(finding) = finding.filter(findings::is_repairable) else { return Ok(None) };
    let key = new.id.to_string();
    let calls = finding.difference.repair == RepairRule::CancelIntent;
    let row = NewRepairRow {
        id: new.id,
        finding_id: finding.id,
        run_id: lease.run,
        repair: finding.difference.repair,
        key: calls.then_some(key.as_str()),
        at: lease.now,
    };
    store::insert_repair(tx, row).await?;
    let refused = match apply(tx, lease, new, &finding).await? {
        Applied::Cancel(intent) => return Ok(Some(CancelCall { repair: new.id, intent, key })),
        Applied::Done => None,
        Applied::Refused(why) => Some(why),
    };
    let outcome = if refused.is_some() { AttemptOutcome::Declined } else { AttemptOutcome::Succeeded };
    store::finish_repair(tx, new.id, (outcome, refused), lease.now).await?;
    Ok(None)
}

/// The effect of a rule.
enum Applied {
    Done,
    Refused(&'static str),
    /// The intent has to be canceled at the provider.
    Cancel(String),
}

async fn apply(tx: &mut Tx, lease: RunLease, new: &NewRepair, finding: &Finding) -> Result<Applied> {
    let found = &finding.difference;
    match (found.repair, &found.intent_id, found.payment_id, found.trip_id) {
        (RepairRule::LookAgain, Some(intent), ..) => {
            recheck_intent(tx, intent, Hint::Charge, lease.now).await?;
            Ok(Applied::Done)
        }
        (RepairRule::Release, _, _, Some(trip)) => {
            release(tx, trip, lease.now).await?;
            Ok(Applied::Done)
        }
        (RepairRule::CancelIntent, Some(intent), Some(payment), _) => {
            let payment = crate::payments::store::lock_payment(tx, payment).await?;
            match payment.is_some_and(|payment| is_unneeded(&payment, intent)) {
                true => Ok(Applied::Cancel(intent.clone())),
                false => Ok(Applied::Refused("the payment has changed and may need the intent")),
            }
        }
        (RepairRule::AdoptRefund, _, Some(payment_id), _) => {
            let refund = UnrecordedRefund {
                provider_id: found.subject.clone(),
                payment_id,
                known: found.refund_id,
                new_id: new.refund_id,
                amount: found.amounts.map_or(0, |(_, theirs)| theirs),
            };
            match import_refund(tx, &refund, new.domain_now, lease.now).await? {
                RefundImport::Imported => Ok(Applied::Done),
                RefundImport::Rejected(why) => Ok(Applied::Refused(why)),
            }
        }
        (
            RepairRule::None
            | RepairRule::LookAgain
            | RepairRule::Release
            | RepairRule::CancelIntent
            | RepairRule::AdoptRefund,
            ..,
        ) => Ok(Applied::Refused("the finding lacks what the rule needs")),
    }
}

/// Returns whether `payment` will never need `intent`, which was made for it. A payment that is over never changes, nor does the id
/// of its intent, so a true result stays true.
fn is_unneeded(payment: &Payment, intent: &str) -> bool {
    match payment.provider_intent_id.as_deref() {
        Some(own) if own == intent => {
            matches!(
                payment.state,
                PaymentState::Declined | PaymentState::Voided | PaymentState::AuthExpired | PaymentState::CaptureFailed
            )
        }
        Some(_) => true,
        None => payment.state.is_terminal(),
    }
}

/// Records the outcome of a call.
///
/// # Errors
/// If the run was abandoned, or the database does not answer.
pub async fn record_outcome(
    tx: &mut Tx,
    lease: RunLease,
    repair: Uuid,
    (outcome, detail): &(AttemptOutcome, Option<String>),
) -> Result<()> {
    store::extend_lease(tx, lease.run, lease.until).await?;
    store::finish_repair(tx, repair, (*outcome, detail.as_deref()), lease.now).await
}

/// Ends a run.
///
/// # Errors
/// If it was abandoned, or the database does not answer.
pub async fn finish(tx: &mut Tx, run: &Run, now: MachineTime) -> Result<()> {
    store::finish_run(tx, run, now).await
}

/// An operator's decision to close a finding.
#[derive(Debug, Clone)]
pub struct FindingResolution {
    /// The finding.
    pub id: FindingId,
    /// The operator.
    pub by: OpsId,
    /// The reason.
    pub note: String,
    /// The versions that the finding may have.
    pub if_version: IfMatch,
    /// The current time.
    pub at: MachineTime,
}

/// Resolves an open finding. The difference becomes a new finding only if its amounts change.
///
/// # Errors
/// 404 if it does not exist; 409 `invalid_transition` if it is not open; 412.
pub async fn resolve(tx: &mut Tx, resolution: &FindingResolution) -> Result<Finding> {
    let FindingResolution { id, by, ref note, ref if_version, at } = *resolution;
    let finding = store::lock_finding(tx, id).await?.ok_or_else(|| Refusal::not_found("finding"))?;
    check_version("finding", finding.version, if_version)?;
    let end = CloseFinding { id, state: FindingState::Resolved, at, by: Some((by, note.clone())), key_id: tx.key_id() };
    if !store::close_finding(tx, &end).await? {
        let state = finding.state.as_str();
        let detail = format!("Cannot resolve: the finding is {state}.");
        return Err(Refusal::new(Code::InvalidTransition, detail).with("state", state).into());
    }
    store::finding(tx, id).await?.ok_or_else(|| Error::Bug(format!("{id} is gone")))
}
