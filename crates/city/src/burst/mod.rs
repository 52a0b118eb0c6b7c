//! A burst: thousands of requests within minutes at one place, as after a concert, and far fewer drivers.

mod passed_over;
mod report;
mod trips;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use rand::RngExt;

use crate::behavior::Behavior;
use crate::cli::Burst;
use crate::clock::{machine_now, seconds};
use crate::fleet::Fleet;
use crate::launch::LaunchOptions;
use crate::metrics::rounded;
use crate::model::{CENTER, CityModel, Class, Request, Traffic, procedural};
use crate::position::Position;
use crate::random::seeded_random;
use crate::rider::RideOutcome;
use crate::riders::{SkippedDepartures, run_riders};
use crate::run_context::RunContext;
use crate::settle::{SETTLE_TIMEOUT, settle};
use crate::{Error, Launcher, progress, publish};

use report::{BurstReport, Findings, RunFacts};

/// The riders are within this distance of the place, along each axis.
const PLACE_M: f64 = 150.0;

/// The largest offset of a dropoff from its junction, along each axis.
const DROPOFF_OFFSET_M: f64 = 35.0;

/// How much later than the service the program may learn of a change, in real seconds. Times that differ by less are equal.
const DELAY_MAX_S: f64 = 2.0;

/// Runs a burst on a private service or the given one, and prints the report.
///
/// # Errors
/// The burst cannot start, or the report cannot be written. An invariant that does not hold is not an error, but a failure exit code.
pub(crate) async fn burst(options: &Burst, launcher: &Launcher) -> Result<ExitCode, Error> {
    let report = match &options.base_url {
        Some(base_url) => burst_on(base_url, options).await?,
        None => {
            let wanted = LaunchOptions {
                time_scale: options.time_scale,
                policy: None,
                pickup_within_s: None,
                surge: false,
                hints: false,
            };
            let launched = launcher(wanted).await.map_err(Error::Launch)?;
            let report = burst_on(launched.base_url(), options).await;
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
fn burst_on<'a>(base_url: &'a str, options: &'a Burst) -> LocalBoxFuture<'a, Result<BurstReport, Error>> {
    Box::pin(run(base_url, options))
}

async fn run(base_url: &str, options: &Burst) -> Result<BurstReport, Error> {
    let started = machine_now();
    let city = city(options);
    let context = Arc::new(RunContext::new(city, base_url, options.seed, Behavior::in_burst()).await?);
    context.statistics.keep_offers();
    let scale = context.clock.scale();
    let demand = requests(options, scale, &context.city);

    publish::streets(&context).await;
    let fleet = Fleet::start(&context, &context.city.fleet).await;
    let (opened, total) = (context.clock.now(), u64::from(options.requests));
    let mut rides: Vec<RideOutcome> = Vec::with_capacity(demand.len());
    let mut interrupted = false;
    tokio::select! {
        () = run_riders(&context, opened, demand.into_iter(), SkippedDepartures::AtOnce, |outcome| rides.push(outcome)) => {}
        () = context.follow_service_clock() => {}
        () = progress::show(&context, opened, total) => {}
        _ = tokio::signal::ctrl_c() => interrupted = true,
    }
    let rides_ended = machine_now() - started;
    let audit = settle(&context, if interrupted { Duration::ZERO } else { SETTLE_TIMEOUT }).await;
    fleet.go_offline().await;

    let facts = RunFacts {
        requests: total,
        drivers: options.drivers,
        within_s: options.within,
        seed: options.seed,
        time_scale: scale,
        rides_s: rounded(rides_ended.as_secs_f64()),
        wall_s: rounded((machine_now() - started).as_secs_f64()),
        interrupted,
    };
    let offers = context.statistics.kept_offers();
    let findings = Findings::new(&rides, &offers, seconds(DELAY_MAX_S * scale));
    Ok(BurstReport::new(facts, &rides, findings, (&context.statistics.counts(), audit)))
}

/// The procedural city without rush hours, and with cars of one class: every driver is one for every rider.
fn city(options: &Burst) -> CityModel {
    let drivers = usize::try_from(options.drivers).unwrap_or(usize::MAX);
    let mut city = procedural::city(options.seed, drivers);
    city.fleet.iter_mut().for_each(|vehicle| vehicle.class = Class::Standard);
    CityModel { traffic: Traffic::AsMapped, ..city }
}

/// The requests: evenly in time, each from the place to any junction.
fn requests(options: &Burst, scale: f64, city: &CityModel) -> Vec<Request> {
    let mut random = seeded_random(options.seed, "burst");
    let between_s = f64::from(options.within) * scale / f64::from(options.requests);
    let near = |place: Position, meters: f64, random: &mut rand::rngs::StdRng| {
        place.offset(random.random_range(-meters..meters), random.random_range(-meters..meters))
    };
    let request = |number: u32| {
        let junction = city.streets.junctions()[random.random_range(0..city.streets.junctions().len())];
        Request {
            name: format!("burst-{number}"),
            departs_after: seconds(f64::from(number) * between_s),
            pickup: near(CENTER, PLACE_M, &mut random),
            dropoff: near(junction, DROPOFF_OFFSET_M, &mut random),
            class: Class::Standard,
        }
    };
    (0..options.requests).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_evenly_from_one_place() {
        let options =
            Burst { requests: 100, drivers: 5, within: 20, time_scale: 3, seed: 1, base_url: None, report: None };
        let city = city(&options);
        assert!(city.fleet.len() == 5 && city.fleet.iter().all(|vehicle| vehicle.class == Class::Standard));
        let requests = requests(&options, 3.0, &city);
        assert_eq!((requests.len(), requests[99].departs_after), (100, seconds(59.4)));
        assert!(requests.iter().all(|request| request.pickup.meters_to(CENTER) < 1.5 * PLACE_M));
        assert!(requests.iter().any(|request| request.dropoff.meters_to(CENTER) > 1_000.0));
    }
}
