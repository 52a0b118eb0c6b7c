//! Lab 6: positions written by row, by batch and in memory.

use std::collections::HashMap;
use std::hint::black_box;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use launcher::clock::{self, Stopwatch};
use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::task::JoinSet;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::geometry;
use crate::outcome::{Column, LabResult, Measurements};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, postgres, random};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 6,
    name: "position-writes",
    title: "Position writes",
    question: "Each driver reports a position every 4 s. How many drivers can be served if each report is a row that \
               is written and committed, if reports are written in batches, and if they stay in memory?",
    bet: BetQuestion {
        ask: "how many drivers does this machine serve with one committed row for each report?",
        unit: "drivers",
    },
    kind: Kind::Postgres,
    held_fixed: "The table driver_positions of migrations/0002_supply.sql with its checks and its foreign key, \
                 20,000 drivers, upserts that keep the newer report; 16 sessions for single rows, 2 for batches, \
                 each with drivers of its own; the commit waits for the disk except where the row says otherwise. \
                 Memory is one hash map on one thread, which compares the times too. Client and server share the \
                 cores.",
    would_change: "The disk: what a commit that waits costs is the disk's time to write. More sessions share one \
                   write of the log. A cluster of its own machine has the cores for itself. Every index on the table \
                   costs each write. The real service also parses HTTP and checks a token for each report, which \
                   costs more than the map.",
    run: |context| Box::pin(measure(context, &FULL)),
};

/// Seconds between two reports of a driver.
const EVERY_S: f64 = 4.0;

/// Positions are within a city of this side.
const CITY_M: f64 = 25_000.0;

/// The columns of the table.
const DRIVERS: usize = 1;

const SCHEMA: &str = "
create table drivers (id bigint primary key);
create table driver_positions (
    driver_id   bigint           primary key references drivers,
    lat         double precision not null check (lat between -90 and 90),
    lon         double precision not null check (lon between -180 and 180),
    recorded_at timestamptz      not null,
    received_at timestamptz      not null
);
";

const UPSERT_ROW: &str = "
insert into driver_positions values ($1, $2, $3, $4, $5)
on conflict (driver_id) do update
set lat = excluded.lat, lon = excluded.lon, recorded_at = excluded.recorded_at, received_at = excluded.received_at
where driver_positions.recorded_at < excluded.recorded_at";

const UPSERT_BATCH: &str = "
insert into driver_positions select * from unnest($1::bigint[], $2::float8[], $3::float8[], $4::timestamptz[], $5::timestamptz[])
on conflict (driver_id) do update
set lat = excluded.lat, lon = excluded.lon, recorded_at = excluded.recorded_at, received_at = excluded.received_at
where driver_positions.recorded_at < excluded.recorded_at";

/// The sizes of a measurement.
struct Sizes {
    drivers: usize,
    seconds: f64,
}

const FULL: Sizes = Sizes { drivers: 20_000, seconds: 1.5 };

/// A way to keep positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Row { waits_for_disk: bool },
    Batch(usize),
    Memory,
}

impl Method {
    const ALL: [Self; 5] = [
        Self::Row { waits_for_disk: true },
        Self::Row { waits_for_disk: false },
        Self::Batch(100),
        Self::Batch(1_000),
        Self::Memory,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Row { waits_for_disk: true } => "by row",
            Self::Row { waits_for_disk: false } => "by row, commit does not wait",
            Self::Batch(100) => "batches of 100",
            Self::Batch(_) => "batches of 1,000",
            Self::Memory => "in memory",
        }
    }

    fn sessions(self) -> usize {
        match self {
            Self::Row { .. } => 16,
            Self::Batch(_) => 2,
            Self::Memory => 1,
        }
    }
}

/// A report.
#[derive(Debug, Clone, Copy)]
struct Report {
    driver: i64,
    lat: f64,
    lon: f64,
    recorded_at: DateTime<Utc>,
}

