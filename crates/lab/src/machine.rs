//! Where a result comes from: commit and machine.

use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use serde::{Deserialize, Serialize};

/// The machine that a lab ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory in MB, 0 if unknown.
    pub memory_mb: u64,
    /// Operating system and architecture.
    pub system: String,
}

impl Machine {
    /// Returns this one.
    pub fn this() -> Self {
        Self {
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_mb: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_mb(&text)).unwrap_or(0),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// Reads `MemTotal` from Linux's `/proc/meminfo`.
fn memory_mb(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1_024)
}

/// Returns the commit of a checkout, with `+changes` if tracked files differ from it; `unknown` without git.
pub fn commit(checkout: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(checkout).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let is_changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    if is_changed { format!("{commit}+changes") } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_megabytes() {
        assert_eq!(memory_mb("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_000));
        assert_eq!(memory_mb(""), None);
        assert!(Machine::this().cores >= 1);
    }

    #[test]
    fn commit_outside_a_checkout_is_unknown() {
        let folder = tempfile::tempdir().expect("a directory");
        assert_eq!(commit(folder.path()), "unknown");
    }
}
