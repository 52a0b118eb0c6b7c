//! Lab 1: many accepts race for one driver.

mod methods;

use std::sync::Arc;

use launcher::clock::Stopwatch;
use sqlx::{Connection, PgConnection};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{BetQuestion, Kind, Lab};
use crate::context::Context;
use crate::outcome::{Column, LabResult, Measurements, Records};
use crate::plot::{Axis, Plot};
use crate::{Result, numbers, postgres, statistics};
use methods::{Method, Race};

/// The lab.
pub(super) const LAB: Lab = Lab {
    number: 1,
    name: "assignment-race",
    title: "Assignment race",
    question: "64 accepts for one driver arrive at the same moment, each for another trip. In how many of 1,000 such \
               rounds does the driver get two trips or more?",
    bet: BetQuestion {
        ask: "in how many of 1,000 rounds does \"check, then act\" give the driver two trips or more?",
        unit: "of 1,000 rounds",
    },
    kind: Kind::Postgres,
    held_fixed: "READ COMMITTED; 64 sessions that start each round together; 500 rounds in all, split over the \
                 runs and counted as of 1,000; the commit waits for the disk. The driver lock is kept in this process, so that it has no \
                 network: its TTL is 20 ms, and in one round of 20 its first holder pauses for 60 ms between check \
                 and write, as a long garbage collection or a slow disk makes it. Its owner is compared at the \
                 release. The constraints are those of migrations/0005_trips.sql: one_engagement_per_driver and \
                 one_active_trip_per_driver.",
    would_change: "Fewer accepts, or accepts spread over time, make the double assignment rarer, never impossible. \
                   SERIALIZABLE would refuse it too, and needs retries. A longer TTL makes the lock's error rarer \
                   and a crash of its holder longer; a fencing token checked by the database removes it.",
    run: |context| Box::pin(measure(context, &FULL)),
};

/// The sizes of a measurement.
struct Sizes {
    /// Accepts in a round.
    accepts: usize,
    /// Rounds of all runs together.
    rounds: usize,
    /// In one round of so many the first holder of the lock pauses.
    pause_every: usize,
}

const FULL: Sizes = Sizes { accepts: 64, rounds: 500, pause_every: 20 };

/// The columns of the table.
const DOUBLE: usize = 0;

/// Rounds are counted per so many.
const PER: f64 = 1_000.0;

/// The service's constraints, and a table of trips without them for the other methods.
const SCHEMA: &str = "
create table drivers (id bigint primary key);
create table plain_trips (id bigint primary key, driver_id bigint, state text not null);
create index plain_trips_by_driver on plain_trips (driver_id);
create table trips (id bigint primary key, driver_id bigint, state text not null);
create unique index one_active_trip_per_driver on trips (driver_id) where state = 'assigned';
create table driver_engagements (
    driver_id bigint constraint one_engagement_per_driver primary key references drivers,
    trip_id   bigint not null constraint one_engagement_per_trip unique references trips
);
";

