//! Reconciliation's SQL: our side of the comparison, runs, findings, repairs, and the operators' review queue.

mod findings;
mod local_records;
mod repairs;
mod review_queue;
mod runs;

pub(super) use findings::{
    CloseFinding, FindingsQuery, close_finding, finding, findings, insert_finding, latest_finding, lock_finding,
    open_by_kind, open_findings, record_seen, update_finding,
};
pub(crate) use local_records::unsettled_trips;
pub(super) use local_records::{PaymentFilter, local_payments};
pub(super) use repairs::{NewRepairRow, RepairRow, finish_repair, insert_repair, repairable_findings, repairs_of};
pub(super) use review_queue::{ReviewItem, review_queue};
pub(super) use runs::{
    RunStart, abandon_run, delete_expired_runs, extend_lease, finish_run, insert_run, last_checked, last_starts,
    queued_run, run, runs, start_queued, start_scheduled,
};
