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
const INTERVAL_S: f64 = 4.0;

/// The longest interval, when domain time runs fast: three reports fit into the 30 s.
const INTERVAL_MAX_S: f64 = 10.0;

/// The shortest interval in machine time, as far as [`INTERVAL_MAX_S`] permits: more reports would show no more on a map.
const INTERVAL_MIN_REAL_S: f64 = 0.2;

/// The shortest interval of all in machine time: at speeds where it is too long for the service, more reports only add to the load.
const INTERVAL_FLOOR_REAL_S: f64 = 0.05;

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
        let scale = context.clock.scale();
        let interval = interval(context.behavior.reports_thinned, scale);
        tokio::select! {
            () = context.clock.sleep_until(due) => {}
            // Planned at a high speed, the next report would be up to a minute late at a low one.
            () = context.clock.scale_changes_from(scale) => {
                due = due.min(context.clock.now() + seconds(phase));
                continue;
            }
        }
        let now = context.clock.now();
        context.statistics.count(|counts| {
            while due <= now {
                counts.lateness.record(now - due);
                due += interval;
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

/// The time between two reports, in domain time.
fn interval(is_thinned: bool, scale: f64) -> TimeDelta {
    let thinned_s = (INTERVAL_MIN_REAL_S * scale).clamp(INTERVAL_S, INTERVAL_MAX_S).max(INTERVAL_FLOOR_REAL_S * scale);
    seconds(if is_thinned { thinned_s } else { INTERVAL_S })
}

/// Reports the current position once, and returns whether the service responded.
///
/// A driver whom the service has set offline, for example by a reset, goes online again and reports at once: without a position
/// the driver gets no offers.
pub(super) async fn report_position(driver: &Identity) -> bool {
    match send_position(driver).await.as_deref() {
        None => false,
        Some("offline") => match driver.go_online().await {
            Ok(_) => {
                driver.online_again.notify_one();
                send_position(driver).await.is_some()
            }
            Err(error) => {
                driver.log_failure("cannot go online again", &error);
                true
            }
        },
        Some(_) => true,
    }
}

/// Sends the current position, and returns the verdict; `None` without a response.
async fn send_position(driver: &Identity) -> Option<String> {
    let context = &driver.context;
    let recorded_at = context.clock.now();
    let position = NewPosition { position: driver.car.position(recorded_at), recorded_at };
    let call = Call::put("/v1/drivers/me/location", &position);
    let Ok(PositionResponse { verdict }) = context.client.once(&driver.session, &call).await else {
        context.statistics.position("failed");
        return None;
    };
    context.statistics.position(&verdict);
    Some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_thinned_only_where_domain_time_runs_fast() {
        for (scale, expected_s) in [(1.0, 4.0), (20.0, 4.0), (40.0, 8.0), (60.0, 10.0), (200.0, 10.0), (1_000.0, 50.0)]
        {
            assert_eq!(interval(true, scale), seconds(expected_s), "{scale}");
            assert_eq!(interval(false, scale), seconds(4.0), "{scale}");
        }
    }
}
