//! What all riders and drivers of one run share.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use crate::behavior::Behavior;
use crate::clock::{Clock, as_seconds};
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
    /// The window in which driving times count, once it is known.
    window: OnceLock<(DateTime<Utc>, DateTime<Utc>)>,
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
        Ok(Self::with_clock((city, behavior, seed), Clock::new(clock), Arc::new(client), statistics))
    }

    /// A run on a service whose clock is known.
    pub fn with_clock(
        (city, behavior, seed): (CityModel, Behavior, u64),
        clock: Clock,
        client: Arc<Client>,
        statistics: Arc<Statistics>,
    ) -> Self {
        let started_at = clock.now();
        let (pins, window) = (PinExchange::default(), OnceLock::new());
        Self { city, client, clock, pins, statistics, behavior, seed, started_at, window }
    }

    /// Keeps the clock in step with the service until it is dropped.
    pub async fn follow_service_clock(&self) {
        self.clock.synchronize(async || self.client.clock().await.ok()).await;
    }

    /// Sets the window in which driving times count. Only the first call has an effect.
    pub fn set_window(&self, from: DateTime<Utc>, until: DateTime<Utc>) {
        self.window.get_or_init(|| (from, until));
    }

    /// The part of a period that is in the window, in seconds; the whole period as long as there is no window.
    pub fn seconds_in_window(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> f64 {
        let (opens, closes) = self.window.get().copied().unwrap_or((from, until));
        as_seconds(until.min(closes) - from.max(opens)).max(0.0)
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

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;
    use crate::clock::{Reading, machine_now};
    use crate::model::{NamedMap, Traffic};
    use crate::streets::Streets;

    /// A run without streets, drivers and a service, at a thousand times real speed.
    pub(crate) fn offline(behavior: Behavior) -> RunContext {
        let domain = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let reading = Reading { domain, scale: 1_000.0, received: machine_now(), round_trip: Duration::ZERO };
        let statistics = Arc::new(Statistics::default());
        let client = Arc::new(Client::new("http://127.0.0.1:1", statistics.clone()).unwrap());
        let city = CityModel {
            streets: Streets::none(),
            fleet: Vec::new(),
            traffic: Traffic::AsMapped,
            map: NamedMap::default(),
        };
        RunContext::with_clock((city, behavior, 1), Clock::new(reading), client, statistics)
    }

    #[test]
    fn only_the_part_within_the_window_counts() {
        let context = offline(Behavior::default());
        let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
        let counted = |from, until| context.seconds_in_window(at(from), at(until));
        assert!((counted(0, 100) - 100.0).abs() < 1e-9, "there is no window");
        context.set_window(at(50), at(80));
        for (from, until, expected) in [(0, 100, 30.0), (60, 70, 10.0), (0, 40, 0.0), (90, 100, 0.0), (70, 100, 10.0)] {
            assert!((counted(from, until) - expected).abs() < 1e-9, "{from} to {until}");
        }
    }
}
