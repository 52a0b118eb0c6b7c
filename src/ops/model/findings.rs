//! Runs and findings as values, and what a difference that is seen, or not seen any more, means for what was found before: pure.

use std::collections::HashSet;

use super::books::Difference;
use super::kinds::{FindingState, Kind, Repair, RunState, Scope};
use crate::platform::clock::MachineTime;
use crate::platform::ids::{FindingId, OpsId, PaymentId, RefundId, RunId, TripId};

/// How often a rule is applied to one finding. What five runs have not repaired is a person's.
pub const REPAIRS_MAX: i64 = 5;

/// A difference from the first run that saw it to its end. Times are machine time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id.
    pub id: FindingId,
    /// In what the books differ.
    pub kind: Kind,
    /// The provider's id of the thing, where it has one, else ours.
    pub subject: String,
    /// Our payment, if there is one.
    pub payment_id: Option<PaymentId>,
    /// Its trip.
    pub trip_id: Option<TripId>,
    /// The provider's intent, if there is one.
    pub intent_id: Option<String>,
    /// Our refund, if it is about one that we know.
    pub refund_id: Option<RefundId>,
    /// ISO 4217, of the figures.
    pub currency: Option<String>,
    /// What our books say, and the provider's: minor units.
    pub figures: Option<(i64, i64)>,
    /// What differs; reads on from the subject.
    pub what: String,
    /// How it stands.
    pub state: FindingState,
    /// The rule that covers it.
    pub repair: Repair,
    /// How often the rule was applied.
    pub repairs_tried: i64,
    /// When a run saw it first.
    pub first_seen_at: MachineTime,
    /// When a run saw it last.
    pub last_seen_at: MachineTime,
    /// When it was repaired or resolved.
    pub ended_at: Option<MachineTime>,
    /// The operator who resolved it.
    pub resolved_by: Option<OpsId>,
    /// Why.
    pub note: Option<String>,
    /// Counts its changes: the `ETag`.
    pub version: i64,
}

/// One comparison. Times are machine time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Which payments it compares.
    pub scope: Scope,
    /// The operator who asked for it; nobody: the schedule.
    pub asked_by: Option<OpsId>,
    /// How it stands.
    pub state: RunState,
    /// When it was asked for.
    pub asked_at: MachineTime,
    /// When a process began with it.
    pub started_at: Option<MachineTime>,
    /// When it ended.
    pub finished_at: Option<MachineTime>,
    /// It compares what was made since then; everything if absent.
    pub since: Option<MachineTime>,
    /// What it came to.
    pub counts: Counts,
    /// Why it is unchecked.
    pub detail: Option<String>,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Payments of ours that were compared.
    pub payments: i64,
    /// Trips that are over and have unfinished work: they are not compared.
    pub unsettled: i64,
    /// Intents of the provider.
    pub intents: i64,
    /// Of these, made by somebody else who uses the account, for no payment at all.
    pub foreign_intents: i64,
    /// Refunds of the provider.
    pub refunds: i64,
    /// Differences.
    pub differences: i64,
    /// Differences that no run had seen before.
    pub found: i64,
    /// Repairs that were tried.
    pub repairs: i64,
    /// Findings that are gone.
    pub ended: i64,
}

/// What a difference is to the latest finding of its kind and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// A new finding.
    New,
    /// The one that is open.
    Again,
    /// One that a person has resolved knowing it: it is only noted that it was seen.
    Accepted,
}

/// Tells what `difference` is to `latest`, the latest finding of its kind and subject.
pub fn sight(latest: Option<&Finding>, difference: &Difference) -> Sight {
    match latest {
        Some(finding) if finding.state == FindingState::Open => Sight::Again,
        Some(finding) if finding.resolved_by.is_some() && finding.figures == difference.figures => Sight::Accepted,
        Some(_) | None => Sight::New,
    }
}

/// What a run has looked at, so that what it did not find is not there.
#[derive(Debug, Default)]
pub struct Looked {
    /// Payments that were compared, and did not move meanwhile.
    pub at: HashSet<PaymentId>,
    /// Whether all of the provider's books were read.
    pub everywhere: bool,
}

