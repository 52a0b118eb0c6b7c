//! Three faults, each alone, once all others have ended. What stands still then does so because of the fault, so that a missing
//! time-out or a missing reconciliation fails the run, although no record is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use reqwest::Client;
use serde_json::json;
use sqlx::{Connection, Executor};
use tokio::sync::Notify;

use super::fault::{FREEZE, HOLD_ROWS, LOSE_WAKES};
use super::{FaultInjector, locks, lose_wakes};
use crate::BoxError;
use crate::actors::{Actor, Context, Role};

/// Workers that run at least every second, whatever there is to do.
const WORKERS: [&str; 9] = [
    "authorizations",
    "clock",
    "deadlines",
    "dispatch",
    "outbox",
    "provider-events",
    "settlement",
    "unresponsive-drivers",
    "webhooks",
];

/// How often each has to run while rows are held. Without the fault it is at least six times.
const RUNS_MIN: u64 = 2;

/// How long the workers are watched. Longer than a lock is waited for (3 s), and than a transaction may be idle (5 s).
const WATCHED_FOR: Duration = Duration::from_secs(7);

/// How long a service is stopped in a transaction.
const FROZEN_FOR: Duration = Duration::from_secs(18);

/// Domain seconds after which every offer has expired: it is valid for 15.
const OFFERS_EXPIRE_AFTER_S: i64 = 16;

/// Domain seconds that a deadline may be late.
const LATE_S: f64 = 6.0;

/// How long the held trip may take once its row is released.
const RELEASED_WITHIN: Duration = Duration::from_secs(3);

/// How long wakes are lost: the wake of the driver is sent within milliseconds.
const DEAF_FOR: Duration = Duration::from_secs(1);

/// How long a driver may be missing in the index after a lost wake: the index is reconciled every ten seconds, and a difference is
/// looked at twice.
const FOUND_WITHIN: Duration = Duration::from_secs(20);

/// How long a trip may take to be offered. What the provider's faults have delayed is authorized first.
const OFFERED_WITHIN: Duration = Duration::from_secs(30);

/// Drivers that are tried until the wake of one is lost. The first ones may meet an election of the matcher.
const DRIVERS_MAX: u32 = 10;

/// The most tries to stop a service in a transaction.
const FREEZES_MAX: u32 = 3;

/// How long the transaction of a stopped service may stay open: the database ends it after five seconds.
const OPEN_AT_MOST: Duration = Duration::from_secs(6);

/// Numbers of these drivers; lower ones are taken.
const FIRST_DRIVER: u32 = 900;

/// Far from every rider.
const REMOTE: (f64, f64) = (-48.87, -123.39);

