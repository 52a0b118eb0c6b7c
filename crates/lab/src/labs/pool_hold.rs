//! Lab 3: how long a request may hold a connection of the pool.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinSet;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, random, statistics};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 3,
    name: "pool-hold",
    title: "Pool against hold time",
    question: "A pool has 20 connections, and 300 requests a second each hold one. At how many milliseconds of hold \
               does the p99 of the response pass 1 s?",
    bet: BetQuestion { ask: "at how many milliseconds of hold does p99 pass 1 s?", unit: "ms" },
    kind: Kind::Postgres,
    held_fixed: "20 connections; requests arrive at random (Poisson), 300 a second for 8 s, whether or not earlier \
                 ones are done; each holds its connection for the same time (`pg_sleep`). The response time counts \
                 from the arrival. Up to five runs share the machine, each with a pool of its own; sleeping costs no \
                 CPU. The last column simulates the same queue for an hour.",
    would_change: "A longer load moves the point toward 20 / 300 s = 67 ms, where the pool is busy all the time: the \
                   simulated hour shows it. Holds that vary make it earlier. Clients that wait for their answer \
                   before they send again hide it. A larger pool moves it up until the database has no more cores.",
    run: |context| Box::pin(measure(context, &FULL)),
};

const CONNECTIONS: usize = 20;
const RATE: f64 = 300.0;

/// What p99 may be.
const LIMIT_MS: f64 = 1_000.0;

/// Runs at the same time: each has a pool, and the server has a limit.
const TOGETHER: u32 = 5;

/// How long a request may wait for a connection. Longer than any queue here.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(60);

/// The columns of the table.
const P99: usize = 1;
const HOUR: usize = 3;

/// The sizes of a measurement.
struct Sizes {
    holds_ms: &'static [f64],
    seconds: f64,
    simulated_s: f64,
}

const FULL: Sizes =
    Sizes { holds_ms: &[40.0, 55.0, 62.0, 66.0, 70.0, 75.0, 80.0, 90.0], seconds: 8.0, simulated_s: 3_600.0 };

async fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let url = context.database("lab_pool_hold").await?;
    let mut pools = Vec::new();
    for _ in 0..context.runs.min(TOGETHER) {
        let options = PgPoolOptions::new().acquire_timeout(ACQUIRE_WITHIN).test_before_acquire(false);
        let size = CONNECTIONS as u32;
        pools.push(options.min_connections(size).max_connections(size).connect(&url).await?);
    }
    let mut measured = Measurements::new(vec![
        Column::new("p50", "ms", 0),
        Column::new("p99", "ms", 0),
        Column::new("answered", "per s", 0),
        Column::new("p99 of a simulated hour", "ms", 0),
    ]);
    for hold_ms in sizes.holds_ms {
        for first in (0..context.runs).step_by(TOGETHER as usize) {
            context.step(first, &format!("hold of {hold_ms} ms"))?;
            let mut tasks = JoinSet::new();
            for (run, pool) in (first..context.runs).zip(&pools) {
                let arrivals = random::arrivals(&mut context.random("arrivals", run), RATE, sizes.seconds);
                let (pool, hold_s) = (pool.clone(), hold_ms / 1e3);
                tasks.spawn(async move { (run, load(pool, arrivals, hold_s).await) });
            }
            while let Some(ended) = tasks.join_next().await {
                let (run, waits_ms) = ended?;
                let (mut waits_ms, seconds) = waits_ms?;
                let rate = waits_ms.len() as f64 / seconds;
                let [p50, p99] = [0.5, 0.99].map(|share| statistics::percentile(&mut waits_ms, share));
                let hour = random::arrivals(&mut context.random("simulated hour", run), RATE, sizes.simulated_s);
                let hour_ms = statistics::percentile(&mut queue(&hour, hold_ms / 1e3), 0.99) * 1e3;
                measured.record(&label(*hold_ms), &[p50, p99, rate, hour_ms]);
            }
        }
    }
    Ok(result(measured, sizes))
}

fn label(hold_ms: f64) -> String {
    format!("hold of {hold_ms} ms")
}

/// Sends requests when they arrive. Returns their response times in milliseconds, and the seconds until the last response.
async fn load(pool: PgPool, arrivals: Vec<f64>, hold_s: f64) -> Result<(Vec<f64>, f64)> {
    let pool = Arc::new(pool);
    let start = Stopwatch::start();
    let mut requests = JoinSet::new();
    for at_s in arrivals {
        tokio::time::sleep_until((start.started() + Duration::from_secs_f64(at_s)).into()).await;
        let pool = Arc::clone(&pool);
        requests.spawn(async move {
            let slept = sqlx::query("select pg_sleep($1)").bind(hold_s).execute(&*pool).await;
            slept.map(|_| (start.seconds() - at_s) * 1e3)
        });
    }
    let mut waits_ms = Vec::new();
    while let Some(ended) = requests.join_next().await {
        waits_ms.push(ended??);
    }
    Ok((waits_ms, start.seconds()))
}

