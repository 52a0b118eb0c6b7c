//! Building a tree and judging its service: what `try`, `check`, `mitigate`, `diagnose --review` and `verify` have in common.

use std::{collections::BTreeMap, path::PathBuf};

use embedded_postgres::TestCluster;
use futures_util::{StreamExt, stream};
use launcher::clock::Stopwatch;
use serde::{Deserialize, Serialize};

use super::context::progress;
use crate::{
    Result,
    export::{
        self,
        build::{self, BuildError, Built},
        target,
    },
    judge,
    pack::Pack,
    session::Paths,
    stack::{self, Programs, RunSpec},
};

/// The cluster that all processes of the user's drills share.
const CLUSTER: &str = "drill";

/// Runs at the same time: one for each of two cores.
const RUNS_AT_ONCE: usize = 2;

/// What stays the same for all runs of a drill.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    /// The pack.
    pub pack: Pack,
    /// The program of the clean checkout.
    pub clean: PathBuf,
    /// Identifies the migrations of the clean checkout.
    pub clean_schema: String,
}

/// A service to judge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Candidate {
    /// Its program.
    pub program: PathBuf,
    /// Identifies its migrations.
    pub schema: String,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// SQL after its migrations.
    pub sql: Option<String>,
}

/// What was found with one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SeedVerdict {
    /// The seed.
    pub seed: u64,
    /// Whether everything held.
    pub passed: bool,
    /// What did not hold.
    pub failures: Vec<CheckFailure>,
    /// Seconds of the run.
    pub seconds: f64,
}

/// A check that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CheckFailure {
    /// What must hold.
    pub what: String,
    /// What was seen.
    pub seen: String,
}

impl std::fmt::Display for CheckFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} Found: {}", self.what, self.seen)
    }
}

impl SeedVerdict {
    /// A run that could not be judged, because the service failed early.
    fn ended_early(seed: u64, error: &dyn std::fmt::Display, seconds: f64) -> Self {
        let what = "The service starts and answers.".to_owned();
        Self { seed, passed: false, failures: vec![CheckFailure { what, seen: error.to_string() }], seconds }
    }
}

/// Starts or joins the cluster.
///
/// # Errors
///
/// There is no PostgreSQL, and none can be fetched.
pub(super) async fn cluster() -> Result<TestCluster> {
    Ok(TestCluster::of_run(CLUSTER).await?)
}

/// Builds the tree of `paths`. The first time, its target directory begins as a copy of the checkout's.
///
/// # Errors
///
/// [`BuildError`]; a compiler's message is shown as it is.
pub(super) async fn build(paths: &Paths, checkout: &std::path::Path) -> std::result::Result<Built, BuildError> {
    let other = |error: &dyn std::fmt::Display| BuildError::Other(error.to_string());
    let cluster = cluster().await.map_err(|error| other(&error))?;
    if let Some(release) = target::of_checkout(checkout) {
        let (target, own) = (paths.target(), own_packages(checkout));
        if !target.join("release/.fingerprint").is_dir() {
            progress("copying the libraries that the checkout has built");
        }
        let seeded = tokio::task::spawn_blocking(move || target::seed(&release, &target, &own));
        seeded.await.map_err(|error| other(&error))?.map_err(|error| other(&error))?;
    }
    progress("building the service");
    build::build(&paths.tree(), &paths.target(), cluster.server()).await
}

/// Names of the workspace's packages.
fn own_packages(checkout: &std::path::Path) -> Vec<String> {
    let crates = std::fs::read_dir(checkout.join("crates")).into_iter().flatten().flatten();
    let names = crates.filter_map(|entry| entry.file_name().into_string().ok());
    names.chain(["ridematch".to_owned()]).collect()
}

/// The candidate of a built tree.
pub(super) fn candidate(paths: &Paths, built: &Built, sql: Option<String>) -> Candidate {
    Candidate {
        program: built.program.clone(),
        schema: built.schema.clone(),
        environment: export::environment(&paths.tree()),
        sql,
    }
}