/// How long a service may take to show its metrics.
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl FaultInjector {
    /// Injects each of the three faults alone. All processes must be ready. Returns what stood still, in words.
    ///
    /// # Errors
    /// If the processes are not ready afterwards.
    pub async fn check_progress(self: &Arc<Self>, context: &Arc<Context>) -> Result<Vec<String>, BoxError> {
        let (stack, mut stood_still) = (&self.stack, Vec::new());
        // No commit is lost either, and the provider answers.
        stack.database_proxy.shapes().set_enabled(false);
        if let Some(url) = stack.provider_url() {
            self.provider.count(&url).await;
            self.provider.heal(&url).await;
        }
        let (rows, wakes) = tokio::join!(self.hold_rows_alone(), self.lose_a_wake(context));
        for (kind, end) in [(HOLD_ROWS, rows?), (LOSE_WAKES, wakes), (FREEZE, self.freeze_one().await?)] {
            let kind = alone(kind);
            self.log.add(&kind, kind.clone(), end.is_some());
            stood_still.extend(end.unwrap_or_default());
        }
        stack.ready().await?;
        stack.database_proxy.shapes().set_enabled(true);
        Ok(stood_still)
    }

    /// Holds the rows of an offered trip and of drivers while every offer expires. Returns what stood still; `None` if no trip was
    /// offered.
    async fn hold_rows_alone(&self) -> Result<Option<Vec<String>>, BoxError> {
        let stack = &self.stack;
        let Some((mut session, trip)) = locks::lock_rows(stack, OFFERED_WITHIN).await else { return Ok(None) };
        stack.set_clock(&json!({ "advance_s": OFFERS_EXPIRE_AFTER_S })).await?;
        let mut found = self.standing_still(&[0, 1]).await;
        let late = "select count(*) from trips where id <> $1 and due_at < $2::timestamptz - make_interval(secs => $3)";
        let mut looks = stack.database.session().await?;
        let domain_now = stack.domain_now().await?;
        let late: i64 =
            sqlx::query_scalar(late).bind(trip).bind(&domain_now).bind(LATE_S).fetch_one(&mut looks).await?;
        if late > 0 {
            found.push(format!("{late} other trips were not processed while the row of one was held"));
        }
        session.execute("rollback").await?;
        session.close().await?;
        let due = "select count(*) from trips where id = $1 and due_at < $2::timestamptz";
        let released = Stopwatch::start();
        while sqlx::query_scalar::<_, i64>(due).bind(trip).bind(&domain_now).fetch_one(&mut looks).await? > 0 {
            if released.elapsed() > RELEASED_WITHIN {
                found.push(format!("the held trip was not processed within {RELEASED_WITHIN:?} of its release"));
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        looks.close().await?;
        Ok(Some(found))
    }

    /// Tries to stop a service in a transaction, since there may be none during a try on a busy machine.
    async fn freeze_one(&self) -> Result<Option<Vec<String>>, BoxError> {
        for _ in 0..FREEZES_MAX {
            if let Some(found) = self.freeze_alone().await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stops a service in a transaction. Returns what stood still in the other one; `None` if it was not caught in a transaction.
    async fn freeze_alone(&self) -> Result<Option<Vec<String>>, BoxError> {
        self.stack.ready().await?;
        let (stack, caught) = (Arc::clone(&self.stack), Arc::new(Notify::new()));
        // Not the matcher, whose offers would have to wait for another one.
        let number = stack.matcher_number().map_or(1, |matcher| 1 - matcher);
        let shared = Arc::clone(&caught);
        let mut frozen = tokio::spawn(async move { locks::freeze(&stack, number, FROZEN_FOR, &shared).await });
        tokio::select! {
            () = caught.notified() => {}
            _ = &mut frozen => return Ok(None),
        }
        let mut found = self.standing_still(&[1 - number]).await;
        let idle = locks::idle_transactions(&self.stack, OPEN_AT_MOST).await;
        if idle > 0 {
            found.push(format!("{idle} transactions of a stopped service were open after {WATCHED_FOR:?}"));
        }
        frozen.await?;
        Ok(Some(found))
    }

    /// Watches the workers of these services. Returns those that stood still.
    async fn standing_still(&self, services: &[usize]) -> Vec<String> {
        let mut before = Vec::new();
        for number in services {
            before.push(self.worker_runs(*number).await);
        }
        tokio::time::sleep(WATCHED_FOR).await;
        let mut found = Vec::new();
        for (number, before) in services.iter().zip(before) {
            let (name, after) = (self.stack.services[*number].name, self.worker_runs(*number).await);
            let (Some(before), Some(after)) = (before, after) else {
                found.push(format!("{name} did not show its metrics"));
                continue;
            };
            for worker in WORKERS {
                let runs = |of: &BTreeMap<String, u64>| of.get(worker).copied().unwrap_or(0);
                let count = runs(&after).saturating_sub(runs(&before));
                if count < RUNS_MIN {
                    found.push(format!("the worker {worker} of {name} ran {count} times in {WATCHED_FOR:?}"));
                }
            }
        }
        found
    }

    /// Reads how often each worker of a service has run.
    async fn worker_runs(&self, number: usize) -> Option<BTreeMap<String, u64>> {
        let address = (*self.stack.services[number].address().borrow())?;
        let http: Client = launcher::http_client().timeout(RESPONSE_WITHIN).build().ok()?;
        let text = http.get(format!("http://{address}/metrics")).send().await.ok()?.text().await.ok()?;
        Some(parse_runs(&text))
    }

    /// Makes a driver available through the process that is not the matcher, loses the wake, and waits until the matcher takes the
    /// driver's position: only the reconciliation of the index can have found the driver. `None` if no wake was lost.
    async fn lose_a_wake(&self, context: &Arc<Context>) -> Option<Vec<String>> {
        for number in FIRST_DRIVER..FIRST_DRIVER + DRIVERS_MAX {
            let Some(matcher) = self.stack.matcher_number() else {
                tokio::time::sleep(DEAF_FOR).await;
                continue;
            };
            let mut driver = Actor::new(context, Role::Driver, number);
            let other = context.service_urls[1 - matcher].clone();
            let vehicle =
                |available: bool| json!({"available": available, "name": "Tor", "class": "standard", "plate": "TOR 9"});
            let (mut is_available, mut verdict) = (false, None);
            let change = async {
                let put = driver.put_to(&other, "/v1/drivers/me/availability", &vehicle(true)).await;
                is_available = put.is_some_and(|put| put.is_success());
                tokio::time::sleep(DEAF_FOR).await;
                verdict = send_position(&mut driver).await;
            };
            let lost = lose_wakes(&self.stack, change).await;
            if lost == 0 || !is_available || verdict.as_deref() != Some("offline") {
                continue;
            }
            let mut found = Vec::new();
            let waited = Stopwatch::start();
            while send_position(&mut driver).await.as_deref() != Some("accepted") {
                if waited.elapsed() > FOUND_WITHIN {
                    found.push(format!("a driver was missing in the index {FOUND_WITHIN:?} after a lost wake"));
                    break;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
            driver.put("/v1/drivers/me/availability", &vehicle(false)).await;
            return Some(found);
        }
        None
    }
}

/// The name under which a fault counts that was injected alone.
pub(crate) fn alone(kind: &str) -> String {
    format!("{kind}, alone")
}

/// Sends a position to the matcher; returns its verdict.
async fn send_position(driver: &mut Actor) -> Option<String> {
    let clock = driver.get("/v1/sandbox/clock").await?;
    let (lat, lon) = REMOTE;
    let body = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": clock.body["domain"]});
    let answer = driver.put("/v1/drivers/me/location", &body).await?;
    answer.body["verdict"].as_str().map(str::to_owned)
}

/// Sums the runs of each worker in the Prometheus text format.
fn parse_runs(text: &str) -> BTreeMap<String, u64> {
    let mut runs = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("ridematch_worker_runs_total{")) {
        let worker = line.split_once("worker=\"").and_then(|(_, rest)| rest.split_once('"'));
        let count = line.rsplit_once(' ').and_then(|(_, count)| count.parse::<u64>().ok());
        if let (Some((worker, _)), Some(count)) = (worker, count) {
            *runs.entry(worker.to_owned()).or_default() += count;
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_worker_are_summed_over_their_results() {
        let text = "# TYPE ridematch_worker_runs_total counter\n\
                    ridematch_worker_runs_total{end=\"idle\",worker=\"outbox\"} 7\n\
                    ridematch_worker_runs_total{end=\"worked\",worker=\"outbox\"} 2\n\
                    ridematch_worker_runs_total{end=\"idle\",worker=\"clock\"} 1\n\
                    http_requests_total{worker=\"outbox\"} 5\n";
        assert_eq!(parse_runs(text), BTreeMap::from([("clock".to_owned(), 1), ("outbox".to_owned(), 9)]));
    }
}
