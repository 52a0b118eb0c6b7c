//! A scenario, replayed on a service.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::Replay;
use crate::clock::machine_now;
use crate::fleet::Fleet;
use crate::habits::Habits;
use crate::launch::{LaunchOptions, Launched};
use crate::metrics::{MatchLatency, Matches, rounded};
use crate::report::{LatenessReport, Report, endings, waits};
use crate::source::{Scenario, Window};
use crate::web::api::Audit;
use crate::web::{Call, Role, Session};
use crate::world::World;
use crate::{BoxError, Error, progress, publish, run};

/// Settling after the last ride: captures, refunds and their retries, in machine time.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
const METRICS_EVERY: Duration = Duration::from_secs(5);

/// Replays a scenario on a private service, or on the one that is named, and prints the report.
///
/// # Errors
/// When the replay can't begin, or the report can't be written. A replay that went badly is no error but a bad exit code.
pub(crate) async fn replay(
    options: &Replay,
    launcher: impl AsyncFnOnce(LaunchOptions) -> Result<Launched, BoxError>,
) -> Result<ExitCode, Error> {
    let window = Window { from: options.from, until: options.until };
    let mut scenario = Scenario::read(&options.scenario, window).map_err(|error| Error::Scenario(error.into()))?;
    let vehicles = options.vehicles.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    scenario.place.fleet.truncate(vehicles);
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
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn replay_on(base_url: &str, options: &Replay, scenario: Scenario) -> Result<Report, Error> {
    let started = machine_now();
    let mut report = blank(options, &scenario);
    let Scenario { place, demand, .. } = scenario;
    let world = Arc::new(World::begin(place, base_url, options.seed, Habits::default()).await?);
    report.time_scale = world.clock.scale();
    let mut matches = Matches::from(match_latency(&world).await.unwrap_or_default());

    publish::streets(&world).await;
    let fleet = Fleet::start(&world, &world.place.fleet).await;
    let opened = world.clock.now();
    let mut rides = Vec::with_capacity(demand.len());
    tokio::select! {
        () = run::serve(&world, opened, demand.into_iter(), run::Missed::DepartAtOnce, |ending| rides.push(ending)) => {}
        () = world.keep_time() => {}
        () = watch(&world, &mut matches) => {}
        () = progress::show(&world, opened, report.requests) => {}
        _ = tokio::signal::ctrl_c() => report.interrupted = true,
    }
    let audit = settle(&world, if report.interrupted { Duration::ZERO } else { SETTLED_WITHIN }).await;
    fleet.go_home().await;

    report.endings = endings(report.requests, &rides);
    report.pickup_wait_s = waits(&rides);
    if let Some(last) = match_latency(&world).await {
        matches.observe(last);
    }
    report.match_latency = matches.summary();
    report.count(&world.tally.counts());
    report.judge(audit);
    report.wall_s = rounded((machine_now() - started).as_secs_f64());
    Ok(report)
}

/// The report as far as it is known before the first ride.
fn blank(options: &Replay, scenario: &Scenario) -> Report {
    let name = options.scenario.file_name().unwrap_or(options.scenario.as_os_str());
    Report {
        scenario: name.to_string_lossy().into_owned(),
        from: scenario.opens,
        until: scenario.closes,
        seed: options.seed,
        time_scale: 0.0,
        vehicles: scenario.place.fleet.len(),
        wall_s: 0.0,
        interrupted: false,
        requests: scenario.demand.len() as u64,
        rejected_rows: scenario.rejected.clone(),
        skipped_streets: scenario.skipped_streets,
        endings: endings(0, &[]),
        pickup_wait_s: None,
        match_latency: None,
        lateness: LatenessReport { p99_s: 0.0, max_s: 0.0 },
        degraded: false,
        offers: Default::default(),
        offers_expired_in_transit: 0,
        driver_cancelled: 0,
        positions: [].into(),
        http_errors: [].into(),
        empty_km: 0.0,
        loaded_km: 0.0,
        drives_off_streets: 0,
        captured: None,
        audit: None,
        unsettled: None,
        clean: false,
    }
}

/// Reads the match latencies now and then, for ever, so that a service that dies takes few of them along.
async fn watch(world: &World, matches: &mut Matches) {
    loop {
        tokio::time::sleep(METRICS_EVERY).await;
        if let Some(now) = match_latency(world).await {
            matches.observe(now);
        }
    }
}

async fn match_latency(world: &World) -> Option<MatchLatency> {
    match world.client.text("/metrics").await {
        Ok(page) => Some(MatchLatency::read(&page)),
        Err(failure) => {
            world.note("replay", "can't read the service's metrics", &failure);
            None
        }
    }
}

/// Asks for the audit until nothing is unsettled or the time is up; the last answer counts.
async fn settle(world: &World, within: Duration) -> Option<Audit> {
    let ops = Session::new(Role::Ops, None);
    let deadline = machine_now() + within;
    loop {
        let audit = world.client.call::<Audit>(&ops, &Call::get("/v1/ops/audit")).await;
        match audit {
            Ok(audit) if audit.unsettled == 0 || machine_now() >= deadline => return Some(audit),
            Ok(_) => {}
            Err(failure) => {
                world.note("replay", "can't read the audit", &failure);
                return None;
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
