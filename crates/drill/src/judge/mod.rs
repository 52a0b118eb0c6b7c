//! Judges a run: the checks of a pack, those that every run must pass, and a diagnosis.
//!
//! - `model` (checks as a pack describes them), `measures` (each reduced to one number), `recorded` (predicates by name)
//! - `evaluate` (a number against its limits, the audit, the suites), `suites` (contract and security, over HTTP)
//! - `diagnosis` (what the user named against what the pack says)

pub mod diagnosis;
mod evaluate;
pub(crate) mod measures;
pub mod model;
pub mod recorded;
pub(crate) mod suites;

pub use diagnosis::{Diagnosis, DiagnosisGrade, grade};
pub use evaluate::{CheckResult, Judgement, judge, judge_check, needs_healthy};
pub(crate) use measures::end_of;
pub use model::CheckSpec;
