//! The service's program, for programs that start it.

use std::path::PathBuf;

use tokio::process::Command;

use crate::BoxError;

/// Returns the service's program, which is beside the one that runs. Under `cargo run`, cargo first brings it up to date.
///
/// # Errors
/// It does not compile, or there is none.
pub async fn service_program() -> Result<PathBuf, BoxError> {
    let program = std::env::current_exe()?.with_file_name("ridematch");
    // `cargo run` sets this for the program that it starts.
    if let Some(cargo) = std::env::var_os("CARGO") {
        let profile: &[&str] = if cfg!(debug_assertions) { &[] } else { &["--release"] };
        let arguments = ["build", "--quiet", "--package", "ridematch", "--bin", "ridematch"];
        let status = Command::new(cargo).args(arguments).args(profile).kill_on_drop(true).status().await?;
        if !status.success() {
            return Err("the service does not compile".into());
        }
    }
    if program.is_file() {
        return Ok(program);
    }
    Err(format!(
        "{} is missing: build it with `cargo build --release`, or name another with --program",
        program.display()
    )
    .into())
}