async fn measure(context: &Context, sizes: &Sizes) -> Result<LabResult> {
    let url = context.database("lab_assignment_race").await?;
    let mut session = PgConnection::connect(&url).await?;
    postgres::run_sql(&mut session, SCHEMA).await?;
    let mut sessions = Vec::new();
    for _ in 0..sizes.accepts {
        sessions.push(PgConnection::connect(&url).await?);
    }
    let rounds = (sizes.rounds / context.runs as usize).max(1);
    let mut measured = Measurements::new(vec![
        Column::new("rounds with two trips or more", "of 1,000", 0),
        Column::new("trips beyond the first", "of 1,000 rounds", 0),
        Column::new("rounds without a trip", "of 1,000", 0),
        Column::new("accepts", "per s", 0),
        Column::new("slowest 1 % of accepts, at least", "ms", 1),
    ]);
    let mut records = Vec::new();
    for run in 0..context.runs {
        for method in Method::ALL {
            context.step(run, method.name())?;
            let race = Arc::new(Race::new(method, (context.seed, run), (rounds, sizes.pause_every)));
            prepare(&mut session, &race, sizes.accepts).await?;
            let watch = Stopwatch::start();
            let (back, mut waits_ms) = accept_all(sessions, &race).await?;
            let seconds = watch.seconds();
            sessions = back;
            let counts = trips_by_driver(&mut session, method).await?;
            let double = counts.iter().filter(|(_, trips)| *trips > 1).count();
            let beyond: i64 = counts.iter().map(|(_, trips)| trips - 1).sum();
            let share = |count: f64| count * PER / rounds as f64;
            measured.record(
                method.name(),
                &[
                    share(double as f64),
                    share(beyond as f64),
                    share((rounds - counts.len()) as f64),
                    waits_ms.len() as f64 / seconds,
                    statistics::percentile(&mut waits_ms, 0.99),
                ],
            );
            if run == 0 {
                records.push(worst(&mut session, method, sizes.accepts).await?);
            }
        }
    }
    Ok(result(measured, records))
}

fn result(measured: Measurements, records: Vec<Records>) -> LabResult {
    let table = measured.table();
    let median = |method: Method, column| table.median(method.name(), column);
    let value = median(Method::CheckThenAct, DOUBLE);
    let [locked, rows, constraint] =
        [Method::TtlLock, Method::ForUpdate, Method::Constraint].map(|method| median(method, DOUBLE));
    let figure = numbers::short;
    let conclusions = vec![
        format!(
            "\"Check, then act\" gives a driver two trips or more in {} of 1,000 rounds: under READ COMMITTED no \
             check sees what others have not committed.",
            figure(value)
        ),
        format!(
            "The driver lock with a TTL does so in {} of 1,000 rounds. A holder that pauses for longer than the TTL \
             writes although another one holds the lock by then.",
            figure(locked)
        ),
        format!(
            "`for update` does so in {} of 1,000, as long as every path takes the lock; the constraint in {}, \
             whatever any path forgets.",
            figure(rows),
            figure(constraint)
        ),
        format!(
            "Accepts per second: {} by `for update`, {} with only the constraint; without either {}.",
            figure(median(Method::ForUpdate, 3)),
            figure(median(Method::Constraint, 3)),
            figure(median(Method::CheckThenAct, 3))
        ),
    ];
    let text = format!(
        "Rounds in which \"check, then act\" gave the driver two trips or more. With a driver lock: {}; with `for \
         update`: {}; with only the constraint: {}.",
        figure(locked),
        figure(rows),
        figure(constraint)
    );
    let plot = Plot::bars(
        "Double assignments by method",
        Axis::linear("rounds with two trips or more", "of 1,000"),
        &table,
        &[DOUBLE],
    );
    let answer = LAB.bet.answer(value, text);
    LabResult { table, answer, records, conclusions, plot }
}

/// Makes the drivers and trips of a run. Each round has a driver of its own, so that no round waits for the one before.
async fn prepare(session: &mut PgConnection, race: &Race, accepts: usize) -> Result<()> {
    postgres::run_sql(session, "truncate drivers, plain_trips, trips, driver_engagements").await?;
    let rounds = race.rounds as i64;
    sqlx::query("insert into drivers select generate_series(0, $1 - 1)").bind(rounds).execute(&mut *session).await?;
    let trips = match race.method {
        Method::Constraint => "insert into trips select generate_series(0, $1 - 1), null, 'offered'",
        _ => "insert into plain_trips select generate_series(0, $1 - 1), null, 'offered'",
    };
    sqlx::query(trips).bind(rounds * accepts as i64).execute(&mut *session).await?;
    postgres::run_sql(session, "analyze drivers, plain_trips, trips, driver_engagements").await?;
    Ok(())
}

