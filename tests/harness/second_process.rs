//! A second service on the database of the first.

use ridematch::platform::config::Config;
use ridematch::startup::Running;

use super::{Actor, App, free_address, start_service};

/// A service with an address.
pub trait HasBaseUrl {
    fn base_url(&self) -> String;
}

impl HasBaseUrl for Running {
    fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl App {
    /// Starts a second service on this database, with a changed copy of the first one's configuration.
    pub async fn second_process(&self, change: impl FnOnce(&mut Config)) -> Running {
        let mut config = self.config.clone();
        config.listen = free_address();
        change(&mut config);
        start_service(&config).await
    }

    /// Starts a production service on this database: without the sandbox.
    pub async fn production(&self) -> Running {
        self.production_with(|_| ()).await
    }

    /// Starts a production service on this database, with a changed copy of the first one's configuration.
    pub async fn production_with(&self, change: impl FnOnce(&mut Config)) -> Running {
        let mut config = Config { listen: free_address(), ..self.config.clone() };
        change(&mut config);
        ridematch::startup::start(&config).await.expect("the service starts")
    }
}

impl Actor {
    /// Returns the same actor as a client of another service.
    pub fn at(&self, service: &impl HasBaseUrl) -> Self {
        Self { base_url: service.base_url(), ..self.clone() }
    }
}
