//! One run, from an empty database to its result.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use launcher::clock::Stopwatch;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::task::JoinSet;

use super::metrics::{self, Samples};
use super::model::{Rows, RunResult, RunSpec};
use super::processes::Stack;
use super::states::{is_money_open, read_states};
use super::subscriber::Subscriber;
use super::{prober, schedule};
use crate::judge::suites;
use crate::judge::{CheckSpec, measures};
use crate::load::{Actors, Context, Target};

/// How long the audit waits for work that is not settled.
const AUDIT_SETTLES: Duration = Duration::from_secs(3);

/// Between two looks at what the subscriber has received.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The longest run beyond the load's own times.
const OVERHEAD_MAX: Duration = Duration::from_secs(360);

/// How long the `sql` checks may take, each.
const QUERY_TIME_OUT: &str = "set statement_timeout = '10s'; set default_transaction_read_only = on";

/// Rows of a query that are kept.
const ROWS_KEPT: usize = 5;

/// Runs the service under its load and returns what happened. Nothing of the run is left: no process, database or file, whether it
/// succeeds, fails or is dropped.
///
/// # Errors
/// If something does not start, a statement of the load fails, or the run takes much longer than its load.
pub async fn run(spec: RunSpec) -> Result<RunResult, BoxError> {
    let longest = OVERHEAD_MAX + Duration::from_secs_f64(spec.load.seconds.max(0.0) + spec.load.settle_s.max(0.0));
    let whole = Stopwatch::start();
    let mut result = tokio::time::timeout(longest, run_all(&spec))
        .await
        .map_err(|_| format!("the run took more than {longest:?}"))??;
    result.total_s = whole.elapsed().as_secs_f64();
    Ok(result)
}

async fn run_all(spec: &RunSpec) -> Result<RunResult, BoxError> {
    let stack = Arc::new(Stack::start(spec).await?);
    let ran = run_on(&stack, spec, spec.seed).await;
    // Everything that shares it has ended.
    if let Some(stack) = Arc::into_inner(stack) {
        stack.discard().await;
    }
    ran
}

/// Runs the load once on a running stack.
///
/// # Errors
/// As for [`run`].
pub(super) async fn run_on(stack: &Arc<Stack>, spec: &RunSpec, seed: u64) -> Result<RunResult, BoxError> {
    let mut load = LoadRun::start(stack, spec, seed).await?;
    load.wait().await?;
    load.finish(stack, spec).await
}

/// A load that runs on a stack.
pub(crate) struct LoadRun {
    /// What its actors share.
    pub context: Arc<Context>,
    /// Samples when it began.
    pub metrics_before: Samples,
    actors: Actors,
    /// The subscriber, the schedule and the prober.
    tasks: JoinSet<Result<(), BoxError>>,
}

impl LoadRun {
    /// Starts the actors and what the load needs beside them.
    ///
    /// # Errors
    /// If the service does not issue tokens, or refuses the subscriber.
    pub async fn start(stack: &Arc<Stack>, spec: &RunSpec, seed: u64) -> Result<Self, BoxError> {
        let target = Target { urls: stack.urls.clone(), seed, time_scale: spec.load.time_scale.clamp(1, 60) };
        // Without a time-out of its own: each request has one, and streams have none.
        let http = launcher::http_client().pool_idle_timeout(Duration::from_secs(2)).build()?;
        let context = Context::new(target, http).await?;
        let mut tasks = JoinSet::new();
        if let Some(subscriber) = &spec.load.subscriber {
            Subscriber::start(&context, subscriber, &mut tasks).await?;
        }
        let metrics_before = metrics::read(&stack.http, &stack.urls).await;
        let actors = Actors::start(&context, &spec.load).await?;
        tasks.spawn(schedule::run(Arc::clone(stack), Arc::clone(&context), spec.load.clone()));
        if let Some(supervisor) = &spec.load.supervisor {
            let prober = prober::run(Arc::clone(stack), supervisor.clone());
            tasks.spawn(async move {
                prober.await;
                Ok(())
            });
        }
        Ok(Self { context, metrics_before, actors, tasks })
    }

