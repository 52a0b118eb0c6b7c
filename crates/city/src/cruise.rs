//! The procedural city on a running service: endless, for the demo.

use std::sync::Arc;

use crate::cli::Drive;
use crate::fleet::Fleet;
use crate::habits::Habits;
use crate::run::Missed;
use crate::source::Demand;
use crate::source::procedural;
use crate::world::World;
use crate::{Error, publish, run};

/// Fills a service with drivers and riders until Ctrl-C, then takes the drivers offline. Dropping it ends it at once.
///
/// # Errors
/// When the service's clock can't be read.
pub async fn drive(options: &Drive) -> Result<(), Error> {
    let Drive { base_url, drivers, seed } = options;
    let place = procedural::city(*seed, usize::try_from(*drivers).unwrap_or(usize::MAX));
    let world = Arc::new(World::begin(place, base_url, *seed, Habits::cruising()).await?);
    publish::streets(&world).await;
    let fleet = Fleet::start(&world, &world.place.fleet).await;
    let opened = world.clock.now();
    let demand = Demand::new(*seed, opened, *drivers, &world.place.streets);
    tokio::select! {
        () = run::serve(&world, opened, demand, Missed::DepartLater, |_| {}) => {}
        () = world.keep_time() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    fleet.go_home().await;
    Ok(())
}
