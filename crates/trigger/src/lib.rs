//! Makes one event happen on a service with an open sandbox: a trip that completes, a rider that does not show up, a payment with a
//! lost response. A recipe is the sequence of HTTP calls that a rider, a driver and an operator would make.

mod cli;
mod event;
mod recipes;
mod reporter;
mod service;
mod session;
mod values;

pub use cli::Cli;
use event::Event;
pub use reporter::Print;
use reporter::Reporter;
use service::Service;
use session::Session;

/// Why an event could not be made to happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is invalid; nothing was sent.
    #[error("{0}")]
    Usage(String),
    /// The service did not respond.
    #[error("no response to {call}: {source}")]
    NoResponse {
        /// Method and path.
        call: String,
        /// The error of the HTTP client.
        source: reqwest::Error,
    },
    /// The service refused a call.
    #[error("the status of {call} is {status}: {detail}")]
    Refused {
        /// Method and path.
        call: String,
        /// The status.
        status: u16,
        /// The detail of the problem document.
        detail: String,
    },
    /// A state was not reached in time.
    #[error("timed out after {within_s} s waiting until {what}")]
    TimedOut {
        /// The state.
        what: String,
        /// The limit, seconds.
        within_s: u64,
    },
}

/// Lists the events, or makes one happen. Passes each line of output to `print`.
///
/// # Errors
/// See [`Error`].
pub async fn run(cli: &Cli, mut print: Print) -> Result<(), Error> {
    if cli.list {
        Event::ALL.iter().for_each(|event| print(&format!("{:<24}{}", event.name(), event.what())));
        return Ok(());
    }
    let event = cli.event()?;
    let values = values::of(event, &cli.set)?;
    let service = Service::new(&cli.base_url, Reporter::new(print, cli.json))?;
    let mut session = Session::new(service, values);
    let end = recipes::run(event, &mut session).await;
    session.clean_up().await;
    end?;
    session.report_ids(event.name());
    Ok(())
}
