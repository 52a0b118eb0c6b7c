//! Reconciliation's SQL: our side of the comparison, runs, findings, repairs, and the operators' review queue.

mod findings;
mod local_records;
mod repairs;
mod review_queue;
mod runs;
mod watermarks;

pub(super) use findings::{
    CloseFinding, FindingsQuery, close_finding, finding, findings, insert_finding, latest_finding, lock_finding,
    open_by_kind, open_findings_of, record_seen, unseen_findings, update_finding,
};
pub(crate) use local_records::unsettled_trips;
pub(super) use local_records::{
    IdRange, first_payment, first_uncompared, payment_after, payments_made, payments_named, refunds_made,
};
pub(super) use repairs::{NewRepairRow, RepairRow, finish_repair, insert_repair, repairable_findings, repairs_of};
pub(super) use review_queue::{ReviewItem, review_queue};
pub use runs::RETENTION;
pub(super) use runs::{
    RunStart, continue_run, extend_lease, finish_run, insert_run, last_checked, queued_run, release_run, run, runs,
    save_progress, start_queued, start_scheduled,
};
pub(super) use watermarks::{last_starts, set_watermark, watermark};
