//! One torture, from start to verdict.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::BoxError;
use crate::adversary::{MOVES, REQUESTS, Scene, rage};
use crate::books::{self, Ours};
use crate::cli::Cli;
use crate::clock::Stopwatch;
use crate::peace;
use crate::people::{Asked, People};
use crate::provider::{Cell, Provider};
use crate::report::Report;
use crate::stack::{Options, Stack};
use crate::wire::Side;

/// How long the audit may wait for what is unsettled: everything is, or will not be.
const SETTLE: Duration = Duration::from_secs(5);

/// Tortures. `program` is the service's, unless the options name another.
///
/// # Errors
/// If the torture itself cannot be held: something does not start, does not heal, or does not stop.
pub async fn run(cli: &Cli, program: PathBuf) -> Result<ExitCode, BoxError> {
    // The server's account, if that is another one, passes through to its data.
    let dir =
        tempfile::Builder::new().prefix("ridematch-torture-").permissions(Permissions::from_mode(0o755)).tempdir()?;
    let options = Options {
        program: cli.program.clone().unwrap_or(program),
        dir: dir.path().to_owned(),
        seed: cli.seed,
        drivers: cli.drivers,
        time_scale: cli.time_scale,
    };
    let end = tokio::select! {
        end = torture(cli, options) => end,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    if let Ok(report) = &end {
        print!("{report}");
        let json = serde_json::to_vec_pretty(report)?;
        std::fs::write(dir.path().join("report.json"), &json)?;
        if let Some(file) = &cli.report {
            std::fs::write(file, &json).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    let is_clean = end.as_ref().is_ok_and(|report| report.clean);
    keep_or_remove(dir, cli, is_clean);
    end.map(|report| if report.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn torture(cli: &Cli, options: Options) -> Result<Report, BoxError> {
    let whole = Stopwatch::start();
    say(&format!("starting, seed {}: database, provider, two services, a city", cli.seed));
    let stack = Arc::new(Stack::start(options).await?);
    let scene = Arc::new(Scene::new(Arc::clone(&stack), Provider::new(stack.provider_key())?, cli.seed));
    let people = People::come(&stack)?;
    stack.city();

    say(&format!("the adversary is loose for {} s", cli.seconds));
    rage(&scene, cli.seed, Duration::from_secs(cli.seconds), |elapsed| progress(&scene, elapsed, cli.seconds)).await?;
    finish_line();

    say("healing");
    heal(&scene, cli.seed).await?;
    say("time passes: rides end, keys get their answers");
    people.close();
    let mut operator = peace::operator(&people.town);
    peace::come(&stack, &mut operator).await?;
    let town = people.go_home().await;
    // Where no ride was left at once, the city was not told to stop yet: it would begin more while the books are compared. And a
    // request that was still under way may have become a trip after the last one had ended.
    stack.city().stop().await;
    let open_trips = peace::come(&stack, &mut operator).await?;
    stack.wire.heal();
    fair_weather(&scene).await;
    say("settling: leases run out, back-offs end, a person decides what waits for one");
    let attention = peace::settle(&stack, &mut operator).await?;
    say("auditing");
    let audit = stack.audit(SETTLE).await?;

    say("comparing the books");
    let provider_url = stack.provider_url().ok_or("the provider is down")?;
    let theirs = scene.provider.books(&provider_url).await?;
    let ours = Ours::read(&mut stack.database.session().await?).await?;
    let record = town.record.all();
    let violations = books::compare(&ours, &theirs, &record);
    let mut report = Report {
        clean: false,
        seed: cli.seed,
        seconds: cli.seconds,
        total_seconds: 0,
        faults_in_all: 0,
        faults: faults(&scene),
        provider_faults: scene.provider.struck(),
        provider_steps: steps(&scene.provider.cells()),
        trips: states(ours.trips.iter().map(|trip| trip.state.as_str())),
        payments: states(ours.payments.iter().map(|payment| payment.state.as_str())),
        refunds: states(ours.refunds.iter().map(|refund| refund.state.as_str())),
        write_offs: ours.written_off.len() as u64,
        written_off: ours.bad_debt(),
        keys: record.len() as u64,
        sent: record.values().map(|asked| u64::from(asked.sent)).sum(),
        refused: refused(&record),
        unanswered: record.values().filter(|asked| is_unanswered(asked)).count() as u64,
        died_by_themselves: deaths(&stack),
        attention,
        open_trips,
        too_little: Vec::new(),
        violations,
        audit,
        shapes: stack.wire.shapes().rows(),
        schedule: scene.tally.schedule(),
    };
    stack.stop().await?;
    report.judge();
    report.total_seconds = whole.elapsed().as_secs();
    Ok(report)
}

/// Nearly everything is well again: proxies pass, processes run. The provider has a last few bad moments, so that each step of a
/// payment has met each of them: the last rides bring captures and refunds, and nothing else is in their way any more.
async fn heal(scene: &Scene, seed: u64) -> Result<(), BoxError> {
    let stack = &scene.stack;
    stack.heal();
    stack.ready().await?;
    if let Some(url) = stack.provider_url() {
        scene.provider.count(&url).await;
        scene.plan_what_is_left(&url, seed).await?;
    }
    Ok(())
}

/// The provider, too, is well again.
async fn fair_weather(scene: &Scene) {
    if let Some(url) = scene.stack.provider_url() {
        scene.provider.count(&url).await;
        scene.provider.heal(&url).await;
    }
}

/// Everything that struck: what was done, what was lost on the wire, what the provider did.
fn faults(scene: &Scene) -> BTreeMap<String, u64> {
    let mut faults = scene.tally.faults();
    let (before, after) = scene.stack.wire.shapes().cuts();
    for (side, count) in [(Side::Before, before), (Side::After, after)] {
        let side = if side == Side::Before { "before" } else { "after" };
        faults.insert(format!("lose a commit, cut {side}"), count);
    }
    // To make weather is no fault; what it does is.
    faults.remove("change the provider's weather");
    for (kind, count) in scene.provider.struck() {
        // It is fair weather for a provider to be a little slow, or to say no to a bad card.
        if !matches!(kind.as_str(), "latency" | "decline") {
            faults.insert(format!("provider: {}", kind.replace('_', " ")), count);
        }
    }
    faults
}

/// Every step and every kind, struck or not.
fn steps(struck: &BTreeMap<Cell, u64>) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    let count = |step: &str, kind: &str| struck.get(&(step.to_owned(), kind.to_owned())).copied().unwrap_or(0);
    MOVES.iter().map(|step| (*step, REQUESTS.iter().map(|kind| (*kind, count(step, kind))).collect())).collect()
}

/// Refusals that stood, by code.
fn refused(record: &BTreeMap<String, Asked>) -> BTreeMap<String, u64> {
    states(record.values().flat_map(|asked| asked.refusals.iter().map(String::as_str)))
}

fn is_unanswered(asked: &Asked) -> bool {
    asked.successes.is_empty() && asked.refusals.is_empty()
}

fn states<'a>(states: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for state in states {
        *counts.entry(state.to_owned()).or_default() += 1;
    }
    counts
}

/// Who ended without being told to, after having started. The city may: it ends when it cannot read the clock.
fn deaths(stack: &Stack) -> BTreeMap<&'static str, u64> {
    let keepers = [&stack.services[0], &stack.services[1], &stack.provider];
    keepers.into_iter().map(|keeper| (keeper.name, keeper.deaths())).filter(|(_, deaths)| *deaths > 0).collect()
}

fn say(what: &str) {
    eprintln!("torture: {what}");
}

/// One line, written over and over; on a terminal only, since elsewhere it would fill a log.
fn progress(scene: &Scene, elapsed: Duration, seconds: u64) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let shapes = scene.stack.wire.shapes().rows();
    let visited = shapes.iter().filter(|row| row.is_visited()).count();
    let struck: u64 = faults(scene).values().sum();
    let line =
        format!("{:>4} of {seconds} s  {struck} faults  {visited} of {} shapes", elapsed.as_secs(), shapes.len());
    let _lost = write!(std::io::stderr(), "\r{line}\x1b[K");
}

