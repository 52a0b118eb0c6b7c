//! Makes one thing happen to a service with an open sandbox: a trip that completes, a rider who does not show up, a payment whose
//! answer is lost. Each is the sequence of calls that a rider, a driver and an operator would make, over HTTP and by nothing else.

mod cli;
mod event;
mod service;
mod stage;
mod tale;
mod told;
mod values;

use std::process::ExitCode;

pub use cli::Cli;
use event::Event;
use service::Service;
use stage::Stage;
use told::Told;

/// Why an event could not be made to happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be: nothing was sent.
    #[error("{0}")]
    Asked(String),
    /// The service cannot be reached.
    #[error("no answer to {call}: {source}")]
    NoAnswer {
        /// Method and path.
        call: String,
        /// What the HTTP library says.
        source: reqwest::Error,
    },
    /// The service answered otherwise than it should have.
    #[error("{call} was answered {status}: {detail}")]
    Refused {
        /// Method and path.
        call: String,
        /// The status.
        status: u16,
        /// The problem's own words.
        detail: String,
    },
    /// Something did not come about in time.
    #[error("waited {within_s} s in vain until {what}")]
    Late {
        /// What.
        what: String,
        /// How long.
        within_s: u64,
    },
}

/// Runs the command: lists the events, or makes one happen and tells each step.
///
/// # Errors
/// See [`Error`]. What is wrong with the command line itself is printed, and the exit code is 2.
pub async fn run(cli: &Cli) -> Result<ExitCode, Error> {
    if cli.list {
        Event::ALL.iter().for_each(|event| println!("{:<24}{}", event.name(), event.what()));
        return Ok(ExitCode::SUCCESS);
    }
    let asked = cli.event().and_then(|event| Ok((event, values::of(event, &cli.set)?)));
    let (event, values) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            eprintln!("ridematch trigger: {error}");
            return Ok(ExitCode::from(2));
        }
    };
    let service = Service::new(&cli.base_url, Told::new(cli.json))?;
    let mut stage = Stage::new(service, values);
    let end = tale::tell(event, &mut stage).await;
    stage.clear().await;
    end?;
    stage.told_ids(event.name());
    Ok(ExitCode::SUCCESS)
}
