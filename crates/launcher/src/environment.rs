//! What a program of this workspace takes from the environment: nothing but what is listed here.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

/// The variables that a child process inherits. The shell's others are not for it: settings of another service, proxies, options of
/// libpq, locales and time zones.
pub const INHERITED: [&str; 9] = [
    // Where programs, files and the user's directories are.
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    // Where the system's root certificates are, for HTTPS.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // For developers.
    "RIDEMATCH_LOG",
    "RUST_BACKTRACE",
    "LLVM_PROFILE_FILE",
];

/// The prefix of libpq's variables, which sqlx reads as well: PGOPTIONS, PGSSLMODE, PGAPPNAME, …
const LIBPQ: &str = "PG";

/// Leaves a command only the [`INHERITED`] variables of this process. Variables that it was given before are removed.
pub fn isolate(command: &mut Command) -> &mut Command {
    command.env_clear().envs(INHERITED.into_iter().filter_map(|name| Some((name, env::var_os(name)?))))
}

/// Replaces this process by the same program without libpq's variables, unless it has none. For programs whose databases are their own:
/// sqlx adds PGOPTIONS to every connection, whatever the URL says, and a process cannot safely remove its own variables.
///
/// # Errors
/// If the program cannot be started again.
pub fn shed_libpq() -> io::Result<()> {
    let is_libpq = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with(LIBPQ));
    let shed: Vec<OsString> = env::vars_os().map(|(name, _)| name).filter(is_libpq).collect();
    if shed.is_empty() {
        return Ok(());
    }
    let mut command = Command::new(env::current_exe()?);
    command.args(env::args_os().skip(1));
    for name in shed {
        command.env_remove(name);
    }
    // Only returns if it fails. The process id stays.
    Err(command.exec())
}

/// Returns the directory of a program's files for this user: the one that `variable` names, or `ridematch/{name}` in `$XDG_DATA_HOME` or
/// `~/.local/share`. It may not exist yet.
///
/// # Errors
/// None of the variables is set.
pub fn user_dir(variable: &str, name: &str) -> io::Result<PathBuf> {
    let path = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = path(variable) {
        return std::path::absolute(folder);
    }
    let data = path("XDG_DATA_HOME").filter(|data| data.is_absolute());
    let data = data.or_else(|| path("HOME").map(|home| home.join(".local/share")));
    let missing =
        || io::Error::other(format!("there is no place for your files: set HOME, XDG_DATA_HOME or {variable}"));
    Ok(data.ok_or_else(missing)?.join("ridematch").join(name))
}
