//! `check`.

use launcher::{
    clock::{self, Stopwatch},
    files,
};
use serde_json::json;

use super::{
    Context, Output,
    context::progress,
    repair, report,
    runs::{self, Candidate},
    trial,
};
use crate::{
    Result,
    export::{build, edits},
    pack::{Drill, Pack, recognize::recognize},
    session::{Attempt, AttemptKind, Lock, Phase, Scoreboard, ScoreboardEntry, Session},
};

/// Judges the user's tree with ten seeds that it has not seen.
pub(super) async fn run(context: &Context) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "check")?;
    let mut session = Session::started(&context.paths)?;
    let drill = context.drill(&session)?;
    let pack = drill.pack()?;
    let patch = edits::diff(&context.paths, &session)?;
    if pack.component == "none" && patch.is_empty() {
        return without_fault(context, session, &drill);
    }
    let (bench, candidate) = match trial::prepare(context, &session).await? {
        Ok(prepared) => prepared,
        Err(output) => return Ok(output),
    };
    let (at, stopwatch) = (clock::now(), Stopwatch::start());
    progress("running the load with ten seeds, two at a time; a failure ends it early");
    let verdicts = runs::judge_seeds(&bench, &candidate, &session.seeds(), true).await;
    let passed = verdicts.iter().all(|verdict| verdict.passed);
    // Without a fault, a change that passes is still a change that was not needed.
    let passed_for_nothing = passed && pack.component == "none";
    let wrong = if passed && !passed_for_nothing { None } else { recognize(&pack.wrong, &patch) };
    let failures = verdicts.iter().flat_map(|verdict| &verdict.failures);
    let failure = failures.clone().next().map(ToString::to_string);
    session.attempts.push(Attempt {
        at,
        kind: AttemptKind::Check,
        passed: passed && !passed_for_nothing,
        seconds: stopwatch.seconds(),
        wrong: wrong.map(|wrong| wrong.name.clone()),
        failure: failure.or_else(|| passed_for_nothing.then(|| "the tree was changed".to_owned())),
    });
    let json = json!({
        "passed": passed && !passed_for_nothing, "seconds": stopwatch.seconds(), "verdicts": verdicts,
        "wrong": wrong.map(|wrong| json!({ "name": wrong.name, "why": wrong.why })),
    });
    let text = if passed_for_nothing {
        "Every check holds, as it did before your change: is the fault where you changed something? \
         `git diff` shows your change; `cargo drill diagnose` takes \"none\" as well."
            .to_owned()
    } else if passed {
        keep(context, &candidate)?;
        return finish(context, session, &drill, &pack, json);
    } else {
        failed(&verdicts, wrong)
    };
    session.write(&context.paths)?;
    Ok(Output { text, json, passed: false })
}

/// Keeps the service that passed, for the repair of the damage.
fn keep(context: &Context, candidate: &Candidate) -> Result<()> {
    let program = context.paths.programs().join("fixed");
    build::keep(&candidate.program, &program)?;
    Ok(files::replace_json(&repair::fixed_file(context), &Candidate { program, ..candidate.clone() })?)
}

/// What failed, and the wrong fix by name.
fn failed(verdicts: &[runs::SeedVerdict], wrong: Option<&crate::pack::WrongFix>) -> String {
    let held = verdicts.iter().filter(|verdict| verdict.passed).count();
    let mut text = format!("failed ({held} of {} seeds passed):\n{}", verdicts.len(), runs::summary(verdicts));
    if let Some(wrong) = wrong {
        let kind = if wrong.trick { "This only silences the symptom" } else { "This looks right, and is not" };
        text.push_str(&format!("\n{kind}: \"{}\".\n{}\n", wrong.name, wrong.why.trim()));
    }
    text
}

/// A drill without a fault ends with the right diagnosis.
fn without_fault(context: &Context, session: Session, drill: &Drill) -> Result<Output> {
    let diagnosed = session.diagnoses.iter().any(|diagnosis| diagnosis.points == 3);
    if diagnosed {
        let pack = drill.pack()?;
        return finish(context, session, drill, &pack, json!({ "passed": true }));
    }
    let text = "Your tree has no changes. Change it, or say with evidence why nothing is to be changed: `cargo drill diagnose`.";
    Ok(Output { text: text.to_owned(), json: json!({ "passed": false, "unchanged": true }), passed: false })
}

/// Ends the drill, and shows the report.
fn finish(
    context: &Context,
    mut session: Session,
    drill: &Drill,
    pack: &Pack,
    json: serde_json::Value,
) -> Result<Output> {
    let first = !session.has_ended();
    if first {
        session.phase = Phase::Solved;
        session.finished_at = Some(clock::now());
    }
    session.write(&context.paths)?;
    if first {
        let entry = ScoreboardEntry::of(&session, drill.card.topic, drill.card.level, clock::now());
        Scoreboard::read(&context.paths)?.record(&context.paths, entry)?;
    }
    let mut text = format!("passed.\n\n{}", report::of_session(context, &session)?);
    if session.diagnoses.is_empty() {
        text.push_str("\nYou have not written down a diagnosis: `cargo drill diagnose` still grades it.");
    }
    if pack.repair.is_some() {
        text.push_str("\nThe fault has left damage behind: `cargo drill repair`.");
    }
    text.push_str("\n`cargo drill reveal` shows the post-mortem, and what would have caught the fault.");
    Ok(Output::of(text, json))
}