/// The program of the clean checkout, with the environment that the drill begins with.
pub(super) fn clean_candidate(bench: &Bench) -> Candidate {
    Candidate {
        program: bench.clean.clone(),
        schema: bench.clean_schema.clone(),
        environment: bench.pack.environment.clone(),
        sql: None,
    }
}

/// What to run for a candidate.
pub(super) fn spec(bench: &Bench, candidate: &Candidate, seed: u64, always: bool) -> RunSpec {
    RunSpec {
        programs: Programs { service: candidate.program.clone(), clean: bench.clean.clone() },
        schema: candidate.schema.clone(),
        environment: candidate.environment.clone(),
        sql: candidate.sql.clone(),
        seed,
        load: bench.pack.load.clone(),
        checks: bench.pack.check.clone(),
        always,
    }
}

/// Judges a candidate with one seed. With `always`, the audit and the contract suites run too.
pub(super) async fn judge_seed(bench: &Bench, candidate: &Candidate, seed: u64, always: bool) -> SeedVerdict {
    let stopwatch = Stopwatch::start();
    let judged = async {
        let spec = spec(bench, candidate, seed, always);
        // The healthy build runs on the same seed, next to the other, so that both have the same machine.
        let healthy = if judge::needs_healthy(&spec.checks) {
            let clean = clean_candidate(bench);
            Some(stack::run(self::spec(bench, &clean, seed, false)).await?)
        } else {
            None
        };
        let checks = spec.checks.clone();
        let result = stack::run(spec).await?;
        Ok::<_, launcher::BoxError>(judge::judge(&checks, &result, healthy.as_ref()))
    };
    match judged.await {
        Err(error) => SeedVerdict::ended_early(seed, &error, stopwatch.seconds()),
        Ok(verdict) => {
            let failure = |check: &judge::CheckResult| CheckFailure {
                what: check.what.clone(),
                seen: format!("{}; expected: {}", check.seen, check.expected),
            };
            let failures: Vec<CheckFailure> = verdict.failed().map(failure).collect();
            SeedVerdict { seed, passed: failures.is_empty(), failures, seconds: stopwatch.seconds() }
        }
    }
}

/// Judges a candidate with several seeds, two at a time. `until_failure` ends with the first seed that fails.
pub(super) async fn judge_seeds(
    bench: &Bench,
    candidate: &Candidate,
    seeds: &[u64],
    until_failure: bool,
) -> Vec<SeedVerdict> {
    let runs = stream::iter(seeds.iter().copied()).map(|seed| judge_seed(bench, candidate, seed, true));
    let mut runs = runs.buffer_unordered(RUNS_AT_ONCE);
    let mut verdicts = Vec::new();
    while let Some(verdict) = runs.next().await {
        progress(&format!(
            "seed {}: {} in {:.0} s",
            verdict.seed,
            if verdict.passed { "passed" } else { "failed" },
            verdict.seconds
        ));
        let failed = !verdict.passed;
        verdicts.push(verdict);
        if failed && until_failure {
            break;
        }
    }
    verdicts.sort_by_key(|verdict| verdict.seed);
    verdicts
}

/// Failures of all seeds, each once, with the number of seeds.
pub(super) fn summary(verdicts: &[SeedVerdict]) -> String {
    let mut counts: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for failure in verdicts.iter().flat_map(|verdict| &verdict.failures) {
        counts.entry(&failure.what).or_insert((0, &failure.seen)).0 += 1;
    }
    let line = |(what, (count, seen)): (&&str, &(usize, &str))| {
        let times = if verdicts.len() > 1 { format!(" ({count} of {} seeds)", verdicts.len()) } else { String::new() };
        format!("- {what}{times}\n  found: {seen}\n")
    };
    counts.iter().map(line).collect()
}
