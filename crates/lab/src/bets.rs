//! The user's bets, kept in their data directory. A bet is written before the lab runs, and settled after it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use launcher::{environment, files};
use serde::{Deserialize, Serialize};

use crate::outcome::Answer;
use crate::{Result, numbers};

/// The variable that names another directory, for tests.
pub const DIRECTORY_VARIABLE: &str = "RIDEMATCH_LAB_DIR";

/// A bet, or a run without one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bet {
    /// The lab's name.
    pub lab: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// The prediction; `None` if the lab ran without one.
    pub bet: Option<f64>,
    /// The answer; `None` until the lab has ended.
    pub answer: Option<f64>,
    /// The unit of both.
    pub unit: String,
}

/// How far a bet is from the answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distance {
    /// Bet minus answer.
    pub difference: f64,
    /// The greater divided by the lesser, at least 1; `None` unless both are above 0.
    pub factor: Option<f64>,
}

impl Distance {
    /// Returns the distance of a bet from the answer.
    pub fn of(bet: f64, answer: f64) -> Self {
        let factor = (bet > 0.0 && answer > 0.0).then(|| (bet / answer).max(answer / bet));
        Self { difference: bet - answer, factor }
    }

    /// Returns it in words.
    pub fn text(&self, unit: &str) -> String {
        let off = numbers::short(self.difference.abs());
        let direction = if self.difference > 0.0 { "too high" } else { "too low" };
        match self.factor {
            _ if self.difference.abs() < 1e-9 => "exact".to_owned(),
            Some(factor) => format!("off by a factor of {factor:.2}, {off} {unit} {direction}"),
            None => format!("off by {off} {unit}, {direction}; no factor, because one of the two is not above 0"),
        }
    }
}

impl Bet {
    /// Returns the distance, if there is a bet and it is settled.
    pub fn distance(&self) -> Option<Distance> {
        Some(Distance::of(self.bet?, self.answer?))
    }
}

/// The file with all bets, oldest first.
#[derive(Debug, Clone)]
pub struct BetStore {
    folder: PathBuf,
}

impl BetStore {
    /// Returns the store: `$RIDEMATCH_LAB_DIR`, or `ridematch/lab` in `$XDG_DATA_HOME` or `~/.local/share`.
    ///
    /// # Errors
    /// None of the variables is set.
    pub fn of_user() -> Result<Self> {
        Ok(Self { folder: environment::user_dir(DIRECTORY_VARIABLE, "lab")? })
    }

    /// The store in this directory.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns all bets.
    ///
    /// # Errors
    /// The file cannot be read, or it is damaged.
    pub fn read(&self) -> Result<Vec<Bet>> {
        Ok(files::read_json(&self.path())?.unwrap_or_default())
    }

    /// Adds a bet.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn add(&self, bet: &Bet) -> Result<()> {
        self.change(|bets| bets.push(bet.clone()))
    }

    /// Settles a bet that was added.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn settle(&self, bet: &Bet, answer: &Answer) -> Result<Bet> {
        let is_it = |other: &Bet| other.lab == bet.lab && other.made_at == bet.made_at;
        let settled = Bet { answer: Some(answer.value), ..bet.clone() };
        self.change(|bets| bets.iter_mut().filter(|other| is_it(other)).for_each(|other| *other = settled.clone()))?;
        Ok(settled)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Bet>)) -> Result<()> {
        // Two labs may end at the same time.
        let lock = self.folder.join("lock");
        let locked = fs::create_dir_all(&self.folder).and_then(|()| File::create(&lock)).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        let _lock = locked.map_err(|error| format!("cannot write your bets: {}: {error}", lock.display()))?;
        let mut bets = self.read()?;
        change(&mut bets);
        Ok(files::replace_json(&self.path(), &bets)?)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("bets.json")
    }
}

#[cfg(test)]
mod tests {
    use launcher::clock;

    use super::*;

    fn bet(value: f64) -> Bet {
        Bet { lab: "a".into(), made_at: clock::now(), bet: Some(value), answer: None, unit: "ms".into() }
    }

    #[test]
    fn bet_is_kept_open_and_then_settled() {
        let folder = tempfile::tempdir().expect("a directory");
        let store = BetStore::at(&folder.path().join("new"));
        assert_eq!(store.read().expect("none"), []);
        let (first, second) = (bet(1.0), bet(2.0));
        store.add(&first).expect("added");
        store.add(&second).expect("added");
        assert_eq!(store.read().expect("read")[1].distance(), None);
        let answer = Answer { value: 4.0, unit: "ms".into(), text: String::new() };
        store.settle(&second, &answer).expect("settled");
        let bets = store.read().expect("read");
        assert_eq!(bets[0], first);
        assert_eq!(bets[1].distance(), Some(Distance { difference: -2.0, factor: Some(2.0) }));
    }

    #[test]
    fn damaged_file_is_named_and_kept() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("bets.json");
        fs::write(&path, "{").expect("written");
        let store = BetStore::at(folder.path());
        let error = store.add(&bet(1.0)).expect_err("damaged").to_string();
        assert!(error.contains("bets.json is damaged") && error.contains("move the file away"), "{error}");
        assert_eq!(fs::read_to_string(&path).expect("kept"), "{");
    }

    #[test]
    fn distance_is_a_factor_only_above_zero() {
        assert_eq!(Distance::of(10.0, 40.0).factor, Some(4.0));
        assert_eq!(Distance::of(40.0, 10.0).factor, Some(4.0));
        assert_eq!(Distance::of(5.0, 0.0).factor, None);
        assert_eq!(Distance::of(40.0, 10.0).text("ms"), "off by a factor of 4.00, 30 ms too high");
        assert_eq!(Distance::of(3.0, 3.0).text("ms"), "exact");
        assert!(Distance::of(0.0, 3.0).text("ms").starts_with("off by 3 ms, too low"));
    }
}
