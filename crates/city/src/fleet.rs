//! All drivers of one run.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::task::JoinSet;

use crate::driver::{Identity, drive};
use crate::source::Vehicle;
use crate::world::World;

/// So long, in machine time, the first riders wait for drivers who don't come online.
const ONLINE_WITHIN: Duration = Duration::from_secs(30);
/// How many drivers say good-bye at once.
const LEAVING_AT_ONCE: usize = 16;

/// The drivers at work. Dropping it lets them vanish without a word.
pub(crate) struct Fleet {
    drivers: Vec<Arc<Identity>>,
    tasks: JoinSet<()>,
}

impl Fleet {
    /// Sends the drivers to work, and returns when all of them are online or it has taken too long.
    pub async fn start(world: &Arc<World>, vehicles: &[Vehicle]) -> Self {
        let mut fleet = Self { drivers: Vec::new(), tasks: JoinSet::new() };
        for vehicle in vehicles {
            let driver = Arc::new(Identity::new(world.clone(), vehicle.clone()));
            fleet.drivers.push(driver.clone());
            fleet.tasks.spawn(drive(driver));
        }
        let all_online = async {
            while world.tally.counts().online < vehicles.len() as u64 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(ONLINE_WITHIN, all_online).await.is_err() {
            tracing::warn!("{} of {} drivers are online", world.tally.counts().online, vehicles.len());
        }
        fleet
    }

    /// Takes everybody off the streets and offline, so that nobody is offered a ride who is not there.
    pub async fn go_home(mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!("a driver is lost: {error}");
            }
        }
        self.tasks.shutdown().await;
        let leave = |driver: Arc<Identity>| async move {
            if let Err(failure) = driver.go_offline().await {
                tracing::warn!("a driver can't go offline: {failure}");
            }
        };
        stream::iter(self.drivers).for_each_concurrent(LEAVING_AT_ONCE, leave).await;
    }
}
