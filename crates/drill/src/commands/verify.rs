//! `verify`: the proof that a pack works on today's tree. Results are kept, so an interrupted proof goes on where it was.

use std::{collections::BTreeMap, fmt::Write};

use launcher::{clock::Stopwatch, files};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use worktree::Tree;

use super::{
    Context, Output, authoring,
    context::progress,
    runs::{self, Bench, SeedVerdict},
    trial,
};
use crate::{
    Result,
    cli::Verify,
    export::{self, Clean, base, build, git},
    judge::CheckSpec,
    pack::{Change, Drill, changes, load, recognize::recognize},
    session::Lock,
};

/// The first seed.
const FIRST_SEED: u64 = 1_001;

/// Seeds with which a healthy tree is judged. The fixed tree is judged with all.
const HEALTHY_SEEDS: u64 = 3;

/// Within how many seconds from an empty database the symptom must show.
const SYMPTOM_WITHIN_S: f64 = 60.0;

/// What a step must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// All seeds pass.
    Passes,
    /// All seeds fail.
    Fails,
    /// At least one seed fails.
    FailsSometimes,
}

/// A step of the proof.
struct Step {
    name: String,
    /// `None`: the clean checkout's own program.
    tree: Option<Tree>,
    sql: Option<String>,
    expected: Expected,
    seeds: u64,
    /// Checks instead of the pack's.
    checks: Option<Vec<CheckSpec>>,
    /// What the difference to the faulty tree must be recognized as.
    recognized: Option<Option<String>>,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StepResult {
    /// Identifies pack, tree and judge.
    key: String,
    name: String,
    held: bool,
    build_s: f64,
    run_s: f64,
    failed: usize,
    seeds: usize,
    /// Why it did not hold, or what failed as expected.
    detail: String,
}

/// Proves packs.
pub(super) async fn run(context: &Context, arguments: &Verify) -> Result<Output> {
    let drills = if arguments.all {
        load::all(&context.checkout)?
    } else {
        arguments.drills.iter().map(|wanted| load::find(&context.checkout, wanted)).collect::<Result<_>>()?
    };
    if drills.is_empty() {
        return Err("there are no drills in this checkout".into());
    }
    let _lock = Lock::take(&context.paths.proof(), "verify")?;
    let clean = Clean::read(&context.checkout)?;
    let (mut text, mut passed, mut items) = (String::new(), true, Vec::new());
    text.push_str(
        "| drill | step | result | build s | run s | seeds failed |\n| --- | --- | --- | ---: | ---: | ---: |\n",
    );
    for drill in &drills {
        // Ctrl-C is noticed here, although the form of a pack is checked without waiting for anything.
        tokio::task::yield_now().await;
        let pack = drill.pack()?;
        let problems = authoring::of(drill, &pack, &clean);
        for problem in &problems {
            writeln!(text, "| {} | form | NOT held: {problem} | | | |", drill.name())?;
        }
        passed &= problems.is_empty();
        // A draft is proven when it is named.
        let only_form = arguments.quick || (arguments.all && drill.card.draft);
        let results = if problems.is_empty() && !only_form {
            progress(&drill.name());
            prove(context, arguments, drill, &clean).await?
        } else {
            if problems.is_empty() {
                writeln!(text, "| {} | form | held | | | |", drill.name())?;
            }
            Vec::new()
        };
        for result in &results {
            let held = if result.held { "held".to_owned() } else { format!("NOT held: {}", result.detail) };
            let StepResult { name, build_s, run_s, failed, seeds, .. } = result;
            writeln!(text, "| {} | {name} | {held} | {build_s:.0} | {run_s:.0} | {failed} of {seeds} |", drill.name())?;
            passed &= result.held;
        }
        items.push(json!({ "drill": drill.name(), "problems": problems, "steps": results }));
    }
    writeln!(text, "\n{}", conclusion(arguments.quick, passed))?;
    Ok(Output { text, json: json!({ "passed": passed, "drills": items }), passed })
}

/// The last line.
fn conclusion(is_quick: bool, passed: bool) -> &'static str {
    match (is_quick, passed) {
        (true, true) => "every pack is well-formed and applies; nothing was run",
        (false, true) => "every pack is proven",
        (_, false) => "NOT every pack holds",
    }
}

