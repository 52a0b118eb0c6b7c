//! One run, from start to report.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use psp_sim::FaultKind;
use tempfile::TempDir;

use crate::BoxError;
use crate::actors::{Actors, Context, KeyHistory};
use crate::cli::Cli;
use crate::fault_injector::{FaultInjector, OPERATIONS, PROVIDER_PLAN, kinds_of};
use crate::ledger_check::{self, OurRecords};
use crate::provider::{Cell, Provider};
use crate::report::TortureReport;
use crate::settle;
use crate::stack::{Options, Stack};
use crate::wire::Side;

/// How long the audit may wait for unsettled work. Everything should be settled already.
const SETTLE: Duration = Duration::from_secs(5);

/// Runs the service's `program` under faults, prints the report, and returns success if it is clean.
///
/// # Errors
/// If something does not start, does not recover, or does not stop.
pub async fn run(cli: &Cli, program: PathBuf) -> Result<ExitCode, BoxError> {
    let dir = prepare()?;
    let options = Options {
        program,
        dir: dir.path().to_owned(),
        seed: cli.seed,
        drivers: cli.drivers,
        time_scale: cli.time_scale,
    };
    let end = tokio::select! {
        end = run_in(cli, options) => end,
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

/// Installs what HTTP clients need, and creates the directory of a run.
pub(crate) fn prepare() -> Result<TempDir, BoxError> {
    // reqwest needs one even for plain HTTP. An error means that one is installed already.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    // PostgreSQL may run under another account, which needs access to its data below.
    let permissions = Permissions::from_mode(0o755);
    Ok(tempfile::Builder::new().prefix("ridematch-torture-").permissions(permissions).tempdir()?)
}

async fn run_in(cli: &Cli, options: Options) -> Result<TortureReport, BoxError> {
    let whole = Stopwatch::start();
    let say = |what: &str| eprintln!("torture: {:>3} s  {what}", whole.elapsed().as_secs());
    say(&format!("starting, seed {}: database, provider, two services, a city", cli.seed));
    let stack = Arc::new(Stack::start(options).await?);
    let provider = Provider::new(stack.provider_key())?;
    let injector = Arc::new(FaultInjector::new(Arc::clone(&stack), provider, cli.seed));
    let actors = Actors::start(&stack)?;
    stack.city();

    say(&format!("injecting faults for {} s", cli.seconds));
    let time = Duration::from_secs(cli.seconds);
    injector.run(cli.seed, time, |elapsed| progress(&injector, elapsed, cli.seconds)).await?;
    finish_line();

    say("ending all faults but the provider's");
    stack.heal();
    stack.ready().await?;
    say("holding rows, losing a wake and stopping a service in a transaction, each alone");
    let stood_still = injector.check_progress(&actors.context).await?;
    plan_remaining(&injector, cli.seed).await?;
    let Settled { context, open_trips, needs_review } = settle_all(&injector, actors, &say).await?;
    say("auditing");
    let audit = stack.audit(SETTLE).await?;

    say("comparing the records");
    let provider_url = stack.provider_url().ok_or("the provider is down")?;
    let theirs = injector.provider.records(&provider_url).await?;
    let ours = OurRecords::read(&mut stack.database.session().await?).await?;
    let history = context.record.all();
    let violations = ledger_check::compare(&ours, &theirs, &history);
    let mut report = TortureReport {
        clean: false,
        seed: cli.seed,
        seconds: cli.seconds,
        total_seconds: 0,
        fault_count: 0,
        faults: faults(&injector),
        provider_faults: injector.provider.struck().into_iter().map(|(kind, count)| (kind.as_str(), count)).collect(),
        provider_operations: operations(&injector.provider.cells()),
        trips: counts(ours.trips.iter().map(|trip| trip.state.as_str())),
        payments: counts(ours.payments.iter().map(|payment| payment.state.as_str())),
        refunds: counts(ours.refunds.iter().map(|refund| refund.state.as_str())),
        write_offs: ours.write_offs.len() as u64,
        written_off: ours.written_off(),
        keys: history.len() as u64,
        sent: history.values().map(|key| u64::from(key.sent)).sum(),
        refused: refused(&history),
        unanswered: history.values().filter(|key| is_unanswered(key)).count() as u64,
        unexpected_exits: unexpected_exits(&stack),
        needs_review,
        open_trips,
        insufficient: Vec::new(),
        stood_still,
        violations,
        audit,
        shapes: stack.database_proxy.shapes().rows(),
        schedule: injector.log.entries(),
    };
    stack.stop().await?;
    report.judge();
    report.total_seconds = whole.elapsed().as_secs();
    Ok(report)
}

/// What is left once everything has settled.
struct Settled {
    context: Arc<Context>,
    open_trips: Vec<String>,
    needs_review: Vec<String>,
}

/// Lets all trips end, and all work on them.
async fn settle_all(injector: &FaultInjector, actors: Actors, say: &impl Fn(&str)) -> Result<Settled, BoxError> {
    let stack = &injector.stack;
    say("advancing the domain clock: trips end, keys get their responses");
    actors.close();
    let mut operator = settle::operator(&actors.context);
    settle::end_trips(stack, &mut operator).await?;
    let context = actors.finish().await;
    // The city may still run, and would start more trips. And a request that was in progress may have become a trip meanwhile.
    stack.city().stop().await;
    let open_trips = settle::end_trips(stack, &mut operator).await?;
    stack.database_proxy.heal();
    heal_provider(injector).await;
    say("settling: leases expire, back-offs end, an operator resolves what needs review");
    let needs_review = settle::resolve_open_work(stack, &mut operator).await?;
    say("reconciling: what lost events have hidden is found");
    let needs_review = settle::reconcile(stack, &mut operator, needs_review).await?;
    Ok(Settled { context, open_trips, needs_review })
}

/// Plans the provider's remaining faults. They strike the captures and refunds of the last trips, so that every operation is covered.
async fn plan_remaining(injector: &FaultInjector, seed: u64) -> Result<(), BoxError> {
    if let Some(url) = injector.stack.provider_url() {
        injector.provider.count(&url).await;
        injector.plan_remaining(&url, seed).await?;
    }
    Ok(())
}

/// Ends the provider's faults.
async fn heal_provider(injector: &FaultInjector) {
    if let Some(url) = injector.stack.provider_url() {
        injector.provider.count(&url).await;
        injector.provider.heal(&url).await;
    }
}

/// Counts all faults that struck: those of the log, lost commits, and those of the provider.
fn faults(injector: &FaultInjector) -> BTreeMap<String, u64> {
    let mut faults = injector.log.counts();
    let (before, after) = injector.stack.database_proxy.shapes().cuts();
    for (side, count) in [(Side::Before, before), (Side::After, after)] {
        let side = if side == Side::Before { "before" } else { "after" };
        faults.insert(format!("lose a commit, cut {side}"), count);
    }
    // A plan is no fault; what it does is.
    faults.remove(PROVIDER_PLAN);
    for (kind, count) in injector.provider.struck() {
        // Latency and declined cards are normal.
        if !matches!(kind, FaultKind::Latency | FaultKind::Decline) {
            faults.insert(format!("provider: {}", kind.as_str().replace('_', " ")), count);
        }
    }
    faults
}

/// Counts for every operation and every kind, including zeros.
fn operations(struck: &BTreeMap<Cell, u64>) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    let count = |cell| struck.get(&cell).copied().unwrap_or(0);
    let kinds =
        |operation| kinds_of(operation).into_iter().map(|kind| (kind.as_str(), count((operation, kind)))).collect();
    OPERATIONS.into_iter().map(|operation| (operation.as_str(), kinds(operation))).collect()
}

/// Final refusals by code.
fn refused(history: &BTreeMap<String, KeyHistory>) -> BTreeMap<String, u64> {
    counts(history.values().flat_map(|key| key.refusals.iter().map(String::as_str)))
}

fn is_unanswered(key: &KeyHistory) -> bool {
    key.successes.is_empty() && key.refusals.is_empty()
}

fn counts<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
    counts
}

