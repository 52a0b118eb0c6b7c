//! The subcommands, one file each.

mod authoring;
mod check;
mod context;
mod diagnose;
mod guide;
mod hint;
mod list;
mod mitigate;
mod observe;
mod page;
mod refresh;
mod repair;
mod report;
mod reset;
mod reveal;
mod review;
mod runs;
mod serve;
mod serve_page;
mod start;
mod trial;
mod verify;

pub use context::{Context, Output};
use futures_util::future::LocalBoxFuture;

use crate::{
    Result,
    cli::{Cli, Command},
};

/// Runs a subcommand. Boxed, so that it is compiled with this library and not again with each program and test.
///
/// # Errors
///
/// Bad use, or something that it needs fails: one clear line with the way out.
pub fn run<'a>(context: &'a Context, cli: &'a Cli) -> LocalBoxFuture<'a, Result<Output>> {
    Box::pin(run_command(context, cli))
}

async fn run_command(context: &Context, cli: &Cli) -> Result<Output> {
    match &cli.command {
        Command::List => list::run(context),
        Command::Start(arguments) => start::run(context, arguments).await,
        Command::Host(arguments) => start::host(context, arguments).await,
        Command::Observe(arguments) => observe::run(context, arguments).await,
        Command::Diagnose(arguments) if arguments.review => review::run(context, arguments).await,
        Command::Diagnose(arguments) => diagnose::run(context, arguments),
        Command::Try => trial::run(context).await,
        Command::Check => check::run(context).await,
        Command::Hint => hint::run(context),
        Command::Mitigate(arguments) => mitigate::run(context, arguments).await,
        Command::Repair(arguments) => repair::run(context, arguments).await,
        Command::Reveal(arguments) => reveal::run(context, arguments),
        Command::Reset => reset::run(context).await,
        Command::Report => report::run(context),
        Command::Stop => serve::stop_command(context).await,
        Command::Verify(arguments) => verify::run(context, arguments).await,
        Command::New { slug } => authoring::new(context, slug),
        Command::Seal(which) => authoring::seal(context, &which.drill),
        Command::Open(which) => authoring::open(context, &which.drill),
        Command::Refresh(which) => refresh::run(context, &which.drill),
        Command::Serve => serve::run(context).await,
    }
}
