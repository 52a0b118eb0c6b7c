//! The procedural city on a running service, until it is stopped; for the demo.

use std::sync::Arc;

use futures_util::future::LocalBoxFuture;

use crate::behavior::Behavior;
use crate::cli::Drive;
use crate::fleet::Fleet;
use crate::model::Demand;
use crate::model::procedural;
use crate::riders::{SkippedDepartures, run_riders};
use crate::run_context::RunContext;
use crate::{Error, publish};

/// Runs drivers and riders until Ctrl-C, then sets the drivers offline. Dropping the future ends it at once.
///
/// The future is boxed, so that it is compiled with this crate and not with the program.
///
/// # Errors
/// The clock of the service cannot be read.
pub fn drive(options: &Drive) -> LocalBoxFuture<'_, Result<(), Error>> {
    Box::pin(drive_until_stopped(options))
}

async fn drive_until_stopped(options: &Drive) -> Result<(), Error> {
    let Drive { base_url, drivers, seed, reactions } = options;
    let city = procedural::city(*seed, usize::try_from(*drivers).unwrap_or(usize::MAX));
    let context = Arc::new(RunContext::new(city, base_url, *seed, Behavior::with_cruising(*reactions)).await?);
    publish::streets(&context).await;
    let fleet = Fleet::start(&context, &context.city.fleet).await;
    let opened = context.clock.now();
    let demand = Demand::new(*seed, opened, *drivers, &context.city.streets);
    tokio::select! {
        () = run_riders(&context, opened, demand, SkippedDepartures::Later, |_| {}) => {}
        () = context.follow_service_clock() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    fleet.go_offline().await;
    Ok(())
}
