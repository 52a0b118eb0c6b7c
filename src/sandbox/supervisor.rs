//! Requests to the supervisor that started this process and restarts it.
//!
//! A process that kills itself could still choose its moment. It therefore only prints a request, and the supervisor sends
//! SIGKILL: no destructor runs, no response finishes, no transaction ends.

use std::io::Write;

use crate::platform::error::{Code, Refusal, Result};

/// The line of standard output that asks the supervisor to kill this process.
pub const KILL_REQUEST: &str = "kill me";

/// Asks the supervisor to kill this process.
///
/// # Errors
/// [`Code::NotSupervised`] if standard output is closed.
pub fn request_kill() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{KILL_REQUEST}").and_then(|()| out.flush()).map_err(|error| {
        let detail = format!("The supervisor does not read standard output: {error}.");
        Refusal::new(Code::NotSupervised, detail).into()
    })
}
