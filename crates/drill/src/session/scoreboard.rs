//! The results of all drills of a user.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use launcher::files;
use serde::{Deserialize, Serialize};

use super::{Paths, Phase, Session};
use crate::{Result, pack::model::Topic};

/// Ended drills, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scoreboard {
    /// One for each start that ended.
    pub entries: Vec<ScoreboardEntry>,
}

/// An ended drill.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreboardEntry {
    /// Its number.
    pub number: u16,
    /// `NN-slug`.
    pub name: String,
    /// Its area.
    pub topic: Topic,
    /// Its level.
    pub level: u8,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// Whether `check` passed before `reveal`.
    pub solved: bool,
    /// Minutes from the page to the end.
    pub minutes: i64,
    /// Hints shown.
    pub hints: usize,
    /// Checks that failed.
    pub failed_checks: usize,
    /// Wrong fixes that were recognized, each once.
    pub wrong: Vec<String>,
    /// The best diagnosis: points of 3.
    pub diagnosis: Option<u8>,
    /// Whether a mitigation was accepted.
    pub mitigated: bool,
    /// Whether the damage was repaired.
    pub repaired: bool,
}

impl ScoreboardEntry {
    /// Returns the entry of a session.
    pub fn of(session: &Session, topic: Topic, level: u8, now: DateTime<Utc>) -> Self {
        use super::AttemptKind::{Mitigate, Repair};
        let mut wrong: Vec<String> = session.attempts.iter().filter_map(|attempt| attempt.wrong.clone()).collect();
        wrong.sort();
        wrong.dedup();
        let passed = |kind| session.attempts.iter().any(|attempt| attempt.kind == kind && attempt.passed);
        Self {
            number: session.number,
            name: session.name.clone(),
            topic,
            level,
            started_at: session.started_at,
            solved: session.phase == Phase::Solved,
            minutes: session.minutes(now),
            hints: session.hints,
            failed_checks: session.failed_checks(),
            wrong,
            diagnosis: session.diagnoses.iter().map(|diagnosis| diagnosis.points).max(),
            mitigated: passed(Mitigate),
            repaired: passed(Repair),
        }
    }

    /// Orders results: solved first, then fewer hints, then less time.
    fn rank(&self) -> (bool, usize, i64) {
        (!self.solved, self.hints, self.minutes)
    }
}

impl Scoreboard {
    /// Reads it; an empty one if there is none.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(paths: &Paths) -> Result<Self> {
        Ok(files::read_json(&paths.scoreboard())?.unwrap_or_default())
    }

    /// Adds an entry, or replaces that of the same start, and keeps it.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn record(mut self, paths: &Paths, entry: ScoreboardEntry) -> Result<()> {
        let same = |other: &ScoreboardEntry| other.number == entry.number && other.started_at == entry.started_at;
        self.entries.retain(|other| !same(other));
        self.entries.push(entry);
        Ok(files::replace_json(&paths.scoreboard(), &self)?)
    }

    /// Returns the best result of a drill.
    pub fn best(&self, number: u16) -> Option<&ScoreboardEntry> {
        self.entries.iter().filter(|entry| entry.number == number).min_by_key(|entry| entry.rank())
    }

    /// Returns drills solved and started, by topic.
    pub fn by_topic(&self) -> BTreeMap<Topic, (usize, usize)> {
        let mut topics: BTreeMap<Topic, (usize, usize)> = BTreeMap::new();
        for entry in &self.entries {
            let (solved, all) = topics.entry(entry.topic).or_default();
            *all += 1;
            *solved += usize::from(entry.solved);
        }
        topics
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            AttemptKind,
            state::tests::{attempt, session},
        },
        *,
    };

    #[test]
    fn best_result_is_solved_with_few_hints() {
        let folder = tempfile::tempdir().expect("a directory");
        let paths = Paths::at(folder.path().to_owned());
        let mut solved = session();
        solved.phase = Phase::Solved;
        solved.finished_at = Some(solved.started_at + chrono::TimeDelta::minutes(40));
        solved.attempts = vec![attempt(AttemptKind::Check, false), attempt(AttemptKind::Check, true)];
        let mut revealed = Session { phase: Phase::Revealed, ..session() };
        revealed.started_at += chrono::TimeDelta::days(1);
        for session in [&solved, &revealed, &solved] {
            let entry = ScoreboardEntry::of(session, Topic::Geo, 1, solved.started_at);
            Scoreboard::read(&paths).expect("read").record(&paths, entry).expect("written");
        }
        let board = Scoreboard::read(&paths).expect("read");
        let best = board.best(1).expect("a result");
        assert_eq!((best.solved, best.minutes, best.failed_checks), (true, 40, 1));
        assert_eq!(board.by_topic()[&Topic::Geo], (1, 2));
        assert_eq!(board.best(2), None);
    }
}
