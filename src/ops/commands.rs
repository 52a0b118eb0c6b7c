//! What reconciliation writes, each in one transaction: a run from its beginning to its end, what it found, what was done about it,
//! and what an operator says to it. A run's writes make sure first that it is still its process's ([`store::hold_run`]).

use std::collections::HashSet;

use uuid::Uuid;

use super::model::books::Difference;
use super::model::findings::{self, Finding, Looked, Run, Sight};
use super::model::kinds::{FindingState, Kind, Repair, Scope};
use super::store::{self, Ask, End, Start, StartRepair};
use crate::payments::commands::adopt::{Adoption, FoundRefund, adopt_refund};
use crate::payments::commands::{hint, release};
use crate::payments::model::{Outcome, Payment, State};
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{FindingId, OpsId, RefundId, RunId};

/// Open findings that one transaction looks through for what is gone.
const OPEN_BATCH: usize = 1_000;

/// Asks for a run. One that waits for a worker already will start after this, so it is the answer: then the second value is false.
///
/// # Errors
/// If the database does not answer.
pub async fn ask(tx: &mut Tx, ask: &NewRun) -> Result<(Run, bool)> {
    let row = Ask { id: ask.id, scope: ask.scope, by: ask.by, at: ask.at, key_id: tx.key_id() };
    let is_new = store::ask_run(tx, &row).await?;
    // By the time we look it may have begun: then the next look inserts.
    let run = store::widen_asked(tx, ask.scope).await?.ok_or(Error::Overtaken("the run that waits"))?;
    Ok((run, is_new))
}

/// A run that an operator asks for.
#[derive(Debug, Clone, Copy)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Which payments it compares.
    pub scope: Scope,
    /// The operator.
    pub by: OpsId,
    /// The time.
    pub at: MachineTime,
}

/// When a process may begin a run of its own accord.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// A run that began at this moment or earlier was long enough ago.
    pub due: MachineTime,
    /// A run of everything that began at this moment or earlier was long enough ago.
    pub whole_due: MachineTime,
    /// Whether a run is due though none has ever begun.
    pub first_is_due: bool,
    /// The id of the run.
    pub id: RunId,
}

/// Begins a run, if one is asked for or due and none is running. A run whose process is gone is given up first.
///
/// # Errors
/// `one_run_at_a_time` if another process was faster.
pub(super) async fn start(tx: &mut Tx, start: Start, schedule: &Schedule) -> Result<Option<Run>> {
    store::abandon_run(tx, start.now).await?;
    if let Some(run) = store::start_asked(tx, start).await? {
        return Ok(Some(run));
    }
    let (any, whole) = store::last_starts(tx).await?;
    let is_due = any.map_or(schedule.first_is_due, |any| any <= schedule.due);
    if !is_due {
        return Ok(None);
    }
    let scope = if whole.is_none_or(|whole| whole <= schedule.whole_due) { Scope::All } else { Scope::Recent };
    store::start_scheduled(tx, schedule.id, scope, start).await
}

/// A run that writes, and until when it is leased from this write on.
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    /// The run.
    pub run: RunId,
    /// The time.
    pub now: MachineTime,
    /// Until when.
    pub until: MachineTime,
}

/// Writes differences that were seen, each with the id of a finding should it be new; returns how many were.
///
/// # Errors
/// If the run was given up, or the database does not answer.
pub async fn record(tx: &mut Tx, holder: Holder, seen: &[(FindingId, Difference)]) -> Result<i64> {
    store::hold_run(tx, holder.run, holder.until).await?;
    let mut new = 0;
    for (id, difference) in seen {
        let latest = store::latest_finding(tx, difference.key()).await?;
        match (findings::sight(latest.as_ref(), difference), latest) {
            (Sight::Again, Some(finding)) => store::see_finding(tx, finding.id, difference, holder.now).await?,
            (Sight::Accepted, Some(finding)) => store::note_seen(tx, finding.id, holder.now).await?,
            (Sight::New, _) | (_, None) => {
                store::insert_finding(tx, *id, difference, holder.now).await?;
                new += 1;
            }
        }
    }
    Ok(new)
}