/// Runs all rounds. Returns the sessions, and how long each accept took, in milliseconds.
async fn accept_all(sessions: Vec<PgConnection>, race: &Arc<Race>) -> Result<(Vec<PgConnection>, Vec<f64>)> {
    let accepts = sessions.len();
    let barrier = Arc::new(Barrier::new(accepts));
    let mut tasks = JoinSet::new();
    for (at, mut session) in sessions.into_iter().enumerate() {
        let (race, barrier) = (Arc::clone(race), Arc::clone(&barrier));
        tasks.spawn(async move {
            let mut waits_ms = Vec::with_capacity(race.rounds);
            let mut failed = None;
            for round in 0..race.rounds {
                barrier.wait().await;
                // After an error this session still comes to the barrier, for the others.
                if failed.is_none() {
                    let watch = Stopwatch::start();
                    failed = race.accept(&mut session, round, round * accepts + at).await.err();
                    waits_ms.push(watch.seconds() * 1e3);
                }
            }
            failed.map_or(Ok((session, waits_ms)), Err)
        });
    }
    let (mut back, mut all_ms) = (Vec::new(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (session, waits_ms) = ended??;
        back.push(session);
        all_ms.extend(waits_ms);
    }
    Ok((back, all_ms))
}

/// Returns each driver with a trip, and the number of their trips.
async fn trips_by_driver(session: &mut PgConnection, method: Method) -> Result<Vec<(i64, i64)>> {
    let query = match method {
        Method::Constraint => "select driver_id, count(*) from trips where state = 'assigned' group by driver_id",
        _ => "select driver_id, count(*) from plain_trips where state = 'assigned' group by driver_id",
    };
    Ok(sqlx::query_as(query).fetch_all(session).await?)
}

/// Returns the records of the driver with the most trips.
async fn worst(session: &mut PgConnection, method: Method, accepts: usize) -> Result<Records> {
    let counts = trips_by_driver(session, method).await?;
    let worst = counts.iter().max_by_key(|(driver, trips)| (*trips, -*driver));
    let Some((driver, _)) = worst else {
        return Ok(Records { title: method.name().to_owned(), lines: vec!["no driver has a trip".to_owned()] });
    };
    let query = match method {
        Method::Constraint => "select id from trips where driver_id = $1 order by id",
        _ => "select id from plain_trips where driver_id = $1 order by id",
    };
    let trips: Vec<i64> = sqlx::query_scalar(query).bind(driver).fetch_all(session).await?;
    let shown: Vec<String> = trips.iter().take(8).map(ToString::to_string).collect();
    let more = if trips.len() > shown.len() { ", …" } else { "" };
    let lines = vec![
        format!("driver {driver} has the trips {}{more}", shown.join(", ")),
        format!("{} accepts, {} assigned, {} refused", accepts, trips.len(), accepts - trips.len()),
    ];
    Ok(Records { title: format!("{}, the round with the most trips of the first run", method.name()), lines })
}

#[cfg(test)]
mod tests {
    use embedded_postgres::TestCluster;

    use super::*;

    #[tokio::test]
    async fn constraint_and_row_lock_allow_one_trip_and_the_check_allows_more() {
        let cluster = TestCluster::shared().await.expect("a server");
        let context = Context::quiet(1, 2, Some(cluster.server().clone()));
        let sizes = Sizes { accepts: 16, rounds: 40, pause_every: 5 };
        let result = measure(&context, &sizes).await.expect("a result");
        let figure = |method: Method, column| result.table.cell(method.name(), column).expect("a figure");
        assert!(figure(Method::CheckThenAct, DOUBLE).min > 0.0, "{}", result.table.text());
        assert!(figure(Method::TtlLock, DOUBLE).max > 0.0, "{}", result.table.text());
        for method in [Method::ForUpdate, Method::Constraint] {
            assert!(figure(method, DOUBLE).max.abs() < 1e-9, "{}", result.table.text());
            assert!(figure(method, 2).max.abs() < 1e-9, "{}", result.table.text());
        }
        assert_eq!(result.records.len(), Method::ALL.len());
    }
}