/// Processes that ended without an order. The city does not count: it ends when it cannot read the clock.
fn unexpected_exits(stack: &Stack) -> BTreeMap<&'static str, u64> {
    let processes = [&stack.services[0], &stack.services[1], &stack.provider];
    processes.into_iter().map(|process| (process.name, process.deaths())).filter(|(_, deaths)| *deaths > 0).collect()
}

/// Shows the progress on a single line, on a terminal only.
fn progress(injector: &FaultInjector, elapsed: Duration, seconds: u64) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let shapes = injector.stack.database_proxy.shapes().rows();
    let covered = shapes.iter().filter(|row| row.is_covered()).count();
    let struck: u64 = faults(injector).values().sum();
    let line =
        format!("{:>4} of {seconds} s  {struck} faults  {covered} of {} shapes", elapsed.as_secs(), shapes.len());
    let _unshown = write!(std::io::stderr(), "\r{line}\x1b[K");
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
    eprintln!("torture: logs, database, the provider's records and report.json are in {}", kept.display());
    eprintln!("torture: repeat with: {}", command_line(cli));
}

/// The command that repeats the run.
fn command_line(cli: &Cli) -> String {
    let Cli { seconds, seed, drivers, time_scale, program, .. } = cli;
    // Quoted, because a path may contain blanks.
    let program = program.as_ref().map(|program| format!(" --program '{}'", program.display())).unwrap_or_default();
    format!("cargo torture --seconds {seconds} --seed {seed} --drivers {drivers} --time-scale {time_scale}{program}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_repeats_all_options() {
        let program = Some(PathBuf::from("a b/ridematch"));
        let cli =
            Cli { seconds: 20, seed: 7, report: None, keep: false, program, drivers: 4, time_scale: 3, command: None };
        let expected = "cargo torture --seconds 20 --seed 7 --drivers 4 --time-scale 3 --program 'a b/ridematch'";
        assert_eq!(command_line(&cli), expected);
        let plain = command_line(&Cli { program: None, ..cli });
        assert_eq!(plain, "cargo torture --seconds 20 --seed 7 --drivers 4 --time-scale 3");
    }
}
