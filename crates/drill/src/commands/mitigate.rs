//! `mitigate`.

use std::collections::BTreeMap;

use launcher::clock;
use serde_json::json;

use super::{
    Context, Output,
    context::progress,
    guide,
    runs::{self, Candidate},
    start, trial,
};
use crate::{
    Result,
    cli::Mitigate,
    export::{self, build, git::Repository},
    session::{Attempt, AttemptKind, Lock, Session},
};

/// The seed under which a mitigation is judged.
const SEED: u64 = 11;

/// Runs the faulty service with the mitigation in force, and judges whether the harm stops.
pub(super) async fn run(context: &Context, arguments: &Mitigate) -> Result<Output> {
    if arguments.set.is_empty() && arguments.roll_back.is_none() {
        return Err(
            "say what stops the harm: `--set NAME=VALUE` (the service's environment) or `--roll-back COMMIT`".into()
        );
    }
    let environment = assignments(&arguments.set)?;
    let _lock = Lock::take(&context.paths, "mitigate")?;
    let mut session = Session::started(&context.paths)?;
    let pack = context.drill(&session)?.pack()?;
    let mut bench = trial::bench(context, pack)?;
    let mut candidate = start::kept_candidate(context)?;
    // Another build there would replace the program while it is judged.
    let _proof = arguments.roll_back.as_ref().map(|_| Lock::take(&context.paths.proof(), "mitigate")).transpose()?;
    if let Some(wanted) = &arguments.roll_back {
        candidate = rolled_back(context, &session, &candidate, wanted).await?;
    }
    candidate.environment.extend(environment);
    candidate.environment.retain(|_, value| !value.is_empty());

    // Without one in the pack, a mitigation must do what a fix does.
    let mitigation = bench.pack.mitigation.clone();
    if let Some(checks) = mitigation.as_ref().map(|mitigation| &mitigation.check).filter(|checks| !checks.is_empty()) {
        bench.pack.check.clone_from(checks);
    }
    progress("running the load with the mitigation in force");
    let at = clock::now();
    let verdict = runs::judge_seed(&bench, &candidate, SEED, false).await;
    session.attempts.push(Attempt {
        at,
        kind: AttemptKind::Mitigate,
        passed: verdict.passed,
        seconds: verdict.seconds,
        wrong: None,
        failure: verdict.failures.first().map(ToString::to_string),
    });
    session.write(&context.paths)?;
    let mut text = if verdict.passed {
        let explanation = mitigation.map(|mitigation| format!("\n\nThe pack says: {}", mitigation.explanation.trim()));
        format!("the harm stops. The fault is still there: repair the tree next.{}", explanation.unwrap_or_default())
    } else {
        format!("the harm goes on:\n{}", runs::summary(std::slice::from_ref(&verdict)))
    };
    text.push_str(&guide::next(&session, guide::Done::Mitigated));
    Ok(Output { text, json: json!({ "passed": verdict.passed, "verdict": verdict }), passed: verdict.passed })
}

/// Reads `NAME=VALUE`.
fn assignments(set: &[String]) -> Result<BTreeMap<String, String>> {
    let parse = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
            .ok_or_else(|| format!("{text}: a variable is set by NAME=VALUE").into())
    };
    set.iter().map(parse).collect()
}

/// Builds the service of the commit before the named one, beside the user's tree.
async fn rolled_back(context: &Context, session: &Session, started: &Candidate, wanted: &str) -> Result<Candidate> {
    let tree = Repository::open(&context.paths.tree())?.files_before(&session.commit, wanted)?;
    let proof = context.paths.proof();
    export::write_files(&proof.tree(), &tree, &std::collections::BTreeSet::new())?;
    let built = runs::build(&proof, &context.checkout).await.map_err(|error| match error {
        build::BuildError::DoesNotCompile(messages) => format!("the commit before does not compile:\n{messages}"),
        other => other.to_string(),
    })?;
    Ok(runs::candidate(&proof, &built, started.sql.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignment_has_a_name() {
        let set = |text: &str| assignments(&[text.to_owned()]);
        assert_eq!(set("A=b=c").expect("one")["A"], "b=c");
        for wrong in ["A", "=b", ""] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }
}
