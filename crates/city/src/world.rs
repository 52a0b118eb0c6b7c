//! What all riders and drivers of one run share.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::exchange::Exchange;
use crate::habits::Habits;
use crate::source::Place;
use crate::tally::Tally;
use crate::web::{Client, Failure};

/// One run's city: its place, its service, its clock, and its books.
#[derive(Debug)]
pub(crate) struct World {
    pub place: Place,
    pub client: Arc<Client>,
    pub clock: Clock,
    pub exchange: Exchange,
    pub tally: Arc<Tally>,
    pub habits: Habits,
    pub seed: u64,
    /// Domain time when the run began. It is part of the riders' identities: the same seed, run again on the same service,
    /// must not find the rides of the first run.
    pub began: DateTime<Utc>,
}

impl World {
    /// Reads the service's clock, and begins.
    ///
    /// # Errors
    /// When the service's clock can't be read.
    pub async fn begin(place: Place, base_url: &str, seed: u64, habits: Habits) -> Result<Self, crate::Error> {
        let tally = Arc::new(Tally::default());
        let client = Client::new(base_url, tally.clone())?;
        let clock = client.clock().await.map_err(|failure| crate::Error::Service {
            base_url: base_url.to_owned(),
            reason: format!("its clock can't be read: {failure}"),
        })?;
        let clock = Clock::new(clock);
        let began = clock.now();
        Ok(Self { place, client: Arc::new(client), clock, exchange: Exchange::default(), tally, habits, seed, began })
    }

    /// Keeps this run's clock with the service's, for ever.
    pub async fn keep_time(&self) {
        self.clock.follow(async || self.client.clock().await.ok()).await;
    }

    /// How much longer drives take now than the map says.
    pub fn slowness(&self) -> f64 {
        self.place.traffic.slowness(self.clock.now())
    }

    /// Notes a failure that an actor could not mend, for whoever reads the log.
    pub fn note(&self, who: &str, what: &str, failure: &Failure) {
        tracing::warn!(actor = who, at = %self.clock.now(), "{what}: {failure}");
    }
}
