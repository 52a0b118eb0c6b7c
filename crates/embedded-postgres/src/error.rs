//! What can go wrong between "I need a database" and having one.

use std::{io, path::PathBuf, time::Duration};

/// Why there is no server, or why it refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable server binaries on this machine, and none could be fetched.
    #[error("no PostgreSQL {minimum} or newer could be found or fetched. Tried:\n{}\nWhat helps: {remedy}", list(.tried), minimum = crate::installation::MAJOR_MIN)]
    NoServer {
        /// One line for each place and package client, with what was wrong there.
        tried: Vec<String>,
        /// The one command, or setting, that helps.
        remedy: String,
    },

    /// The data directory was made by a server of another major version than those found.
    #[error(
        "{} holds data of PostgreSQL {wanted}, and only {} found here: install PostgreSQL {wanted}, or remove the directory to start afresh",
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
        /// Who holds it, as far as it is known.
        holder: String,
    },

    /// The account that runs the server can't reach the data directory.
    #[error("the server runs as {account:?}, which can't enter {}: choose a data directory under /var/lib/ridematch", .path.display())]
    OutOfReach {
        /// The account's name.
        account: String,
        /// The directory.
        path: PathBuf,
    },

    /// No directory with a path short enough for a Unix socket could be made.
    #[error("no short directory for the server's socket: tried {}", .tried.join(", "))]
    NoSocketDirectory {
        /// Each candidate, with what was wrong with it.
        tried: Vec<String>,
    },

    /// A program ended with an error.
    #[error("{program} failed: {output}")]
    Program {
        /// Its name.
        program: String,
        /// The end of what it printed.
        output: String,
    },

    /// The server didn't start, or didn't stop, in time.
    #[error("the server did not {what} within {} s; its log ends with:\n{log}", .limit.as_secs())]
    Late {
        /// "start" or "stop".
        what: &'static str,
        /// The bound that was passed.
        limit: Duration,
        /// The last lines of its log.
        log: String,
    },

    /// A database name that would need escaping.
    #[error("{0:?} is no database name: 1 to 63 of a-z, 0-9 and _, not starting with a digit")]
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
        /// The template's name.
        template: String,
        /// What the caller's function said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Adds what was being attempted to an [`io::Error`].
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
