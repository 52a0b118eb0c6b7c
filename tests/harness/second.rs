//! A second process of the service, on the database of the first.

use ridematch::platform::config::Config;
use ridematch::sandbox::Recorder;
use ridematch::startup::{self, Running};

use super::{Actor, App, free_address};

impl App {
    /// Starts another process on this database, with the configuration that `change` makes of the first one's.
    pub async fn another(&self, change: impl FnOnce(&mut Config)) -> Running {
        let mut config = self.config.clone();
        config.listen = free_address();
        change(&mut config);
        startup::start(&config, Recorder::default()).await.expect("a second process")
    }
}

impl Actor {
    /// The same person, who speaks with another process.
    pub fn at(&self, service: &Running) -> Self {
        Self { base_url: format!("http://{}", service.address), ..self.clone() }
    }
}
