//! The results of labs, as `cargo lab run NAME` writes them. A missing or unreadable one leaves a bet open.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The folder with a file `NAME.json` for each lab that was run.
#[derive(Debug, Clone, Default)]
pub struct Labs {
    folder: Option<PathBuf>,
}

/// What a lab found: the part of its file that settles a bet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabResult {
    /// The name of the lab.
    pub lab: String,
    /// The commit that was measured.
    pub commit: String,
    /// The seed.
    pub seed: u64,
    /// The number that settles the bet.
    pub answer: LabAnswer,
}

/// The answer of a lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabAnswer {
    /// The number.
    pub value: f64,
    /// What it is, in words.
    #[serde(default)]
    pub text: String,
}

impl Labs {
    /// The labs whose results are in a folder.
    pub fn at(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// The result of a lab, if there is one: its number to three digits, and the start of its commit.
    pub fn result(&self, lab: &str) -> Option<LabResult> {
        let text = std::fs::read(self.folder.as_ref()?.join(format!("{lab}.json"))).ok()?;
        let mut result: LabResult = serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(lab, %error, "the result of a lab cannot be read"))
            .ok()?;
        result.answer.value = rounded(result.answer.value);
        result.commit = result.commit.chars().take(COMMIT_CHARS).collect();
        (result.lab == lab && result.answer.value.is_finite()).then_some(result)
    }
}

/// As many characters of a commit as tell it from all others.
const COMMIT_CHARS: usize = 12;

/// Rounds to three digits: runs of a lab differ by more.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}
