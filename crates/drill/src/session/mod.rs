//! What is kept in the user's data directory: the current drill, and the results of earlier ones.

pub mod lock;
pub mod paths;
pub mod scoreboard;
pub mod state;

pub use lock::Lock;
pub use paths::Paths;
pub use scoreboard::{Scoreboard, ScoreboardEntry};
pub use state::{Attempt, AttemptKind, DiagnosisRecord, Phase, Session};
