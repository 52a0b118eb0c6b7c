//! The exercises: a folder each in `exercises/`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Result;

/// The exercises in the order in which a day has them. The last one is the integration round.
pub const NAMES: [&str; 5] = ["brackets", "merge", "split", "trending", RIDES];

/// The integration round.
pub const RIDES: &str = "rides";

/// How similar a mistyped name is to the one meant.
const SIMILARITY_MIN: f64 = 0.6;

/// An exercise.
#[derive(Debug, Clone)]
pub struct Exercise {
    /// Its name, and that of its folder.
    pub name: &'static str,
    /// Its folder.
    pub dir: PathBuf,
    /// Its `exercise.toml`.
    pub about: About,
}

/// `exercise.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// One line.
    pub title: String,
    /// How long an interview gives.
    pub minutes: u32,
    /// What a run of a solution may use.
    pub limits: Limits,
    /// What a classic expects of a solution.
    pub complexity: Option<Complexity>,
}

/// What one run of a solution may use.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Processor time of each process, seconds.
    pub cpu_s: u64,
    /// Time until it is killed, seconds.
    pub wall_s: u64,
    /// Memory of each process, MB.
    pub memory_mb: u64,
}

/// The complexity of a good solution, and what to think of where one is too slow or too large.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complexity {
    /// Time.
    pub time: String,
    /// Memory.
    pub memory: String,
    /// What makes solutions slow.
    pub slow: String,
    /// What makes solutions large.
    pub large: String,
}

/// Returns the source tree.
pub fn tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Exercise {
    /// Returns the exercise of this name.
    ///
    /// # Errors
    /// There is none, or its folder is incomplete.
    pub fn find(name: &str) -> Result<Self> {
        let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
            let similar = |known: &&str| strsim::jaro_winkler(known, name) >= SIMILARITY_MIN;
            let meant = NAMES.into_iter().find(similar).map(|known| format!(", did you mean {known}?"));
            let meant = meant.unwrap_or_else(|| format!("; they are {}", NAMES.join(", ")));
            return Err(format!("there is no exercise {name:?}{meant}").into());
        };
        let dir = tree().join("exercises").join(name);
        let file = dir.join("exercise.toml");
        let about = toml::from_str(&read(&file)?).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Self { name, dir, about })
    }

    /// Returns all exercises.
    ///
    /// # Errors
    /// A folder is incomplete.
    pub fn all() -> Result<Vec<Self>> {
        NAMES.into_iter().map(Self::find).collect()
    }

    /// Returns one of its texts.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn text(&self, file: &str) -> Result<String> {
        read(&self.dir.join(file))
    }

    /// Returns the examples of the statement: inputs and outputs.
    ///
    /// # Errors
    /// The statement cannot be read.
    pub fn examples(&self) -> Result<Vec<(String, String)>> {
        let statement = self.text("statement.md")?;
        let (inputs, outputs) = (blocks(&statement, "```input"), blocks(&statement, "```output"));
        Ok(inputs.into_iter().zip(outputs).collect())
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()).into())
}

/// Returns the contents of the blocks that begin with this line.
fn blocks(text: &str, fence: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in text.lines() {
        if is_inside && line == "```" {
            is_inside = false;
        } else if is_inside {
            if let Some(block) = found.last_mut() {
                block.push_str(line);
                block.push('\n');
            }
        } else if line == fence {
            is_inside = true;
            found.push(String::new());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exercise_is_complete() {
        for exercise in Exercise::all().expect("the exercises") {
            for file in ["statement.md", "talk.md", "start/solution.py", "start/solution.rs"] {
                assert!(exercise.text(file).expect("a text").len() > 40, "{}: {file}", exercise.name);
            }
            for file in ["solutions/solution.py", "solutions/solution.rs"] {
                assert!(exercise.dir.join(file).is_file(), "{}: {file}", exercise.name);
            }
            assert_eq!(exercise.about.complexity.is_some(), exercise.name != RIDES);
        }
    }

    #[test]
    fn mistyped_name_is_recognized() {
        let error = |name| Exercise::find(name).expect_err("none").to_string();
        assert!(error("bracket").contains("did you mean brackets?"), "{}", error("bracket"));
        assert!(error("zzz").contains("they are brackets, merge, split, trending, rides"));
    }

    #[test]
    fn blocks_keep_their_lines() {
        assert_eq!(blocks("a\n```input\n1 2\n\n3\n```\n```output\n4\n```\n", "```input"), ["1 2\n\n3\n"]);
    }
}
