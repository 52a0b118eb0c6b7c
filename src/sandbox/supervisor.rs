//! The line to whoever started this process, and starts it again when it dies.
//!
//! A process that kills itself could still choose its moment. So it only says that it wants to be killed, on standard output, and
//! the supervisor sends SIGKILL: no destructor runs, no answer is finished, no transaction ends.

use std::io::Write;

use crate::platform::error::{Code, Refusal, Result};

/// What the supervisor finds on a line of standard output.
pub const KILL_ME: &str = "kill me";

/// Asks to be killed.
///
/// # Errors
/// [`Code::NotSupervised`] if the supervisor hears nothing any more.
pub fn ask_to_be_killed() -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{KILL_ME}").and_then(|()| out.flush()).map_err(|error| {
        let detail = format!("The supervisor cannot be reached: {error}.");
        Refusal::new(Code::NotSupervised, detail).into()
    })
}
