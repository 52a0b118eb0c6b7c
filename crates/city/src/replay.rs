//! The replay of a scenario on a service.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use crate::behavior::Behavior;
use crate::cli::{Habits, Reactions, Replay};
use crate::clock::{as_seconds, machine_now};
use crate::fleet::Fleet;
use crate::launch::LaunchOptions;
use crate::metrics::{MatchLatency, RunMatchLatency, rounded};
use crate::model::{Scenario, Window};
use crate::quality::{Quality, RunSize, quality};
use crate::report::{LatenessReport, Report, Settings, outcomes, waits};
use crate::riders::{SkippedDepartures, run_riders};
use crate::run_context::RunContext;
use crate::settle::{SETTLE_TIMEOUT, settle};
use crate::summary::Experiment;
use crate::{Error, Launcher, progress, publish};

const METRICS_INTERVAL: Duration = Duration::from_secs(5);

/// Replays a scenario, on a private service for each seed or on the given one, and prints the report of each seed. With several
/// seeds, also prints the mean and the spread.
///
/// # Errors
/// A replay cannot start, or the report cannot be written. A failed replay is not an error, but a failure exit code.
pub(crate) async fn replay(options: &Replay, launcher: &Launcher) -> Result<ExitCode, Error> {
    let mut reports = Vec::with_capacity(options.seeds.len());
    for (run, seed) in (1..).zip(&options.seeds) {
        if options.seeds.len() > 1 {
            eprintln!("run {run} of {}: seed {seed}", options.seeds.len());
        }
        let report = run_seed(options, *seed, run == 1, launcher).await?;
        println!("{report}");
        let interrupted = report.interrupted;
        reports.push(report);
        if interrupted {
            break;
        }
    }
    let (succeeded, json) = if options.seeds.len() > 1 {
        let experiment = Experiment::new(reports);
        println!("{experiment}");
        (experiment.is_success(), serde_json::to_vec_pretty(&experiment))
    } else {
        (reports.iter().all(Report::is_success), serde_json::to_vec_pretty(&reports.first()))
    };
    if let Some(file) = &options.report {
        let json = json.map_err(std::io::Error::other);
        json.and_then(|json| fs::write(file, json)).map_err(|source| Error::Report { file: file.clone(), source })?;
    }
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Replays the scenario with one seed. The first run logs the rows that cannot be used.
async fn run_seed(options: &Replay, seed: u64, is_first: bool, launcher: &Launcher) -> Result<Report, Error> {
    let window = Window { from: options.from, until: options.until };
    let mut scenario = Scenario::read(&options.scenario, window).map_err(|error| Error::Scenario(error.into()))?;
    let vehicles = options.vehicles.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    scenario.city.fleet.truncate(vehicles);
    if options.behavior == Habits::Hive {
        scenario.move_to_junctions();
    }
    for row in scenario.rejected.iter().filter(|_| is_first) {
        tracing::warn!("{}:{}: {}", row.file, row.line, row.reason);
    }
    let run = Run { options, seed };
    if let Some(base_url) = &options.base_url {
        return replay_on(base_url, run, scenario).await;
    }
    let Reactions { reposition, price_elasticity } = options.reactions;
    let wanted = LaunchOptions {
        time_scale: options.time_scale,
        policy: options.policy,
        pickup_within_s: options.pickup_within,
        surge: price_elasticity > 0.0,
        hints: reposition > 0.0,
    };
    let launched = launcher(wanted).await.map_err(Error::Launch)?;
    let report = replay_on(launched.base_url(), run, scenario).await;
    launched.stop().await;
    report
}

/// A run of the replay.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    options: &'a Replay,
    seed: u64,
}

/// Boxed, so that it is compiled with this crate and not with the program.
fn replay_on<'a>(base_url: &'a str, run: Run<'a>, scenario: Scenario) -> LocalBoxFuture<'a, Result<Report, Error>> {
    Box::pin(replay_scenario(base_url, run, scenario))
}

async fn replay_scenario(base_url: &str, run: Run<'_>, scenario: Scenario) -> Result<Report, Error> {
    let started = machine_now();
    let mut report = blank(run, &scenario);
    let window = scenario.closes - scenario.opens;
    let Scenario { city, demand, .. } = scenario;
    let behavior = Behavior::new(run.options.behavior, run.options.reactions);
    let context = Arc::new(RunContext::new(city, base_url, run.seed, behavior).await?);
    report.time_scale = context.clock.scale();
    let mut matches = RunMatchLatency::from(match_latency(&context).await.unwrap_or_default());

    if !run.options.no_streets {
        publish::streets(&context).await;
    }
    let fleet = Fleet::start(&context, &context.city.fleet).await;
    let opened = context.clock.now();
    context.set_window(opened, opened + window);
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
    let counts = context.statistics.counts();
    let size = RunSize {
        requests: report.requests,
        served: report.outcomes.served,
        vehicles: context.city.fleet.len() as u64,
        window_s: as_seconds(window),
    };
    report.quality = quality(size, &counts, &rides);
    if let Some(last) = match_latency(&context).await {
        matches.observe(last);
    }
    report.match_latency = matches.summary();
    report.set_counts(&counts);
    report.set_audit(audit);
    report.wall_s = rounded((machine_now() - started).as_secs_f64());
    Ok(report)
}

/// The report before the first ride.
fn blank(Run { options, seed }: Run<'_>, scenario: &Scenario) -> Report {
    let settings = Settings {
        behavior: options.behavior,
        policy: options.policy,
        pickup_within_s: options.pickup_within,
        streets: !options.no_streets,
        reposition: options.reactions.reposition,
        price_elasticity: options.reactions.price_elasticity,
    };
    let name = options.scenario.file_name().unwrap_or(options.scenario.as_os_str());
    Report {
        scenario: name.to_string_lossy().into_owned(),
        from: scenario.opens,
        until: scenario.closes,
        seed,
        settings,
        time_scale: 0.0,
        vehicles: scenario.city.fleet.len(),
        wall_s: 0.0,
        interrupted: false,
        requests: scenario.demand.len() as u64,
        rejected_rows: scenario.rejected.clone(),
        skipped_streets: scenario.skipped_streets,
        outcomes: outcomes(0, &[]),
        quality: Quality::default(),
        pickup_wait_s: None,
        match_latency: None,
        lateness: LatenessReport { p99_s: 0.0, max_s: 0.0 },
        degraded: false,
        degraded_by: Vec::new(),
        offers: Default::default(),
        offers_expired_in_transit: 0,
        driver_cancelled: 0,
        positions: [].into(),
        http_errors: [].into(),
        deadhead_km: 0.0,
        repositioning_km: 0.0,
        hints_followed: 0,
        surge_quotes: 0,
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