/// Returns the response times in seconds of a queue with [`CONNECTIONS`] servers, each request taking the same time.
fn queue(arrivals: &[f64], hold_s: f64) -> Vec<f64> {
    // The greatest of negative times is the earliest. Nanoseconds have an order, floats have none.
    let mut free_at: BinaryHeap<i64> = std::iter::repeat_n(0, CONNECTIONS).collect();
    let (nanos, hold) = (|seconds: f64| (seconds * 1e9) as i64, (hold_s * 1e9) as i64);
    let response = |at_s: &f64| {
        let earliest = -free_at.pop().unwrap_or(0);
        let end = earliest.max(nanos(*at_s)) + hold;
        free_at.push(-end);
        (end - nanos(*at_s)) as f64 / 1e9
    };
    arrivals.iter().map(response).collect()
}

fn result(measured: Measurements, sizes: &Sizes) -> LabResult {
    let table = measured.table();
    let curve = |column| -> Vec<(f64, f64)> {
        sizes.holds_ms.iter().map(|hold_ms| (*hold_ms, table.median(&label(*hold_ms), column))).collect()
    };
    let longest = sizes.holds_ms.last().copied().unwrap_or(0.0);
    let crossing = |column| statistics::crossing(&curve(column), LIMIT_MS);
    let in_words = |hold_ms: Option<f64>| {
        hold_ms.map_or_else(
            || format!("at none up to {longest} ms"),
            |hold_ms| format!("at {} ms", numbers::short(hold_ms)),
        )
    };
    let (measured_ms, hour_ms) = (crossing(P99), crossing(HOUR));
    let full_ms = CONNECTIONS as f64 / RATE * 1e3;
    let shortest = label(sizes.holds_ms[0]);
    let conclusions = vec![
        format!("In {} s of load p99 passes 1 s {}.", sizes.seconds, in_words(measured_ms)),
        format!(
            "In a simulated hour it does so {}. At {} ms the pool is busy all the time, and from there on the queue \
             only grows.",
            in_words(hour_ms),
            numbers::short(full_ms)
        ),
        format!(
            "With a {shortest} p99 is {} ms. The curve is flat and then steep: a provider call of some hundred \
             milliseconds inside a transaction is in the steep part, which is why the service makes none there.",
            numbers::short(table.median(&shortest, P99))
        ),
    ];
    let axes = (Axis::linear("hold", "ms"), Axis::logarithmic("response time", "ms"));
    let plot =
        Plot::lines("20 connections, 300 requests a second", axes, sizes.holds_ms.to_vec(), (&table, &[0, P99, HOUR]));
    let plot = plot.with_level(LIMIT_MS, "1 s");
    let text = format!(
        "Where the measured p99 crosses 1 s, on a line between the holds beside it; in a simulated hour {}.",
        in_words(hour_ms)
    );
    let answer = LAB.bet.answer(measured_ms.unwrap_or(longest), text);
    LabResult { table, answer, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use embedded_postgres::TestCluster;

    use super::*;

    #[test]
    fn simulated_queue_grows_only_beyond_its_capacity() {
        let arrivals = random::arrivals(&mut random::generator(1, "test", 0), RATE, 600.0);
        let p99 = |hold_s| statistics::percentile(&mut queue(&arrivals, hold_s), 0.99);
        assert!(p99(0.04) < 0.1, "{}", p99(0.04));
        assert!(p99(0.08) > 10.0, "{}", p99(0.08));
        assert!((queue(&[1.0], 0.04)[0] - 0.04).abs() < 1e-6);
    }

    #[tokio::test]
    async fn long_hold_has_the_longer_response() {
        let cluster = TestCluster::shared().await.expect("a server");
        let context = Context::quiet(1, 1, Some(cluster.server().clone()));
        let sizes = Sizes { holds_ms: &[1.0, 250.0], seconds: 0.5, simulated_s: 10.0 };
        let result = measure(&context, &sizes).await.expect("a result");
        let p99 = |hold_ms| result.table.median(&label(hold_ms), P99);
        assert!(p99(250.0) > 250.0 && p99(1.0) < p99(250.0), "{}", result.table.text());
    }
}
