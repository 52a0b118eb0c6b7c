//! Says where a car is, every four seconds of domain time.

use std::time::Duration;

use chrono::TimeDelta;
use rand::RngExt;

use crate::clock::seconds;
use crate::dice::dice;
use crate::web::api::{NewPosition, PositionTaken};
use crate::web::{Backoff, Call};

use super::Identity;

/// Seven of these fit into the 30 s after which the service offers a car no rides.
const INTERVAL: TimeDelta = TimeDelta::seconds(4);

/// A service that is away is not shouted at, but must hear from the car soon after it is back.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Sends positions for ever. A position that can't be sent is not sent again: the next one says more.
///
/// A tick's lateness is how late its position set out, also when that was because the one before had no answer yet; one
/// position then stands for all ticks that are overdue. Pauses while the service is away are no lateness.
pub(super) async fn beacon(driver: &Identity) {
    let world = &driver.world;
    // A phase of its own for each car spreads the fleet's positions over the four seconds.
    let phase = dice(world.seed, &format!("{}/beacon", driver.vehicle.name)).random_range(0.0..4.0);
    let mut due = world.clock.now() + seconds(phase);
    let mut backoff = Backoff::new(driver.session.name());
    loop {
        world.clock.sleep_until(due).await;
        let now = world.clock.now();
        world.tally.count(|counts| {
            while due <= now {
                counts.lateness.record(now - due);
                due += INTERVAL;
            }
        });
        if report(driver).await {
            backoff.reset();
        } else {
            tokio::time::sleep(backoff.wait(None).min(PAUSE_MAX)).await;
            due = due.max(world.clock.now());
        }
    }
}

/// Sends the position of now, once; says whether the service took notice of it.
pub(super) async fn report(driver: &Identity) -> bool {
    let world = &driver.world;
    let recorded_at = world.clock.now();
    let position = NewPosition { position: driver.car.position(recorded_at), recorded_at };
    let call = Call::put("/v1/drivers/me/location", &position);
    let Ok(PositionTaken { verdict }) = world.client.once(&driver.session, &call).await else {
        world.tally.position("failed");
        return false;
    };
    world.tally.position(&verdict);
    if verdict == "offline" {
        // The service took the driver for lost. This one is at work.
        if let Err(failure) = driver.go_online().await {
            driver.note("can't go online again", &failure);
        }
    }
    true
}