/// What a run has seen, and where it has looked.
#[derive(Debug)]
pub struct Survey {
    /// Kind and subject of every difference.
    pub seen: HashSet<(Kind, String)>,
    /// What was compared.
    pub looked: Looked,
}

/// A batch of open findings was looked through.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// How many of them were gone.
    pub count: i64,
    /// Where the next batch begins; `None` after the last one.
    pub next: Option<FindingId>,
}

/// Ends the open findings that were looked for and not seen, of a batch that begins after the finding `after`.
///
/// # Errors
/// If the run was given up, or the database does not answer.
pub async fn end_gone(tx: &mut Tx, holder: Holder, after: FindingId, survey: &Survey) -> Result<Ended> {
    store::hold_run(tx, holder.run, holder.until).await?;
    let open = store::open_findings(tx, after, i64::try_from(OPEN_BATCH).unwrap_or(i64::MAX)).await?;
    let next = open.get(OPEN_BATCH - 1).map(|last| last.id);
    let mut count = 0;
    for finding in open {
        if survey.seen.contains(&(finding.kind, finding.subject.clone())) {
            continue;
        }
        if let Some(state) = findings::end(&finding, &survey.looked) {
            let end = End { id: finding.id, state, at: holder.now, by: None, key_id: None };
            count += i64::from(store::end_finding(tx, &end).await?);
        }
    }
    Ok(Ended { count, next })
}

/// A rule that is to be applied to a finding, with what it may need.
#[derive(Debug, Clone, Copy)]
pub struct NewRepair {
    /// The finding.
    pub finding_id: FindingId,
    /// The id of the repair, and the key of its call.
    pub id: Uuid,
    /// The id of a refund, should one be adopted.
    pub refund_id: RefundId,
    /// Domain time.
    pub domain_now: DomainTime,
}

/// A call to the provider that stands committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelCall {
    /// The repair's id.
    pub repair: Uuid,
    /// The intent to cancel.
    pub intent: String,
    /// The `Idempotency-Key` to send.
    pub key: String,
}

/// Applies the rule that covers a finding. What our own books need is done here; a call to the provider is committed to, and
/// returned.
///
/// # Errors
/// If the run was given up, or the database does not answer.
pub async fn repair(tx: &mut Tx, holder: Holder, new: &NewRepair) -> Result<Option<CancelCall>> {
    store::hold_run(tx, holder.run, holder.until).await?;
    let finding = store::lock_finding(tx, new.finding_id).await?;
    let Some(finding) = finding.filter(findings::is_repairable) else { return Ok(None) };
    let key = new.id.to_string();
    let calls = finding.repair == Repair::CancelIntent;
    let start = StartRepair {
        id: new.id,
        finding_id: finding.id,
        run_id: holder.run,
        repair: finding.repair,
        key: calls.then_some(key.as_str()),
        at: holder.now,
    };
    store::start_repair(tx, start).await?;
    let refused = match apply(tx, holder, new, &finding).await? {
        Applied::Call(intent) => return Ok(Some(CancelCall { repair: new.id, intent, key })),
        Applied::Done => None,
        Applied::Not(why) => Some(why),
    };
    let outcome = if refused.is_some() { Outcome::Declined } else { Outcome::Succeeded };
    store::finish_repair(tx, new.id, (outcome, refused), holder.now).await?;
    Ok(None)
}

