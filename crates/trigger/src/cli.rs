//! The command line.

use clap::Parser;

use crate::Error;
use crate::event::Event;

/// Makes one event happen on a running service.
#[derive(Debug, Parser)]
#[command(name = "trigger", max_term_width = 100)]
pub struct Cli {
    /// The event, such as `trip.completed`; --list shows all
    #[arg(required_unless_present = "list", value_name = "EVENT")]
    event: Option<String>,
    /// Replace values of the recipe: `--set pickup.lat=40.75 tip.amount=500`. A path that the recipe does not use is an error
    #[arg(long, value_name = "PATH=VALUE", num_args = 1.., action = clap::ArgAction::Append)]
    pub(crate) set: Vec<String>,
    /// URL of the service; its sandbox must be open
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) base_url: String,
    /// Print each step as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// List the events
    #[arg(long)]
    pub(crate) list: bool,
}

impl Cli {
    pub(crate) fn event(&self) -> Result<Event, Error> {
        let name = self.event.as_deref().unwrap_or_default();
        Event::ALL.iter().copied().find(|event| event.name() == name).ok_or_else(|| {
            let names: Vec<_> = Event::ALL.iter().map(|event| event.name()).collect();
            Error::Usage(format!("there is no event `{name}`; there are {}", names.join(", ")))
        })
    }
}
