//! `try`.

use launcher::clock;
use serde_json::json;

use super::{
    Context, Output,
    context::progress,
    guide,
    runs::{self, Bench},
};
use crate::{
    Result,
    export::{
        build::{self, BuildError},
        edits,
    },
    pack::{changes, recognize::recognize},
    session::{Attempt, AttemptKind, Lock, Session},
};

/// The seed of every try, so that two tries can be compared.
const SEED: u64 = 7;

/// Builds the user's tree and runs the load once.
pub(super) async fn run(context: &Context) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "try")?;
    let mut session = Session::started(&context.paths)?;
    let (bench, candidate) = match prepare(context, &session).await? {
        Ok(prepared) => prepared,
        Err(output) => return Ok(output),
    };
    let at = clock::now();
    progress("running the load with one seed");
    let verdict = runs::judge_seed(&bench, &candidate, SEED, false).await;
    let patch = edits::diff(&context.paths, &session)?;
    let wrong = if verdict.passed { None } else { recognize(&bench.pack.wrong, &patch) };
    let attempt = Attempt {
        at,
        kind: AttemptKind::Try,
        passed: verdict.passed,
        seconds: verdict.seconds,
        wrong: wrong.map(|wrong| wrong.name.clone()),
        failure: verdict.failures.first().map(ToString::to_string),
    };
    session.attempts.push(attempt);
    session.write(&context.paths)?;
    let mut text = if verdict.passed {
        let seconds = verdict.seconds;
        format!("passed with one seed in {seconds:.0} s. `cargo drill check` judges it with ten, and everything else.")
    } else {
        let unchanged = if patch.is_empty() { "\nYour tree has no changes yet.\n" } else { "" };
        let named = wrong.map(|wrong| format!("\n\"{}\": {}\n", wrong.name, wrong.why.trim())).unwrap_or_default();
        format!("failed:\n{}{named}{unchanged}", runs::summary(std::slice::from_ref(&verdict)))
    };
    text.push_str(&guide::next(&session, guide::Done::Tried));
    let json = json!({ "passed": verdict.passed, "verdict": verdict, "wrong": wrong.map(|wrong| &wrong.name) });
    Ok(Output { text, json, passed: verdict.passed })
}

/// Builds the user's tree. The inner error is an output: the tree does not compile, and the compiler says why.
pub(super) async fn prepare(
    context: &Context,
    session: &Session,
) -> Result<std::result::Result<(Bench, runs::Candidate), Output>> {
    let drill = context.drill(session)?;
    let pack = drill.pack()?;
    let bench = bench(context, pack)?;
    let built = match runs::build(&context.paths, &context.checkout).await {
        Ok(built) => built,
        Err(BuildError::DoesNotCompile(messages)) => {
            let text =
                format!("{messages}\n\nYour tree does not compile; nothing was judged, and nothing of it is lost.");
            return Ok(Err(Output { text, json: json!({ "passed": false, "compiler": messages }), passed: false }));
        }
        Err(error @ BuildError::Migrations(_)) => {
            let text = format!(
                "{error}\n\nNothing was judged. `check` migrates from empty, so a migration may be changed or added."
            );
            return Ok(Err(Output {
                text,
                json: json!({ "passed": false, "migrations": error.to_string() }),
                passed: false,
            }));
        }
        Err(error) => return Err(error.to_string().into()),
    };
    progress(&format!("built in {:.0} s", built.seconds));
    let sql = changes::sql(&bench.pack.fault, &crate::pack::Change::default());
    // The user's own build must not replace it while it is judged.
    let program = context.paths.programs().join("judged");
    build::keep(&built.program, &program)?;
    let candidate = runs::Candidate { program, ..runs::candidate(&context.paths, &built, sql) };
    Ok(Ok((bench, candidate)))
}

/// Returns what all runs of a pack have in common. The program of the checkout is brought up to date.
pub(super) fn bench(context: &Context, pack: crate::pack::Pack) -> Result<Bench> {
    context.build_clean_program()?;
    bench_without_build(context, pack)
}

/// Returns what all runs of a pack have in common, with the program of the checkout as it is.
pub(super) fn bench_without_build(context: &Context, pack: crate::pack::Pack) -> Result<Bench> {
    let clean_schema = crate::export::build::digest_of_folder(&context.checkout.join("migrations"))?;
    Ok(Bench { pack, clean: context.clean_program()?, clean_schema })
}