fn finish_line() {
    if std::io::stderr().is_terminal() {
        eprintln!();
    }
}

fn keep_or_remove(dir: TempDir, cli: &Cli, is_clean: bool) {
    if !cli.keep && is_clean {
        return;
    }
    let kept = dir.keep();
    eprintln!("torture: logs, database, the provider's books and report.json are in {}", kept.display());
    eprintln!("torture: again: {}", again(cli));
}

/// The command that does the same again.
fn again(cli: &Cli) -> String {
    let Cli { seconds, seed, drivers, time_scale, program, .. } = cli;
    // In quotes, since it may have blanks in it.
    let program = program.as_ref().map(|program| format!(" --program '{}'", program.display())).unwrap_or_default();
    format!("cargo torture --seconds {seconds} --seed {seed} --drivers {drivers} --time-scale {time_scale}{program}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_repeats_a_run_has_all_that_was_given() {
        let program = Some(PathBuf::from("a b/ridematch"));
        let cli = Cli { seconds: 20, seed: 7, report: None, keep: false, program, drivers: 4, time_scale: 3 };
        let expected = "cargo torture --seconds 20 --seed 7 --drivers 4 --time-scale 3 --program 'a b/ridematch'";
        assert_eq!(again(&cli), expected);
        let plain = again(&Cli { program: None, ..cli });
        assert_eq!(plain, "cargo torture --seconds 20 --seed 7 --drivers 4 --time-scale 3");
    }
}
