//! Runs and findings, and how a run's differences change earlier findings.

use super::differences::Difference;
use super::kinds::{FindingState, RepairRule, RunScope, RunState};
use crate::platform::clock::MachineTime;
use crate::platform::ids::{FindingId, OpsId, RunId};

/// How often a rule is applied to one finding. After five attempts, an operator has to decide.
pub const REPAIRS_MAX: i64 = 5;

/// A difference, from the first run that found it until it is repaired or resolved. Times are machine time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The finding's id.
    pub id: FindingId,
    /// The difference, as the last run saw it.
    pub difference: Difference,
    /// The finding's state.
    pub state: FindingState,
    /// How often the repair rule was applied.
    pub repairs_tried: i64,
    /// When a run first saw it.
    pub first_seen_at: MachineTime,
    /// When a run last saw it.
    pub last_seen_at: MachineTime,
    /// When it was repaired or resolved.
    pub ended_at: Option<MachineTime>,
    /// The operator who resolved it.
    pub resolved_by: Option<OpsId>,
    /// The operator's reason.
    pub note: Option<String>,
    /// The number of changes: the `ETag`.
    pub version: i64,
}

/// One comparison of the records. Times are machine time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The run's id.
    pub id: RunId,
    /// The payments that it compares.
    pub scope: RunScope,
    /// The operator who requested it; `None` for the schedule.
    pub requested_by: Option<OpsId>,
    /// The run's state.
    pub state: RunState,
    /// When it was requested.
    pub requested_at: MachineTime,
    /// When a process started it.
    pub started_at: Option<MachineTime>,
    /// When it ended.
    pub finished_at: Option<MachineTime>,
    /// Compares what was made since then, and not yet compared; everything if absent.
    pub since: Option<MachineTime>,
    /// The start of the next window; `None` before the first one has ended.
    pub position: Option<MachineTime>,
    /// The fencing token of its lease.
    pub lease_token: i64,
    /// What it compared and changed.
    pub counts: RunCounts,
    /// Why it is unchecked or incomplete.
    pub detail: Option<String>,
}

/// A run to request.
#[derive(Debug, Clone, Copy)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The payments to compare.
    pub scope: RunScope,
    /// The operator.
    pub by: OpsId,
    /// The current time.
    pub at: MachineTime,
}

/// The counts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCounts {
    /// Our payments that were read.
    pub payments: i64,
    /// Trips that are over and have open work; their payments are not compared.
    pub unsettled: i64,
    /// The provider's intents.
    pub intents: i64,
    /// The intents among them that another system made.
    pub foreign_intents: i64,
    /// The provider's refunds.
    pub refunds: i64,
    /// Differences.
    pub differences: i64,
    /// New findings.
    pub found: i64,
    /// Attempted repairs.
    pub repairs: i64,
    /// Findings whose difference is gone.
    pub ended: i64,
    /// Windows that were compared.
    pub windows: i64,
    /// Findings that could not be recorded, closed or repaired.
    pub failed: i64,
}

/// How a difference relates to the latest finding with its kind and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recurrence {
    /// A new finding.
    New,
    /// The finding that is still open.
    StillOpen,
    /// A finding that an operator resolved with the same amounts: only the time is recorded.
    Accepted,
}

/// Returns how `difference` relates to `latest`, the latest finding with its kind and subject.
pub fn recurrence(latest: Option<&Finding>, difference: &Difference) -> Recurrence {
    match latest {
        Some(finding) if finding.state == FindingState::Open => Recurrence::StillOpen,
        Some(finding) if finding.resolved_by.is_some() && finding.difference.amounts == difference.amounts => {
            Recurrence::Accepted
        }
        Some(_) | None => Recurrence::New,
    }
}

/// Returns the state of an open finding whose difference is gone.
pub fn final_state(finding: &Finding) -> FindingState {
    if finding.repairs_tried > 0 { FindingState::Repaired } else { FindingState::Resolved }
}

/// Returns whether a rule can be applied now.
pub fn is_repairable(finding: &Finding) -> bool {
    finding.state == FindingState::Open
        && finding.difference.repair != RepairRule::None
        && finding.repairs_tried < REPAIRS_MAX
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::super::kinds::DifferenceKind;
    use super::*;

    fn difference(amounts: Option<(i64, i64)>) -> Difference {
        Difference {
            kind: DifferenceKind::AmountDiffers,
            subject: "pi_1".to_owned(),
            payment_id: Some(Uuid::from_u128(1).into()),
            trip_id: None,
            intent_id: Some("pi_1".to_owned()),
            refund_id: None,
            currency: None,
            amounts,
            detail: String::new(),
            repair: RepairRule::None,
        }
    }

    fn finding(state: FindingState, by: Option<OpsId>) -> Finding {
        let at = MachineTime::new(DateTime::UNIX_EPOCH);
        Finding {
            id: Uuid::from_u128(7).into(),
            difference: difference(Some((1, 2))),
            state,
            repairs_tried: 0,
            first_seen_at: at,
            last_seen_at: at,
            ended_at: None,
            resolved_by: by,
            note: None,
            version: 1,
        }
    }

    #[test]
    fn resolved_finding_recurs_only_with_other_amounts() {
        let (same, other) = (difference(Some((1, 2))), difference(Some((1, 3))));
        let ops = Some(OpsId::from(Uuid::from_u128(8)));
        let cases = [
            (None, &same, Recurrence::New),
            (Some(finding(FindingState::Open, None)), &other, Recurrence::StillOpen),
            (Some(finding(FindingState::Resolved, ops)), &same, Recurrence::Accepted),
            (Some(finding(FindingState::Resolved, ops)), &other, Recurrence::New),
            // It disappeared without an operator, and is back.
            (Some(finding(FindingState::Resolved, None)), &same, Recurrence::New),
            (Some(finding(FindingState::Repaired, None)), &same, Recurrence::New),
        ];
        for (latest, difference, expected) in cases {
            assert_eq!(recurrence(latest.as_ref(), difference), expected, "{latest:?}");
        }
    }

    #[test]
    fn finding_whose_difference_is_gone_is_repaired_if_a_rule_was_applied() {
        let open = finding(FindingState::Open, None);
        assert_eq!(final_state(&open), FindingState::Resolved);
        assert_eq!(final_state(&Finding { repairs_tried: 1, ..open }), FindingState::Repaired);
    }

    #[test]
    fn rule_applies_at_most_five_times_and_only_to_open_findings() {
        let mut open = finding(FindingState::Open, None);
        assert!(!is_repairable(&open), "no rule");
        open.difference.repair = RepairRule::CancelIntent;
        assert!(is_repairable(&open));
        assert!(!is_repairable(&Finding { repairs_tried: REPAIRS_MAX, ..open.clone() }));
        assert!(!is_repairable(&Finding { state: FindingState::Resolved, ..open }));
    }
}
