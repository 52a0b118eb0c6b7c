//! What reconciliation writes, one transaction each. Every write of a run first extends its lease ([`RunLease::extend`]), so a
//! process that has lost the run writes nothing more.

mod repairs;

use chrono::TimeDelta;

use super::model::SettlementLimits;
use super::model::differences::Difference;
use super::model::findings::{self, Finding, NewRun, Recurrence, Run};
use super::model::kinds::{FindingState, RunScope, RunState};
use super::model::windows::whole_second;
use super::store::{self, CloseFinding, RunStart};
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result, check_version};
use crate::platform::ids::{FindingId, OpsId, RunId};

pub use repairs::{CancelCall, NewRepair, record_outcome, repair};

/// How far a run goes back before the watermark: changes at the provider whose event was lost mostly concern the last hour. Older ones
/// are found by the daily run.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

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
    /// A run from eight days ago is due if the last one started at this time or earlier.
    pub recent_due: MachineTime,
    /// A run of all payments is due if the last one started at this time or earlier.
    pub full_due: MachineTime,
    /// Whether a run is due if none was ever started.
    pub first_is_due: bool,
    /// The id of the new run.
    pub id: RunId,
}

/// Continues the run whose process has ended, or starts the queued run, or a scheduled one if it is due; unless one is running.
///
/// # Errors
/// `one_run_at_a_time` if another process started one at the same time.
pub(super) async fn start(tx: &mut Tx, start: RunStart, schedule: &RunSchedule) -> Result<Option<Run>> {
    if let Some(run) = store::continue_run(tx, (start.now, start.leased_until)).await? {
        return Ok(Some(run));
    }
    if let Some(run) = store::start_queued(tx, start).await? {
        return Ok(Some(run));
    }
    let last = store::last_starts(tx).await?;
    let is_due = last.any.map_or(schedule.first_is_due, |any| any <= schedule.due);
    if !is_due {
        return Ok(None);
    }
    let scope = if last.all.is_none_or(|all| all <= schedule.full_due) {
        (RunScope::All, store::watermark(tx, RunScope::All).await?)
    } else if last.recent.is_none_or(|recent| recent <= schedule.recent_due) {
        (RunScope::Recent, Some(start.recent_since))
    } else {
        (RunScope::Recent, Some(changed_since(tx, start.recent_since).await?))
    };
    store::start_scheduled(tx, schedule.id, scope, start).await
}

/// Returns the time since which the records may have changed after they were compared: an hour before the watermark, but not before
/// `earliest`.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn changed_since(tx: &mut Tx, earliest: MachineTime) -> Result<MachineTime> {
    let reached = store::watermark(tx, RunScope::Recent).await?;
    Ok(reached.map_or(earliest, |reached| (reached - OVERLAP).max(earliest)))
}

/// The lease of a run, as its next write extends it.
#[derive(Debug, Clone, Copy)]
pub struct RunLease {
    /// The run.
    pub run: RunId,
    /// Its fencing token.
    pub token: i64,
    /// The current time.
    pub now: MachineTime,
    /// The end of the extended lease.
    pub until: MachineTime,
}

impl RunLease {
    /// Extends the lease.
    ///
    /// # Errors
    /// If another process has continued or abandoned the run, or the database does not answer.
    pub async fn extend(self, tx: &mut Tx) -> Result<()> {
        store::extend_lease(tx, (self.run, self.token), self.until).await
    }
}

/// A change of a finding after a comparison.
#[derive(Debug, Clone)]
pub enum FindingChange {
    /// The records differ. The id is that of a new finding.
    Record(FindingId, Difference),
    /// The difference of this finding is gone.
    Close(Finding),
}

impl FindingChange {
    /// Returns the subject of the finding.
    pub fn subject(&self) -> &str {
        match self {
            Self::Record(_, difference) => &difference.subject,
            Self::Close(finding) => &finding.difference.subject,
        }
    }
}

/// The number of findings that changes have opened, and ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChangedFindings {
    /// New findings.
    pub found: i64,
    /// Findings whose difference is gone.
    pub ended: i64,
}

/// Changes findings.
///
/// # Errors
/// If the lease was lost, a finding is locked, or the database does not answer.
pub async fn change_findings(tx: &mut Tx, lease: RunLease, changes: &[FindingChange]) -> Result<ChangedFindings> {
    lease.extend(tx).await?;
    let mut changed = ChangedFindings::default();
    for change in changes {
        match change {
            FindingChange::Record(id, difference) => {
                changed.found += i64::from(record_difference(tx, lease.now, (*id, difference)).await?);
            }
            FindingChange::Close(finding) => {
                let state = findings::final_state(finding);
                let end = CloseFinding { id: finding.id, state, at: lease.now, by: None, key_id: None };
                changed.ended += i64::from(store::close_finding(tx, &end).await?);
            }
        }
    }
    Ok(changed)
}

/// Records a difference. Returns whether its finding is new.
async fn record_difference(tx: &mut Tx, now: MachineTime, (id, difference): (FindingId, &Difference)) -> Result<bool> {
    let latest = store::latest_finding(tx, difference.key()).await?;
    match (findings::recurrence(latest.as_ref(), difference), latest) {
        (Recurrence::StillOpen, Some(finding)) => store::update_finding(tx, finding.id, difference, now).await?,
        (Recurrence::Accepted, Some(finding)) => store::record_seen(tx, finding.id, now).await?,
        (Recurrence::New, _) | (_, None) => {
            store::insert_finding(tx, id, difference, now).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Records that the run has compared a window. A run of all payments continues there, even if another one does.
///
/// # Errors
/// If the lease was lost, or the database does not answer.
pub async fn save_progress(tx: &mut Tx, lease: RunLease, run: &Run) -> Result<()> {
    lease.extend(tx).await?;
    store::save_progress(tx, run).await?;
    match (run.scope, run.position) {
        (RunScope::All, Some(position)) => store::set_watermark(tx, RunScope::All, Some(position)).await,
        (RunScope::All, None) | (RunScope::Recent, _) => Ok(()),
    }
}

/// Moves the watermark of recent payments after a comparison that started at `started_at`: to the first payment whose trip was not
/// settled, if there is one. Payments made before `earliest` do not hold it back.
///
/// # Errors
/// If the lease was lost, or the database does not answer.
pub async fn move_watermark(
    tx: &mut Tx,
    lease: RunLease,
    (earliest, started_at): (MachineTime, MachineTime),
) -> Result<()> {
    lease.extend(tx).await?;
    let first = store::first_uncompared(tx, earliest, SettlementLimits::at(lease.now)).await?;
    let reached = whole_second(first.map_or(started_at, |first| first.min(started_at)));
    store::set_watermark(tx, RunScope::Recent, Some(reached)).await
}

/// Ends a run. The next run of all payments then starts with the first one, if this one has compared them all.
///
/// # Errors
/// If the lease was lost, or the database does not answer.
pub async fn finish(tx: &mut Tx, lease: RunLease, (run, state, detail): (&Run, RunState, Option<&str>)) -> Result<()> {
    if run.scope == RunScope::All && state == RunState::Checked {
        store::set_watermark(tx, RunScope::All, None).await?;
    }
    store::finish_run(tx, (lease.run, lease.token), (state, detail), lease.now).await
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