/// How an open finding ends that a run did not see; `None` if the run has not looked there.
pub fn end(finding: &Finding, looked: &Looked) -> Option<FindingState> {
    let was_looked_at = match finding.payment_id {
        Some(payment) if looked.at.contains(&payment) => true,
        // The intent of nobody's payment: only whoever has read all of the provider's books can say that it is gone.
        _ => finding.kind == Kind::UnknownToUs && looked.everywhere,
    };
    let end = if finding.repairs_tried > 0 { FindingState::Repaired } else { FindingState::Resolved };
    was_looked_at.then_some(end)
}

/// Whether a rule is to be applied now.
pub fn is_repairable(finding: &Finding) -> bool {
    finding.state == FindingState::Open && finding.repair != Repair::None && finding.repairs_tried < REPAIRS_MAX
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn difference(figures: Option<(i64, i64)>) -> Difference {
        Difference {
            kind: Kind::AmountDiffers,
            subject: "pi_1".to_owned(),
            payment_id: Some(Uuid::from_u128(1).into()),
            trip_id: None,
            intent_id: Some("pi_1".to_owned()),
            refund_id: None,
            currency: None,
            figures,
            what: String::new(),
            repair: Repair::None,
        }
    }

    fn finding(state: FindingState, by: Option<OpsId>) -> Finding {
        let Difference { kind, subject, payment_id, trip_id, intent_id, refund_id, currency, figures, what, repair } =
            difference(Some((1, 2)));
        let at = MachineTime::new(DateTime::UNIX_EPOCH);
        Finding {
            id: Uuid::from_u128(7).into(),
            kind,
            subject,
            payment_id,
            trip_id,
            intent_id,
            refund_id,
            currency,
            figures,
            what,
            state,
            repair,
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
    fn a_resolved_finding_comes_back_only_with_other_figures() {
        let (same, other) = (difference(Some((1, 2))), difference(Some((1, 3))));
        let ops = Some(OpsId::from(Uuid::from_u128(8)));
        let cases = [
            (None, &same, Sight::New),
            (Some(finding(FindingState::Open, None)), &other, Sight::Again),
            (Some(finding(FindingState::Resolved, ops)), &same, Sight::Accepted),
            (Some(finding(FindingState::Resolved, ops)), &other, Sight::New),
            // It went away by itself, and is there again.
            (Some(finding(FindingState::Resolved, None)), &same, Sight::New),
            (Some(finding(FindingState::Repaired, None)), &same, Sight::New),
        ];
        for (latest, difference, expected) in cases {
            assert_eq!(sight(latest.as_ref(), difference), expected, "{latest:?}");
        }
    }

    #[test]
    fn a_finding_ends_only_where_a_run_has_looked() {
        let open = finding(FindingState::Open, None);
        let repaired = Finding { repairs_tried: 1, ..open.clone() };
        let nobodys = Finding { kind: Kind::UnknownToUs, payment_id: None, ..open.clone() };
        let there = Looked { at: open.payment_id.into_iter().collect(), everywhere: false };
        let elsewhere = Looked { at: HashSet::new(), everywhere: true };
        assert_eq!(end(&open, &there), Some(FindingState::Resolved));
        assert_eq!(end(&repaired, &there), Some(FindingState::Repaired));
        assert_eq!(end(&open, &elsewhere), None);
        assert_eq!(end(&nobodys, &there), None);
        assert_eq!(end(&nobodys, &elsewhere), Some(FindingState::Resolved));
    }

    #[test]
    fn a_rule_is_applied_a_few_times() {
        let open = Finding { repair: Repair::CancelIntent, ..finding(FindingState::Open, None) };
        assert!(is_repairable(&open));
        assert!(!is_repairable(&Finding { repairs_tried: REPAIRS_MAX, ..open.clone() }));
        assert!(!is_repairable(&Finding { repair: Repair::None, ..open.clone() }));
        assert!(!is_repairable(&Finding { state: FindingState::Resolved, ..open }));
    }
}
