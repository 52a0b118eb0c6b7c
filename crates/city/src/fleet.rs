//! The drivers of a run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::driver::{Identity, run_driver};
use crate::model::Vehicle;
use crate::run_context::RunContext;

/// How long a run waits for its drivers to come online, in machine time.
const ONLINE_TIMEOUT: Duration = Duration::from_secs(30);
/// The most drivers that go offline at the same time.
const OFFLINE_CONCURRENCY: usize = 16;

/// The running drivers. Dropping this ends their tasks without going offline.
pub(crate) struct Fleet {
    drivers: Vec<Arc<Identity>>,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Starts the drivers, and returns when all are online or [`ONLINE_TIMEOUT`] has passed.
    pub async fn start(context: &Arc<RunContext>, vehicles: &[Vehicle]) -> Self {
        let mut fleet = Self { drivers: Vec::new(), tasks: JoinSet::new() };
        for vehicle in vehicles {
            let driver = Arc::new(Identity::new(context.clone(), vehicle.clone()));
            fleet.drivers.push(driver.clone());
            fleet.tasks.spawn(run_driver(driver));
        }
        let all_online = async {
            while context.statistics.counts().online < vehicles.len() as u64 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(ONLINE_TIMEOUT, all_online).await.is_err() {
            tracing::warn!("{} of {} drivers are online", context.statistics.counts().online, vehicles.len());
        }
        fleet
    }

    /// Ends all drivers and sets them offline, so that the service offers them no more rides.
    pub async fn go_offline(mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!("a driver's task failed: {error}");
            }
        }
        self.tasks.shutdown().await;
        let go_offline = |driver: Arc<Identity>| async move {
            if let Err(error) = driver.go_offline().await {
                tracing::warn!("a driver cannot go offline: {error}");
            }
        };
        stream::iter(self.drivers).for_each_concurrent(OFFLINE_CONCURRENCY, go_offline).await;
    }
}
