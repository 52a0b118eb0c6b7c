//! The error type.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no server, or why it rejected a statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable server binaries on this machine, and none could be fetched.
    #[error("no PostgreSQL {minimum} or newer could be found or fetched. Tried:\n{}\nFix: {remedy}", list(.tried), minimum = crate::installation::MAJOR_MIN)]
    NoServer {
        /// One line for each directory and package client, with what was wrong.
        tried: Vec<String>,
        /// The command or setting that fixes it.
        remedy: String,
    },

    /// The data directory was made by a server of another major version than those found.
    #[error(
        "{} contains data of PostgreSQL {wanted}, but this machine has only {}: install PostgreSQL {wanted}, or move the directory away to start with no data",
        .data_dir.display(), found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    DataOfOtherVersion {
        /// The data directory.
        data_dir: PathBuf,
        /// The major version that wrote it.
        wanted: u32,
        /// The major versions of the servers on this machine.
        found: Vec<u32>,
    },

    /// Another live process owns this data directory.
    #[error("{} is in use by {holder}: stop it, or choose another data directory", .data_dir.display())]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The process that owns it, as far as known.
        holder: String,
    },

    /// The account that runs the server cannot enter the data directory.
    #[error("the server runs as {account:?}, which cannot enter {}: choose a data directory under /var/lib/ridematch", .path.display())]
    Inaccessible {
        /// The name of the account.
        account: String,
        /// The directory.
        path: PathBuf,
    },

    /// No directory with a path short enough for a Unix socket could be made.
    #[error("no short directory for the server's socket: tried {}", .tried.join(", "))]
    NoSocketDirectory {
        /// Each candidate, with what was wrong.
        tried: Vec<String>,
    },

    /// A program failed.
    #[error("{program} failed: {output}")]
    Program {
        /// The name of the program.
        program: String,
        /// The end of its output.
        output: String,
    },

    /// The server did not start or stop in time.
    #[error("the server did not {what} within {} s; its log ends with:\n{log}", .limit.as_secs())]
    Timeout {
        /// "start" or "stop".
        what: &'static str,
        /// The time limit.
        limit: Duration,
        /// The last lines of the log.
        log: String,
    },

    /// A database name that would need escaping.
    #[error("invalid database name {0:?}: must be 1 to 63 of a-z, 0-9 and _, not starting with a digit")]
    Name(String),

    /// The server refused.
    #[error("database {database}: {source}")]
    Database {
        /// The database at which the request was aimed.
        database: String,
        /// What the server said.
        source: sqlx::Error,
    },

    /// The caller's own preparation of a template database failed.
    #[error("could not prepare template {template}: {source}")]
    Prepare {
        /// The name of the template.
        template: String,
        /// The error of the caller's function.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// An operation of the operating system failed.
    #[error("{what}: {source}")]
    Io {
        /// The operation, with the path.
        what: String,
        /// The operating system's error.
        source: io::Error,
    },
}

/// Adds the operation to an [`io::Error`].
pub(crate) trait Attempt<T> {
    /// Wraps the error; `what` names the operation and the path.
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T> Attempt<T> for io::Result<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}

fn list(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  - {line}")).collect::<Vec<_>>().join("\n")
}
