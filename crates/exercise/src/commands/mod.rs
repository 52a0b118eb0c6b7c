//! The commands.

mod check;
mod list;
mod start;

use crate::Result;
use crate::cli::{Cli, Command};

/// The variable that names the directory of the folders that `start` makes.
pub use start::DIRECTORY_VARIABLE;

/// Runs a command. Returns whether it succeeded; a solution that fails has not.
///
/// # Errors
/// It cannot be carried out.
pub async fn run(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::List => list::list()?,
        Command::Show { name } => list::show(&name)?,
        Command::Start(options) => start::start(&options)?,
        Command::Check(options) => return check::check(&options).await,
    }
    Ok(true)
}
