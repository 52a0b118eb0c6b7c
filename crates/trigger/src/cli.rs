//! The command line, for the binary that takes this in.

use clap::Args;

use crate::Error;
use crate::event::Event;

/// Makes one thing happen to a running service.
#[derive(Debug, Args)]
pub struct Cli {
    /// What is to happen, such as `trip.completed`; --list names them all.
    #[arg(required_unless_present = "list", value_name = "EVENT")]
    event: Option<String>,
    /// Other values than the recipe's: `--set pickup.lat=40.75 tip.amount=500`. One that does not apply is an error.
    #[arg(long, value_name = "PATH=VALUE", num_args = 1.., action = clap::ArgAction::Append)]
    pub(crate) set: Vec<String>,
    /// Where the service answers; its sandbox must be open.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) base_url: String,
    /// Tell each step as a line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// List the events, and do nothing.
    #[arg(long)]
    pub(crate) list: bool,
}

impl Cli {
    /// The event that is asked for.
    pub(crate) fn event(&self) -> Result<Event, Error> {
        let name = self.event.as_deref().unwrap_or_default();
        Event::ALL.iter().copied().find(|event| event.name() == name).ok_or_else(|| {
            let names: Vec<_> = Event::ALL.iter().map(|event| event.name()).collect();
            Error::Asked(format!("there is no event `{name}`; there are {}", names.join(", ")))
        })
    }
}