/// Makes the reports of some drivers, one after the other, each a moment after the one before.
struct Reporter {
    rng: StdRng,
    drivers: std::ops::Range<i64>,
    next: i64,
    now: DateTime<Utc>,
}

impl Reporter {
    fn next(&mut self) -> Report {
        let driver = self.next;
        self.next = if driver + 1 < self.drivers.end { driver + 1 } else { self.drivers.start };
        self.now += TimeDelta::microseconds(1);
        let place = [self.rng.random_range(0.0..CITY_M), self.rng.random_range(0.0..CITY_M)];
        let (lat, lon) = geometry::degrees(place);
        Report { driver, lat, lon, recorded_at: self.now }
    }
}

async fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let url = context.database("lab_position_writes").await?;
    let options = PgConnectOptions::from_str(&url)?;
    let mut session: PgConnection = options.connect().await?;
    postgres::run_sql(&mut session, SCHEMA).await?;
    let drivers = sizes.drivers as i64;
    sqlx::query("insert into drivers select generate_series(0, $1 - 1)").bind(drivers).execute(&mut session).await?;
    let mut measured = Measurements::new(vec![
        Column::new("reports", "per s", 0),
        Column::new("drivers at one report every 4 s", "", 0),
        Column::new("time for a report", "µs", 2),
    ]);
    for run in 0..context.runs {
        for method in Method::ALL {
            context.step(run, method.name())?;
            postgres::run_sql(&mut session, "truncate driver_positions; checkpoint").await?;
            let rate = rate(context, (method, run), &options, sizes).await?;
            measured.record(method.name(), &[rate, rate * EVERY_S, 1e6 / rate]);
        }
    }
    session.close().await?;
    Ok(result(measured))
}

/// Returns reports per second.
async fn rate(
    context: &Context,
    (method, run): (Method, u32),
    options: &PgConnectOptions,
    sizes: &Sizes,
) -> Result<f64> {
    let count = method.sessions();
    let share = (sizes.drivers / count) as i64;
    let reporter = |at: usize| Reporter {
        rng: random::generator(context.seed, &format!("reports {at}"), run),
        drivers: at as i64 * share..(at as i64 + 1) * share,
        next: at as i64 * share,
        now: clock::now(),
    };
    if method == Method::Memory {
        return Ok(in_memory(reporter(0), sizes.seconds));
    }
    let mut sessions = Vec::new();
    for at in 0..count {
        let waits = if method == (Method::Row { waits_for_disk: false }) { "off" } else { "on" };
        let session: PgConnection = options.clone().options([("synchronous_commit", waits)]).connect().await?;
        sessions.push((session, reporter(at)));
    }
    let start = Stopwatch::start();
    let until = Duration::from_secs_f64(sizes.seconds);
    let mut tasks = JoinSet::new();
    for (mut session, mut reporter) in sessions {
        tasks.spawn(async move {
            let mut written = 0;
            while start.elapsed() < until {
                written += match method {
                    Method::Batch(size) => write_batch(&mut session, &mut reporter, size).await?,
                    _ => write_row(&mut session, &mut reporter).await?,
                };
            }
            Ok::<u64, sqlx::Error>(written)
        });
    }
    let mut written = 0;
    while let Some(ended) = tasks.join_next().await {
        written += ended??;
    }
    Ok(written as f64 / start.seconds())
}

async fn write_row(session: &mut PgConnection, reporter: &mut Reporter) -> Result<u64, sqlx::Error> {
    let Report { driver, lat, lon, recorded_at } = reporter.next();
    let upsert = sqlx::query(UPSERT_ROW).bind(driver).bind(lat).bind(lon).bind(recorded_at).bind(recorded_at);
    Ok(upsert.execute(session).await?.rows_affected())
}

