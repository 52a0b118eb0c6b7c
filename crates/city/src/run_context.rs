//! What all riders and drivers of one run share.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::behavior::Behavior;
use crate::clock::Clock;
use crate::model::CityModel;
use crate::pin_exchange::PinExchange;
use crate::statistics::Statistics;
use crate::web::{CallError, Client};

/// The city, the service, the clock and the statistics of a run.
#[derive(Debug)]
pub(crate) struct RunContext {
    pub city: CityModel,
    pub client: Arc<Client>,
    pub clock: Clock,
    pub pins: PinExchange,
    pub statistics: Arc<Statistics>,
    pub behavior: Behavior,
    pub seed: u64,
    /// Domain time of the start. It is part of the ids of riders, so that a second run with the same seed does not find the
    /// rides of the first.
    pub started_at: DateTime<Utc>,
}

impl RunContext {
    /// Connects to the service, and reads its clock.
    ///
    /// # Errors
    /// The clock of the service cannot be read.
    pub async fn new(city: CityModel, base_url: &str, seed: u64, behavior: Behavior) -> Result<Self, crate::Error> {
        let statistics = Arc::new(Statistics::default());
        let client = Client::new(base_url, statistics.clone())?;
        let clock = client.clock().await.map_err(|error| crate::Error::Service {
            base_url: base_url.to_owned(),
            reason: format!("its clock cannot be read: {error}"),
        })?;
        let clock = Clock::new(clock);
        let started_at = clock.now();
        Ok(Self {
            city,
            client: Arc::new(client),
            clock,
            pins: PinExchange::default(),
            statistics,
            behavior,
            seed,
            started_at,
        })
    }

    /// Keeps the clock in step with the service until it is dropped.
    pub async fn follow_service_clock(&self) {
        self.clock.synchronize(async || self.client.clock().await.ok()).await;
    }

    /// The factor by which drives take longer now than on the map.
    pub fn slowness(&self) -> f64 {
        self.city.traffic.slowness(self.clock.now())
    }

    /// Logs a failed call of an actor.
    pub fn log_failure(&self, actor: &str, what: &str, error: &CallError) {
        tracing::warn!(actor, at = %self.clock.now(), "{what}: {error}");
    }
}
