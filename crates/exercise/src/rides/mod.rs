//! The integration round: 200 rides are booked through the published API and a lossy proxy; afterwards the records are judged.
//!
//! ```text
//!   the candidate's client ──▶ proxy ──▶ the service ──▶ the payment provider     (a demo of its own)
//!   drivers, judge ────────────────────▶ the service
//! ```

mod api;
mod demo;
mod drivers;
mod faults;
mod http;
mod proxy;
mod records;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use self::api::{Api, Caller};
use self::demo::Demo;
use self::faults::Fault;
use self::proxy::LossyProxy;
use crate::catalog::Exercise;
use crate::cli::Check;
use crate::limited::{self, End, Job, Run};
use crate::{Result, judge};

/// The bookings, each of a rider of its own.
const BOOKINGS: usize = 200;

/// The variables of the client: the address of the proxy, and the riders' tokens in the order of the bookings.
const URL_VARIABLE: &str = "RIDES_URL";
const TOKENS_VARIABLE: &str = "RIDES_TOKENS";

/// Starts the service, lets the client book, and judges. Returns what is wrong.
///
/// # Errors
/// The service does not start, or does not end the rides.
pub async fn check(exercise: &Exercise, options: &Check, command: &[OsString]) -> Result<Option<String>> {
    let program = match &options.program {
        Some(program) => program.clone(),
        None => launcher::service_program().await?,
    };
    // PostgreSQL may run under another account, which needs access to its data below.
    let permissions = Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().prefix("ridematch-exercise-").permissions(permissions).tempdir()?;
    eprintln!("exercise: starting the service, seed {}", options.seed);
    let demo = Demo::start(&program, folder.path()).await?;
    let api = Api::new(&demo.about.base_url)?;
    let mut riders = Vec::new();
    for _ in 0..BOOKINGS {
        riders.push(api.caller("rider").await?);
    }
    let drivers = drivers::work(&api, &riders).await?;
    let proxy = LossyProxy::open(options.seed, &api, &riders).await?;
    eprintln!("exercise: your client books {BOOKINGS} rides");
    let run = run_client(exercise, command, (&proxy.url, &riders), folder.path()).await?;
    let struck = proxy.struck();
    // What the client left on its way is lost; what the service has is what counts.
    drop(proxy);
    eprintln!("exercise: waiting until all rides are over, then comparing the records");
    let records = records::read(&api, &demo.about, &riders).await?;
    drop(drivers);
    let [lost, doubled, late] =
        [Fault::Lost, Fault::Doubled, Fault::Late].map(|fault| struck.get(&fault).copied().unwrap_or_default());
    println!("The proxy lost {lost} answers, doubled {doubled} requests and delayed {late} answers.");
    let stopped = (run.end != End::Exited(0)).then(|| judge::stopped(&exercise.about, BOOKINGS, &run));
    let problems = [stopped.map(|why| format!("Your client {why}")), records.problem(&run.stdout)];
    let problems: Vec<String> = problems.into_iter().flatten().collect();
    if problems.is_empty() {
        println!("rides: {BOOKINGS} bookings, each one ride and one charge; the client took {:.1} s.", run.seconds);
        return Ok(None);
    }
    Ok(Some(problems.join("\n\n")))
}

/// Runs the client in a directory of its own below `folder`.
async fn run_client(
    exercise: &Exercise,
    command: &[OsString],
    (url, riders): (&str, &[Caller]),
    folder: &Path,
) -> Result<Run> {
    let (input, dir) = (folder.join("input"), folder.join("work"));
    fs::create_dir(&dir)?;
    fs::write(&input, bookings())?;
    let tokens: Vec<&str> = riders.iter().map(|rider| rider.token.as_str()).collect();
    let environment = [(URL_VARIABLE, url.to_owned()), (TOKENS_VARIABLE, tokens.join(" "))];
    let limits = exercise.about.limits;
    limited::run(Job { command, limits, input: &input, dir: &dir, environment: &environment }).await
}

/// Returns standard input: a line for each booking, with its number, pickup and dropoff.
fn bookings() -> String {
    let (lat, lon) = drivers::PLACE;
    // Steps of five meters, up to fifty in each direction.
    let step = |number: usize| f64::from(u32::try_from(number % 10).unwrap_or_default()) * 0.000_05;
    (1..=BOOKINGS)
        .map(|number| {
            let (north, east) = (step(number), step(number / 10));
            format!(
                "{number} {:.5} {:.5} {:.5} {:.5}\n",
                lat + north,
                lon + east,
                lat + 0.02 + north,
                lon + 0.02 + east
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pickup_is_where_a_driver_has_arrived() {
        let input = bookings();
        assert_eq!(input.lines().count(), BOOKINGS);
        let (lat, lon) = drivers::PLACE;
        for line in input.lines() {
            let numbers: Vec<f64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
            let north_m = (numbers[1] - lat).abs() * 111_000.0;
            let east_m = (numbers[2] - lon).abs() * 85_000.0;
            assert!(north_m.hypot(east_m) < 100.0, "{line}");
        }
    }
}
