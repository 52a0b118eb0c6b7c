//! Position reports: one every four seconds of domain time.

use std::time::Duration;

use chrono::TimeDelta;
use rand::RngExt;

use crate::clock::seconds;
use crate::random::seeded_random;
use crate::web::api::{NewPosition, PositionResponse};
use crate::web::{Backoff, Call};

use super::Identity;

/// Seven reports fit into the 30 s after which the service offers a driver no rides.
const INTERVAL: TimeDelta = TimeDelta::seconds(4);

/// The longest pause while the service is down. Short, so that reports continue soon after a restart.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Reports positions until it is dropped. A failed report is not retried: the next one replaces it.
///
/// The lateness of a report counts from its planned time, also when it waited for the response to the previous one. One
/// report then covers all overdue ones. Pauses while the service is down do not count as lateness.
pub(super) async fn report_positions(driver: &Identity) {
    let context = &driver.context;
    // A random phase spreads the reports of the fleet over the interval.
    let phase = seeded_random(context.seed, &format!("{}/phase", driver.vehicle.name)).random_range(0.0..4.0);
    let mut due = context.clock.now() + seconds(phase);
    let mut backoff = Backoff::new(driver.session.name());
    loop {
        context.clock.sleep_until(due).await;
        let now = context.clock.now();
        context.statistics.count(|counts| {
            while due <= now {
                counts.lateness.record(now - due);
                due += INTERVAL;
            }
        });
        if report_position(driver).await {
            backoff.reset();
        } else {
            tokio::time::sleep(backoff.wait(None).min(PAUSE_MAX)).await;
            due = due.max(context.clock.now());
        }
    }
}

/// Reports the current position once, and returns whether the service responded.
pub(super) async fn report_position(driver: &Identity) -> bool {
    let context = &driver.context;
    let recorded_at = context.clock.now();
    let position = NewPosition { position: driver.car.position(recorded_at), recorded_at };
    let call = Call::put("/v1/drivers/me/location", &position);
    let Ok(PositionResponse { verdict }) = context.client.once(&driver.session, &call).await else {
        context.statistics.position("failed");
        return false;
    };
    context.statistics.position(&verdict);
    if verdict == "offline" {
        // The service has set the driver offline, for example after a reset.
        if let Err(error) = driver.go_online().await {
            driver.log_failure("cannot go online again", &error);
        }
    }
    true
}