enum Applied {
    Done,
    Not(&'static str),
    Call(String),
}

async fn apply(tx: &mut Tx, holder: Holder, new: &NewRepair, finding: &Finding) -> Result<Applied> {
    match (finding.repair, &finding.intent_id, finding.payment_id, finding.trip_id) {
        (Repair::LookAgain, Some(intent), ..) => {
            hint(tx, intent, holder.now).await?;
            Ok(Applied::Done)
        }
        (Repair::Release, _, _, Some(trip)) => {
            release(tx, trip, holder.now).await?;
            Ok(Applied::Done)
        }
        (Repair::CancelIntent, Some(intent), Some(payment), _) => {
            let payment = crate::payments::store::lock(tx, payment).await?;
            match payment.is_some_and(|payment| is_unwanted(&payment, intent)) {
                true => Ok(Applied::Call(intent.clone())),
                false => Ok(Applied::Not("the payment has changed, and may want the intent")),
            }
        }
        (Repair::AdoptRefund, _, Some(payment_id), _) => {
            let found = FoundRefund {
                provider_id: finding.subject.clone(),
                payment_id,
                known: finding.refund_id,
                new_id: new.refund_id,
                amount: finding.figures.map_or(0, |(_, theirs)| theirs),
            };
            match adopt_refund(tx, &found, new.domain_now, holder.now).await? {
                Adoption::Done => Ok(Applied::Done),
                Adoption::Not(why) => Ok(Applied::Not(why)),
            }
        }
        _ => Ok(Applied::Not("the rule does not fit the finding")),
    }
}

/// Whether no payment will ever want this intent again, which was made for `payment`: then nobody is hurt when it is cancelled.
/// The answer holds for good once it is yes: a payment that is over never changes, nor does the name of its intent.
fn is_unwanted(payment: &Payment, intent: &str) -> bool {
    match payment.provider_intent_id.as_deref() {
        Some(own) if own == intent => {
            matches!(payment.state, State::Declined | State::Voided | State::AuthExpired | State::CaptureFailed)
        }
        Some(_) => true,
        None => payment.state.is_terminal(),
    }
}

/// Writes how a call ended.
///
/// # Errors
/// If the run was given up, or the database does not answer.
pub async fn end_repair(tx: &mut Tx, holder: Holder, repair: Uuid, end: &(Outcome, Option<String>)) -> Result<()> {
    store::hold_run(tx, holder.run, holder.until).await?;
    store::finish_repair(tx, repair, (end.0, end.1.as_deref()), holder.now).await
}

/// Ends a run.
///
/// # Errors
/// If it was given up, or the database does not answer.
pub async fn finish(tx: &mut Tx, run: &Run, now: MachineTime) -> Result<()> {
    store::finish_run(tx, run, now).await
}

/// What an operator says to a finding.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The finding.
    pub id: FindingId,
    /// The operator.
    pub by: OpsId,
    /// Why it is done with.
    pub note: String,
    /// The version that it must have, if the caller cares.
    pub if_version: Option<i64>,
    /// The time.
    pub at: MachineTime,
}

/// Takes an open finding off the list. It comes back only if its figures change.
///
/// # Errors
/// 404 without such a finding; 409 `invalid_transition` if it is not open; 412.
pub async fn resolve(tx: &mut Tx, resolution: &Resolution) -> Result<Finding> {
    let Resolution { id, by, ref note, if_version, at } = *resolution;
    let finding = store::lock_finding(tx, id).await?.ok_or_else(|| Refusal::not_found("finding"))?;
    if if_version.is_some_and(|version| version != finding.version) {
        let detail = format!("The finding's version is {}.", finding.version);
        return Err(Refusal::new(Code::VersionMismatch, detail).into());
    }
    let end = End { id, state: FindingState::Resolved, at, by: Some((by, note.clone())), key_id: tx.key_id() };
    if !store::end_finding(tx, &end).await? {
        let state = finding.state.as_str();
        let detail = format!("The finding is {state} already.");
        return Err(Refusal::new(Code::InvalidTransition, detail).with("state", state).into());
    }
    store::finding(tx, id).await?.ok_or_else(|| Error::Bug(format!("{id} is gone")))
}