async fn write_batch(session: &mut PgConnection, reporter: &mut Reporter, size: usize) -> Result<u64, sqlx::Error> {
    // Each driver at most once: an upsert changes no row twice.
    let size = size.min((reporter.drivers.end - reporter.drivers.start) as usize);
    let reports: Vec<Report> = (0..size).map(|_| reporter.next()).collect();
    let times: Vec<DateTime<Utc>> = reports.iter().map(|report| report.recorded_at).collect();
    let upsert = sqlx::query(UPSERT_BATCH)
        .bind(reports.iter().map(|report| report.driver).collect::<Vec<i64>>())
        .bind(reports.iter().map(|report| report.lat).collect::<Vec<f64>>())
        .bind(reports.iter().map(|report| report.lon).collect::<Vec<f64>>())
        .bind(times.clone())
        .bind(times);
    Ok(upsert.execute(session).await?.rows_affected())
}

/// Returns reports per second of a hash map that keeps the newer report of each driver.
fn in_memory(mut reporter: Reporter, seconds: f64) -> f64 {
    /// Reports between two looks at the clock.
    const BLOCK: usize = 10_000;
    let mut positions: HashMap<i64, Report> = HashMap::new();
    let (start, mut kept) = (Stopwatch::start(), 0_u64);
    while start.seconds() < seconds {
        for _ in 0..BLOCK {
            let report = reporter.next();
            let known = positions.get(&report.driver);
            if known.is_none_or(|known| known.recorded_at < report.recorded_at) {
                positions.insert(report.driver, report);
                kept += 1;
            }
        }
    }
    black_box(&positions);
    kept as f64 / start.seconds()
}

fn result(measured: Measurements) -> LabResult {
    let table = measured.table();
    let drivers = |method: Method| table.median(method.name(), DRIVERS);
    let [row, no_wait, small, large, memory] = Method::ALL.map(drivers);
    let figure = |figure: f64| numbers::grouped(figure, 0);
    let conclusions = vec![
        format!(
            "A committed row for each report serves {} drivers; without waiting for the disk {}.",
            figure(row),
            figure(no_wait)
        ),
        format!(
            "Batches of 100 serve {} drivers, of 1,000 {}: {} times as many as rows. A commit and a round trip are \
             shared by the whole batch.",
            figure(small),
            figure(large),
            numbers::short(large / row)
        ),
        format!(
            "Memory serves {}, {} times as many as rows. So positions live in memory, and a batch every few seconds \
             is their backup: a position that is lost is sent again 4 s later.",
            figure(memory),
            numbers::short(memory / row)
        ),
    ];
    let plot = Plot::bars("Drivers at one report every 4 s", Axis::logarithmic("drivers", ""), &table, &[DRIVERS]);
    let text = format!(
        "Drivers at one report every 4 s, by row. In batches of 1,000: {}; in memory: {}.",
        figure(large),
        figure(memory)
    );
    LabResult { answer: LAB.bet.answer(row, text), table, records: Vec::new(), conclusions, plot }
}

#[cfg(test)]
mod tests {
    use embedded_postgres::TestCluster;

    use super::*;

    #[tokio::test]
    async fn every_method_writes_and_memory_serves_more_than_rows() {
        let cluster = TestCluster::shared().await.expect("a server");
        let context = Context::quiet(1, 1, Some(cluster.server().clone()));
        let result = measure(&context, &Sizes { drivers: 400, seconds: 0.2 }).await.expect("a result");
        let reports = |method: Method| result.table.median(method.name(), 0);
        for method in Method::ALL {
            assert!(reports(method) > 0.0, "{}", result.table.text());
        }
        assert!(reports(Method::Memory) > reports(Method::Row { waits_for_disk: true }), "{}", result.table.text());
    }

    #[test]
    fn reporter_names_each_driver_in_turn_with_a_later_time() {
        let rng = random::generator(1, "test", 0);
        let mut reporter = Reporter { rng, drivers: 4..6, next: 4, now: clock::now() };
        let reports = [reporter.next(), reporter.next(), reporter.next()];
        assert_eq!(reports.map(|report| report.driver), [4, 5, 4]);
        assert!(reports.is_sorted_by(|a, b| a.recorded_at < b.recorded_at));
    }
}