    /// Waits until the load's time is over.
    ///
    /// # Errors
    /// If the subscriber or the schedule fails.
    pub async fn wait(&mut self) -> Result<(), BoxError> {
        let time = self.actors.run();
        tokio::pin!(time);
        loop {
            tokio::select! {
                () = &mut time => return Ok(()),
                Some(ended) = self.tasks.join_next() => ended??,
            }
        }
    }

    /// Stops all actors and everything beside them at once.
    pub async fn abort(mut self) {
        self.tasks.shutdown().await;
        self.actors.abort().await;
    }

    /// Ends the faults and the load, and reads everything that the checks need.
    ///
    /// # Errors
    /// If the provider or the database does not answer.
    pub async fn finish(mut self, stack: &Arc<Stack>, spec: &RunSpec) -> Result<RunResult, BoxError> {
        let metrics_after = metrics::read(&stack.http, &stack.urls).await;
        schedule::heal(stack).await?;
        let settled = Stopwatch::start();
        self.actors.finish().await;
        let mut result = RunResult { metrics_before: self.metrics_before, metrics_after, ..RunResult::default() };
        let settle = Duration::from_secs_f64(spec.load.settle_s.max(0.0));
        loop {
            read_states(&stack.database_url, &self.context, f64::NEG_INFINITY).await?;
            result.recording = self.context.recording().clone();
            let is_done = measures::all_delivered(&spec.checks, &result.recording)
                && !(spec.load.settle_money && is_money_open(&stack.database_url).await?);
            if is_done || settled.elapsed() >= settle {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if spec.always {
            // The suites' own times are real ones.
            stack.set_clock(&json!({ "scale": 1 })).await?;
            self.context.read_clock().await?;
            result.contract = suites::run(&self.context).await;
            result.audit = stack.audit(AUDIT_SETTLES).await.unwrap_or_else(|error| Value::String(error.to_string()));
        }
        self.tasks.shutdown().await;
        result.recording.events = stack.journal.events(self.context.now_s());
        result.rows = rows(&stack.database_url, &spec.checks).await?;
        result.log_counts = log_counts(stack, &spec.checks)?;
        result.deaths = stack.deaths();
        Ok(result)
    }
}

/// Runs the queries of the `sql` checks.
async fn rows(url: &str, checks: &[CheckSpec]) -> Result<BTreeMap<String, Rows>, BoxError> {
    let mut conn = PgConnection::connect(url).await?;
    sqlx::raw_sql(QUERY_TIME_OUT).execute(&mut conn).await?;
    let mut all = BTreeMap::new();
    for check in checks {
        let CheckSpec::Sql(check) = check else { continue };
        let query = format!("select to_jsonb(checked) from ({}) checked", check.query.trim().trim_end_matches(';'));
        let rows = match sqlx::query(AssertSqlSafe(query)).fetch_all(&mut conn).await {
            Ok(rows) => {
                let first = rows.iter().take(ROWS_KEPT).filter_map(|row| row.try_get::<Value, _>(0).ok()).collect();
                Rows { count: rows.len() as u64, first, error: String::new() }
            }
            Err(error) => Rows { error: error.to_string(), ..Rows::default() },
        };
        all.insert(check.query.clone(), rows);
    }
    conn.close().await?;
    Ok(all)
}

/// Counts the log records that match the patterns of the `log` checks.
fn log_counts(stack: &Stack, checks: &[CheckSpec]) -> Result<BTreeMap<String, u64>, BoxError> {
    let text: Vec<String> = stack.logs.iter().map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect();
    let mut counts = BTreeMap::new();
    for check in checks {
        let CheckSpec::Log(check) = check else { continue };
        let pattern = regex::Regex::new(&check.pattern)?;
        let count = text.iter().flat_map(|text| text.lines()).filter(|line| pattern.is_match(line)).count();
        counts.insert(check.pattern.clone(), count as u64);
    }
    Ok(counts)
}