/// Takes all steps of a pack that are not proven yet.
async fn prove(context: &Context, arguments: &Verify, drill: &Drill, clean: &Clean) -> Result<Vec<StepResult>> {
    let bench = trial::bench(context, drill.pack()?)?;
    let base = base::of(&clean.tree, &bench.pack)?;
    let trees = changes::history(&base, &bench.pack, true)?;
    let faulty = trees.into_iter().next_back().map(|(_, tree)| tree).ok_or("an empty history")?;
    let path = context.paths.proofs().join(format!("{}.json", drill.name()));
    let mut kept: BTreeMap<String, StepResult> =
        if arguments.again { BTreeMap::new() } else { files::read_json(&path)?.unwrap_or_default() };
    let judge = judge_digest(&clean.tree);
    let pack_digest = digest(&[authoring::without_base(&drill.pack_text()?).as_bytes()]);
    let mut results = Vec::new();
    for step in steps(&bench, &faulty, arguments.seeds)? {
        let tree = step.tree.as_ref().unwrap_or(&base);
        let key = digest(&[
            judge.as_bytes(),
            pack_digest.as_bytes(),
            tree_digest(tree).as_bytes(),
            arguments.seeds.to_string().as_bytes(),
        ]);
        if let Some(result) = kept.get(&step.name).filter(|result| result.key == key && result.held) {
            results.push(result.clone());
            continue;
        }
        progress(&format!("{}: {}", drill.name(), step.name));
        let result = StepResult { key, ..take(context, &bench, clean, &faulty, &step).await? };
        kept.insert(step.name.clone(), result.clone());
        files::replace_json(&path, &kept)?;
        results.push(result);
    }
    Ok(results)
}

/// The steps of a pack's proof.
fn steps(bench: &Bench, faulty: &Tree, seeds: u64) -> Result<Vec<Step>> {
    let pack = &bench.pack;
    let has_fault = pack.component != "none";
    let with = |change: &Change| -> Result<Tree> {
        let mut tree = faulty.clone();
        changes::apply(&mut tree, change)?;
        Ok(tree)
    };
    let step = |name: &str, tree: Option<Tree>, expected, seeds| Step {
        name: name.to_owned(),
        tree,
        sql: changes::sql(&pack.fault, &Change::default()),
        expected,
        seeds,
        checks: None,
        recognized: None,
    };
    let mut steps = vec![Step { sql: None, ..step("healthy", None, Expected::Passes, HEALTHY_SEEDS.min(seeds)) }];
    let symptom = if pack.symptom.is_empty() { pack.check.clone() } else { pack.symptom.clone() };
    let expected = if has_fault { Expected::Fails } else { Expected::Passes };
    steps.push(step("exported", Some(faulty.clone()), expected, seeds));
    steps.push(Step {
        checks: Some(symptom),
        ..step("symptom within 60 s", Some(faulty.clone()), Expected::FailsSometimes, 1)
    });
    if has_fault {
        steps.push(Step {
            sql: changes::sql(&pack.fault, &pack.fix),
            recognized: Some(None),
            ..step("fix", Some(with(&pack.fix)?), Expected::Passes, seeds)
        });
    }
    for wrong in &pack.wrong {
        let change = wrong.change();
        steps.push(Step {
            sql: changes::sql(&pack.fault, &change),
            recognized: Some(Some(wrong.name.clone())),
            ..step(&format!("wrong: {}", wrong.name), Some(with(&change)?), Expected::FailsSometimes, seeds)
        });
    }
    Ok(steps)
}

/// Builds and judges a step.
async fn take(context: &Context, bench: &Bench, clean: &Clean, faulty: &Tree, step: &Step) -> Result<StepResult> {
    let mut result = StepResult {
        key: String::new(),
        name: step.name.clone(),
        held: false,
        build_s: 0.0,
        run_s: 0.0,
        failed: 0,
        seeds: 0,
        detail: String::new(),
    };
    let stopwatch = Stopwatch::start();
    let candidate = match &step.tree {
        None => runs::clean_candidate(bench),
        Some(tree) => {
            let proof = context.paths.proof();
            export::write_files(&proof.tree(), tree, &clean.executable)?;
            match runs::build(&proof, &context.checkout).await {
                Ok(built) => runs::candidate(&proof, &built, step.sql.clone()),
                Err(build::BuildError::DoesNotCompile(messages)) => {
                    result.detail =
                        format!("it does not compile: {}", messages.lines().take(8).collect::<Vec<_>>().join(" / "));
                    return Ok(result);
                }
                Err(build::BuildError::Migrations(error)) => {
                    result.detail = error;
                    return Ok(result);
                }
                Err(error) => return Err(error.to_string().into()),
            }
        }
    };
    result.build_s = stopwatch.seconds();
    let mut bench = bench.clone();
    if let Some(checks) = &step.checks {
        bench.pack.check.clone_from(checks);
    }
    let seeds: Vec<u64> = (FIRST_SEED..FIRST_SEED + step.seeds).collect();
    let running = Stopwatch::start();
    let verdicts = if step.checks.is_some() {
        vec![runs::judge_seed(&bench, &candidate, FIRST_SEED, false).await]
    } else {
        runs::judge_seeds(&bench, &candidate, &seeds, step.expected == Expected::FailsSometimes).await
    };
    result.run_s = running.seconds();
    result.failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    result.seeds = verdicts.len();
    result.detail = runs::summary(&verdicts).replace('\n', " ").replace('|', "/");
    result.held = holds(step, &verdicts);
    if let Some(recognized) = &step.recognized {
        recognize_step(&bench, faulty, step, recognized.as_deref(), &mut result)?;
    }
    Ok(result)
}

