//! The replay of a scenario on a service.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::behavior::Behavior;
use crate::cli::Replay;
use crate::clock::machine_now;
use crate::fleet::Fleet;
use crate::launch::{LaunchOptions, Launched};
use crate::metrics::{MatchLatency, RunMatchLatency, rounded};
use crate::model::{Scenario, Window};
use crate::report::{LatenessReport, Report, outcomes, waits};
use crate::riders::{SkippedDepartures, run_riders};
use crate::run_context::RunContext;
use crate::web::api::Audit;
use crate::web::{Call, Role, Session};
use crate::{BoxError, Error, progress, publish};

/// How long captures, refunds and their retries may take after the last ride, in machine time.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(120);
const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Replays a scenario on a private service or the given one, and prints the report.
///
/// # Errors
/// The replay cannot start, or the report cannot be written. A failed replay is not an error, but a failure exit code.
pub(crate) async fn replay(
    options: &Replay,
    launcher: impl AsyncFnOnce(LaunchOptions) -> Result<Launched, BoxError>,
) -> Result<ExitCode, Error> {
    let window = Window { from: options.from, until: options.until };
    let mut scenario = Scenario::read(&options.scenario, window).map_err(|error| Error::Scenario(error.into()))?;
    let vehicles = options.vehicles.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    scenario.city.fleet.truncate(vehicles);
    for row in &scenario.rejected {
        tracing::warn!("{}:{}: {}", row.file, row.line, row.reason);
    }

    let report = match &options.base_url {
        Some(base_url) => replay_on(base_url, options, scenario).await?,
        None => {
            let launched = launcher(LaunchOptions { time_scale: options.time_scale }).await.map_err(Error::Launch)?;
            let report = replay_on(launched.base_url(), options, scenario).await;
            launched.stop().await;
            report?
        }
    };
    println!("{report}");
    if let Some(file) = &options.report {
        let json = serde_json::to_vec_pretty(&report).map_err(std::io::Error::other);
        json.and_then(|json| fs::write(file, json)).map_err(|source| Error::Report { file: file.clone(), source })?;
    }
    Ok(if report.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Boxed, so that it is compiled with this crate and not with the program.
fn replay_on<'a>(
    base_url: &'a str,
    options: &'a Replay,
    scenario: Scenario,
) -> LocalBoxFuture<'a, Result<Report, Error>> {
    Box::pin(replay_scenario(base_url, options, scenario))
}

async fn replay_scenario(base_url: &str, options: &Replay, scenario: Scenario) -> Result<Report, Error> {
    let started = machine_now();
    let mut report = blank(options, &scenario);
    let Scenario { city, demand, .. } = scenario;
    let context = Arc::new(RunContext::new(city, base_url, options.seed, Behavior::default()).await?);
    report.time_scale = context.clock.scale();
    let mut matches = RunMatchLatency::from(match_latency(&context).await.unwrap_or_default());

    publish::streets(&context).await;
    let fleet = Fleet::start(&context, &context.city.fleet).await;
    let opened = context.clock.now();
    let mut rides = Vec::with_capacity(demand.len());
    tokio::select! {
        () = run_riders(&context, opened, demand.into_iter(), SkippedDepartures::AtOnce, |outcome| rides.push(outcome)) => {}
        () = context.follow_service_clock() => {}
        () = observe_match_latency(&context, &mut matches) => {}
        () = progress::show(&context, opened, report.requests) => {}
        _ = tokio::signal::ctrl_c() => report.interrupted = true,
    }
    let audit = settle(&context, if report.interrupted { Duration::ZERO } else { SETTLE_TIMEOUT }).await;
    fleet.go_offline().await;

    report.outcomes = outcomes(report.requests, &rides);
    report.pickup_wait_s = waits(&rides);
    if let Some(last) = match_latency(&context).await {
        matches.observe(last);
    }
    report.match_latency = matches.summary();
    report.set_counts(&context.statistics.counts());
    report.set_audit(audit);
    report.wall_s = rounded((machine_now() - started).as_secs_f64());
    Ok(report)
}

/// The report before the first ride.
fn blank(options: &Replay, scenario: &Scenario) -> Report {
    let name = options.scenario.file_name().unwrap_or(options.scenario.as_os_str());
    Report {
        scenario: name.to_string_lossy().into_owned(),
        from: scenario.opens,
        until: scenario.closes,
        seed: options.seed,
        time_scale: 0.0,
        vehicles: scenario.city.fleet.len(),
        wall_s: 0.0,
        interrupted: false,
        requests: scenario.demand.len() as u64,
        rejected_rows: scenario.rejected.clone(),
        skipped_streets: scenario.skipped_streets,
        outcomes: outcomes(0, &[]),
        pickup_wait_s: None,
        match_latency: None,
        lateness: LatenessReport { p99_s: 0.0, max_s: 0.0 },
        degraded: false,
        offers: Default::default(),
        offers_expired_in_transit: 0,
        driver_cancelled: 0,
        positions: [].into(),
        http_errors: [].into(),
        deadhead_km: 0.0,
        loaded_km: 0.0,
        drives_off_streets: 0,
        captured: None,
        audit: None,
        unsettled: None,
        clean: false,
    }
}

/// Reads the match latencies regularly until it is dropped, so that few are lost if the service is killed.
async fn observe_match_latency(context: &RunContext, matches: &mut RunMatchLatency) {
    loop {
        tokio::time::sleep(METRICS_INTERVAL).await;
        if let Some(now) = match_latency(context).await {
            matches.observe(now);
        }
    }
}

async fn match_latency(context: &RunContext) -> Option<MatchLatency> {
    match context.client.text("/metrics").await {
        Ok(page) => Some(MatchLatency::parse(&page)),
        Err(error) => {
            context.log_failure("replay", "cannot read the metrics", &error);
            None
        }
    }
}

/// Repeats the audit until nothing is unsettled or the time is over, and returns the last one.
async fn settle(context: &RunContext, random_duration: Duration) -> Option<Audit> {
    let ops = Session::new(Role::Ops, None);
    let deadline = machine_now() + random_duration;
    loop {
        let audit = context.client.call::<Audit>(&ops, &Call::get("/v1/ops/audit")).await;
        match audit {
            Ok(audit) if audit.unsettled == 0 || machine_now() >= deadline => return Some(audit),
            Ok(_) => {}
            Err(error) => {
                context.log_failure("replay", "cannot read the audit", &error);
                return None;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
