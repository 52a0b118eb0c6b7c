//! The deploy log: the history of the exported tree.

use std::fmt;
use std::path::Path;
use std::process::Command;

use launcher::BoxError;
use serde::{Deserialize, Serialize};

/// Commits that are listed.
const LISTED: &str = "-40";

/// A deployed commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The commit, abbreviated.
    pub commit: String,
    /// When, RFC 3339.
    pub at: String,
    /// By whom.
    pub author: String,
    /// The subject.
    pub subject: String,
    /// How many files it changed, and lines added and removed.
    pub changed: String,
}

/// Returns the commits of a tree, the newest first.
///
/// # Errors
/// If it is no git tree.
pub fn deploys(tree: &Path) -> Result<Vec<Deploy>, BoxError> {
    let mut command = Command::new("git");
    command.arg("-C").arg(tree).args([
        "log",
        LISTED,
        "--no-color",
        "--shortstat",
        "--format=%x01%h%x02%cI%x02%an%x02%s",
    ]);
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("git log: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split('\u{1}').filter_map(parse).collect())
}

fn parse(entry: &str) -> Option<Deploy> {
    let (head, changed) = entry.split_once('\n')?;
    let mut parts = head.split('\u{2}').map(str::to_owned);
    let (commit, at, author, subject) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some(Deploy { commit, at, author, subject, changed: changed.trim().to_owned() })
}

impl fmt::Display for Deploy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commit, at, author, subject, changed } = self;
        write!(f, "{commit}  {at}  {author}: {subject}\n         {changed}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_of_the_history_is_read() {
        let entry =
            "abc1234\u{2}2026-01-02T03:04:05Z\u{2}A. Engineer\u{2}Move radii\n\n 1 file changed, 2 insertions(+)\n";
        let deploy = parse(entry);
        let changed = "1 file changed, 2 insertions(+)";
        assert!(deploy.is_some_and(|deploy| deploy.subject == "Move radii" && deploy.changed == changed));
        assert_eq!(parse(""), None);
    }
}