/// Whether the seeds are as expected.
fn holds(step: &Step, verdicts: &[SeedVerdict]) -> bool {
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let in_time = step.checks.is_none() || verdicts.iter().all(|verdict| verdict.seconds <= SYMPTOM_WITHIN_S);
    in_time
        && match step.expected {
            Expected::Passes => failed == 0,
            Expected::Fails => failed == verdicts.len(),
            Expected::FailsSometimes => failed > 0,
        }
}

/// Whether the change is named as it must be.
fn recognize_step(
    bench: &Bench,
    faulty: &Tree,
    step: &Step,
    expected: Option<&str>,
    result: &mut StepResult,
) -> Result<()> {
    let Some(tree) = &step.tree else { return Ok(()) };
    let patch = git::difference(faulty, tree)?;
    let found = recognize(&bench.pack.wrong, &patch).map(|wrong| wrong.name.as_str());
    if found != expected {
        result.held = false;
        let named = found.map_or("it is not named".to_owned(), |name| format!("it is named \"{name}\""));
        result.detail = format!("{named}; {}", result.detail);
    }
    Ok(())
}

/// Identifies what judges: everything of this crate but the packs.
fn judge_digest(clean: &Tree) -> String {
    let judging =
        clean.iter().filter(|(path, _)| path.starts_with("crates/drill/src/") && !path.contains("/commands/"));
    tree_digest(&judging.map(|(path, bytes)| (path.clone(), bytes.clone())).collect())
}

/// Identifies what a program is built from.
fn tree_digest(tree: &Tree) -> String {
    let built_from = ["src/", "migrations/", "crates/", "Cargo.", "deploy/", "sqlx.toml", ".cargo/"];
    let mut parts: Vec<&[u8]> = Vec::new();
    for (path, bytes) in tree.iter().filter(|(path, _)| built_from.iter().any(|start| path.starts_with(start))) {
        parts.push(path.as_bytes());
        parts.push(bytes);
    }
    digest(&parts)
}

fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    build::short(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(passed: bool, seconds: f64) -> SeedVerdict {
        SeedVerdict { seed: 1, passed, failures: Vec::new(), seconds }
    }

    #[test]
    fn step_holds_only_as_expected_and_in_time() {
        let step = |expected, checks: Option<Vec<CheckSpec>>| Step {
            name: String::new(),
            tree: None,
            sql: None,
            expected,
            seeds: 2,
            checks,
            recognized: None,
        };
        let mixed = [verdict(true, 10.0), verdict(false, 10.0)];
        assert!(!holds(&step(Expected::Passes, None), &mixed) && !holds(&step(Expected::Fails, None), &mixed));
        assert!(holds(&step(Expected::FailsSometimes, None), &mixed));
        let symptom = step(Expected::FailsSometimes, Some(Vec::new()));
        assert!(holds(&symptom, &[verdict(false, 30.0)]) && !holds(&symptom, &[verdict(false, 61.0)]));
    }

    #[test]
    fn digest_changes_with_what_is_built() {
        let tree = |path: &str, text: &str| Tree::from([(path.to_owned(), text.as_bytes().to_vec())]);
        let first = tree_digest(&tree("src/a.rs", "1"));
        assert_ne!(first, tree_digest(&tree("src/a.rs", "2")));
        assert_ne!(first, tree_digest(&tree("src/b.rs", "1")));
        assert_eq!(tree_digest(&tree("docs/a.md", "1")), tree_digest(&tree("docs/a.md", "2")));
    }
}
