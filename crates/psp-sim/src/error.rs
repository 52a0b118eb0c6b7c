//! The reasons why a simulator does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the journal cannot be used.
    #[error("{}: {source}", path.display())]
    Journal {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A line of the journal other than the last is damaged.
    #[error("{}, line {line}: {source}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The number of the damaged line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The journal was written by an earlier version.
    #[error("{} has an earlier format: move it to another directory to start with no payments", path.display())]
    OldFormat {
        /// The journal; it is left as it is.
        path: PathBuf,
    },
    /// Another simulator uses the directory.
    #[error("{}: another psp-sim uses this directory", data_dir.display())]
    InUse {
        /// The directory.
        data_dir: PathBuf,
    },
    /// The address cannot be listened on.
    #[error("listening on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The operating system gives no randomness.
    #[error("no randomness: {0}")]
    RandomSource(rand::rngs::SysError),
    /// The webhook's HTTP client cannot be built.
    #[error("webhook client: {0}")]
    Client(reqwest::Error),
    /// The journal's thread cannot be started.
    #[error("journal thread: {0}")]
    Thread(std::io::Error),
    /// Standard output is closed.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// Signals cannot be listened for.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}
