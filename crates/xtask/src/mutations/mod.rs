//! `cargo xtask mutations`: proof that the tests can fail. Each file of `mutations/` removes a guard and names the tests that must
//! fail without it. The tree is copied, mutated and built, and those tests are run. Each must pass on the unchanged copy, and fail on
//! the mutation with an assertion.

mod model;
mod outcome;
mod page;
mod worktree;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
};

use self::worktree::Worktree;
use ::worktree::Overlay;
use model::{Detector, Mutation};
use outcome::TestOutcome;

use crate::workspace::{self, Result};

/// Runs the command.
///
/// # Errors
///
/// A mutation can't be read or does not apply, or no database server starts.
pub async fn run(arguments: &[&str]) -> Result<ExitCode> {
    let root = workspace::root();
    let mutations = model::load(&root)?;
    match arguments {
        ["--list"] => {
            for Mutation { name, consequence, .. } in &mutations {
                println!("{name:<40} {consequence}");
            }
            Ok(ExitCode::SUCCESS)
        }
        ["--markdown"] => {
            print!("{}", page::table(&mutations));
            Ok(ExitCode::SUCCESS)
        }
        ["--check"] => {
            let stale = model::stale(&root, &mutations);
            stale.iter().for_each(|problem| println!("{problem}"));
            println!("{} mutations, {} problems", mutations.len(), stale.len());
            Ok(if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        [option, ..] if option.starts_with('-') => Err(format!("there is no option {option}").into()),
        names => {
            let chosen = model::choose(mutations, names)?;
            let overlays = chosen.iter().map(|mutation| mutation.overlay(&root)).collect::<Result<Vec<_>>>()?;
            let mut worktree = Worktree::open(&root).await?;
            let all_detected = try_all(&mut worktree, &chosen, &overlays).await;
            worktree.close().await?;
            Ok(if all_detected? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// Runs the tests on the unchanged tree and then on each mutation. Prints a table, and returns whether every test detected it.
async fn try_all(worktree: &mut Worktree, mutations: &[Mutation], overlays: &[Overlay]) -> Result<bool> {
    let detectors: BTreeSet<&Detector> = mutations.iter().flat_map(|mutation| &mutation.detected_by).collect();
    eprintln!("unchanged: {} tests, of {} mutations", detectors.len(), mutations.len());
    worktree.apply(&Overlay::new())?;
    let built = worktree.build(detectors.iter().copied()).await?;
    let mut unchanged = BTreeMap::new();
    for detector in detectors {
        let outcome = worktree.run(&built, detector).await?;
        eprintln!("    {detector}: {outcome:?}");
        unchanged.insert(detector, outcome);
    }

    let mut all_detected = true;
    let mut table = String::new();
    for (mutation, overlay) in mutations.iter().zip(overlays) {
        eprintln!("{}: {}", mutation.name, mutation.consequence);
        worktree.apply(overlay)?;
        let built = match worktree.build(&mutation.detected_by).await {
            Ok(built) => built,
            Err(error) => {
                all_detected = false;
                table += &page::line(&mutation.name, false, &error.to_string());
                continue;
            }
        };
        for detector in &mutation.detected_by {
            let outcome = worktree.run(&built, detector).await?;
            eprintln!("    {detector}: {outcome:?}");
            let (detected, why) = compare(&unchanged[detector], &outcome);
            all_detected &= detected;
            table += &page::line(&mutation.name, detected, &format!("{detector}: {why}"));
        }
    }
    worktree.apply(&Overlay::new())?;
    print!("{table}");
    println!("{}", if all_detected { "every mutation was detected" } else { "NOT every mutation was detected" });
    Ok(all_detected)
}

/// Returns whether a test detected a mutation, by its outcomes on the unchanged tree and on the mutation, and the reason.
fn compare(unchanged: &TestOutcome, mutated: &TestOutcome) -> (bool, String) {
    match (unchanged, mutated) {
        (TestOutcome::Passed, TestOutcome::Failed(why)) => (true, why.clone()),
        (TestOutcome::Passed, other) => (false, format!("{other:?}")),
        (other, _) => (false, format!("on the unchanged tree: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_a_pass_and_then_a_failure_is_a_detection() {
        let failed = TestOutcome::Failed("assertion".to_owned());
        assert_eq!(compare(&TestOutcome::Passed, &failed), (true, "assertion".to_owned()));
        let timed_out = TestOutcome::TimedOut("timed out".to_owned());
        for other in [TestOutcome::Passed, timed_out, TestOutcome::Hung, TestOutcome::NotRun(String::new())] {
            assert!(!compare(&TestOutcome::Passed, &other).0, "{other:?}");
            assert!(!compare(&other, &failed).0 || other == TestOutcome::Passed, "{other:?}");
        }
    }

    #[test]
    fn every_mutation_applies_and_its_tests_exist() {
        let root = workspace::root();
        let stale = model::stale(&root, &model::load(&root).expect("the mutations"));
        assert!(stale.is_empty(), "{}", stale.join("\n"));
    }

    #[test]
    fn guards_page_lists_every_mutation() {
        let root = workspace::root();
        let table = page::table(&model::load(&root).expect("the mutations"));
        let shown = fs::read_to_string(root.join("docs/guards.md")).expect("the page");
        assert!(shown.contains(&table), "docs/guards.md is stale; `cargo xtask mutations --markdown` prints\n{table}");
    }
}
