//! The current drill: what was started, tried and found.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use launcher::files;
use serde::{Deserialize, Serialize};

use super::Paths;
use crate::Result;

/// How far a start has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The tree is being written or built, or its start was interrupted.
    Starting,
    /// The user works on it.
    Open,
    /// `check` passed.
    Solved,
    /// `reveal` showed the answer.
    Revealed,
}

/// The current drill.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its number.
    pub number: u16,
    /// `NN-slug`.
    pub name: String,
    /// How far it is.
    pub phase: Phase,
    /// Whether title and level stay hidden until its end.
    pub blind: bool,
    /// When the page went out.
    pub started_at: DateTime<Utc>,
    /// When `check` passed or `reveal` was called.
    pub finished_at: Option<DateTime<Utc>>,
    /// The newest commit of the exported history.
    pub commit: String,
    /// The checkout that it was exported from.
    pub checkout: PathBuf,
    /// The program of the faulty tree.
    pub program: PathBuf,
    /// Whether the service is left running under load.
    pub is_served: bool,
    /// Hints shown, 0 to 4.
    pub hints: usize,
    /// Diagnoses, oldest first.
    pub diagnoses: Vec<DiagnosisRecord>,
    /// Tries, checks and mitigations, oldest first.
    pub attempts: Vec<Attempt>,
    /// How often it was reset.
    pub resets: u32,
}

/// A diagnosis and its grade.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisRecord {
    /// When.
    pub at: DateTime<Utc>,
    /// The component that was named.
    pub component: String,
    /// The mechanism that was named.
    pub mechanism: String,
    /// The evidence that was named.
    pub evidence: Vec<String>,
    /// Points of 3: component, mechanism, evidence.
    pub points: u8,
}

/// What was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// One seed.
    Try,
    /// Ten seeds and everything else.
    Check,
    /// A mitigation under one seed.
    Mitigate,
    /// The damaged database.
    Repair,
}

/// A try, check, mitigation or repair.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// What was run.
    pub kind: AttemptKind,
    /// Whether it passed.
    pub passed: bool,
    /// Seconds that it took.
    pub seconds: f64,
    /// The wrong fix that was recognized.
    pub wrong: Option<String>,
    /// What failed first, in one line.
    pub failure: Option<String>,
}

impl Session {
    /// Reads the current drill.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(paths: &Paths) -> Result<Option<Self>> {
        Ok(files::read_json(&paths.session())?)
    }

    /// Reads the current drill, which must be started.
    ///
    /// # Errors
    ///
    /// There is none, or its start was interrupted: the message says what to do.
    pub fn started(paths: &Paths) -> Result<Self> {
        let session = Self::read(paths)?
            .ok_or("no drill is started: `cargo drill list` shows them, `cargo drill start 1` starts one")?;
        if session.phase == Phase::Starting {
            let number = session.number;
            return Err(
                format!("the start of drill {number} was interrupted: run `cargo drill start {number}` again").into()
            );
        }
        Ok(session)
    }

    /// Keeps it.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write(&self, paths: &Paths) -> Result<()> {
        Ok(files::replace_json(&paths.session(), self)?)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Solved | Phase::Revealed)
    }

    /// Minutes until its end, or until `now`.
    pub fn minutes(&self, now: DateTime<Utc>) -> i64 {
        (self.finished_at.unwrap_or(now) - self.started_at).num_minutes().max(0)
    }

    /// Checks that failed.
    pub fn failed_checks(&self) -> usize {
        self.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Check && !attempt.passed).count()
    }

    /// Seeds of the next check. They are new in each check of each session, and the same again for the same state.
    pub fn seeds(&self) -> [u64; 10] {
        let checks = self.attempts.iter().filter(|attempt| attempt.kind == AttemptKind::Check).count();
        let start = self.started_at.timestamp().unsigned_abs() % 1_000_000;
        std::array::from_fn(|at| start * 1_000 + checks as u64 * 10 + at as u64)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn session() -> Session {
        Session {
            number: 1,
            name: "01-first".to_owned(),
            phase: Phase::Open,
            blind: false,
            started_at: DateTime::from_timestamp(1_000_000, 0).expect("a time"),
            finished_at: None,
            commit: "abc".to_owned(),
            checkout: PathBuf::from("/checkout"),
            program: PathBuf::from("/program"),
            is_served: true,
            hints: 0,
            diagnoses: Vec::new(),
            attempts: Vec::new(),
            resets: 0,
        }
    }

    pub(crate) fn attempt(kind: AttemptKind, passed: bool) -> Attempt {
        let at = DateTime::from_timestamp(1_000_100, 0).expect("a time");
        Attempt { at, kind, passed, seconds: 1.0, wrong: None, failure: None }
    }

    #[test]
    fn each_check_has_seeds_of_its_own() {
        let mut session = session();
        let first = session.seeds();
        assert_eq!(session.seeds(), first);
        session.attempts.push(attempt(AttemptKind::Try, true));
        assert_eq!(session.seeds(), first);
        session.attempts.push(attempt(AttemptKind::Check, false));
        assert!(session.seeds().iter().all(|seed| !first.contains(seed)));
    }

    #[test]
    fn missing_or_interrupted_start_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a directory");
        let paths = Paths::at(folder.path().to_owned());
        assert!(Session::started(&paths).expect_err("none").to_string().contains("cargo drill start 1"));
        Session { phase: Phase::Starting, number: 7, ..session() }.write(&paths).expect("written");
        assert!(Session::started(&paths).expect_err("interrupted").to_string().contains("cargo drill start 7"));
        session().write(&paths).expect("written");
        assert_eq!(Session::started(&paths).expect("started"), session());
    }
}
