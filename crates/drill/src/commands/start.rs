//! `start`.

use std::net::SocketAddr;

use launcher::{
    clock::{self, Stopwatch},
    files,
};
use serde_json::json;

use super::{
    Context, Output,
    context::progress,
    guide, page, repair,
    runs::{self, Bench, Candidate},
    serve::{self, Running},
    serve_page::PageRequest,
    trial,
};
use crate::{
    Result,
    cli::{Host, Start},
    export::{self, Clean, build, edits},
    pack::{Drill, Pack, changes, load},
    session::{Lock, Phase, Scoreboard, Session},
};

/// Exports, builds and runs a drill, and prints the page.
pub(super) async fn run(context: &Context, arguments: &Start) -> Result<Output> {
    begin(context, arguments, None).await
}

/// Starts a drill as a game day.
pub(super) async fn host(context: &Context, arguments: &Host) -> Result<Output> {
    let start = Start { drill: Some(arguments.drill.clone()), blind: false, no_serve: false };
    begin(context, &start, Some(arguments.listen)).await
}

async fn begin(context: &Context, arguments: &Start, game: Option<SocketAddr>) -> Result<Output> {
    let drill = chosen(context, arguments)?;
    let pack = drill.pack()?;
    let _lock = Lock::take(&context.paths, &format!("start {}", drill.number))?;
    let stopwatch = Stopwatch::start();
    // Whatever can fail without touching anything comes first.
    let clean = Clean::read(&context.checkout)?;
    applies(&drill, &pack, &clean)?;
    let bench = trial::bench(context, pack)?;
    let saved = give_way(context).await?;

    let mut session = Session {
        number: drill.number,
        name: drill.name(),
        phase: Phase::Starting,
        blind: arguments.blind,
        started_at: clock::now(),
        finished_at: None,
        commit: String::new(),
        checkout: context.checkout.clone(),
        program: context.paths.programs().join("started"),
        is_served: !arguments.no_serve,
        hints: 0,
        diagnoses: Vec::new(),
        attempts: Vec::new(),
        resets: 0,
    };
    session.write(&context.paths)?;
    for former in [repair::fixed_file(context), context.paths.notebook(), context.paths.game()] {
        std::fs::remove_file(former).ok();
    }
    progress("exporting the tree");
    let written = export::write(&context.paths, &clean, &bench.pack, clock::now().date_naive())?;
    session.commit = written.commit;
    session.write(&context.paths)?;

    let built = runs::build(&context.paths, &context.checkout).await.map_err(|error| match error {
        build::BuildError::DoesNotCompile(messages) => format!(
            "the exported tree does not compile, which is a fault of the drill or of the toolchain:\n{messages}"
        ),
        other => other.to_string(),
    })?;
    progress(&format!("built in {:.0} s, {} registry packages with it", built.seconds, built.dependencies.len()));
    build::keep(&built.program, &session.program)?;
    let sql = changes::sql(&bench.pack.fault, &crate::pack::Change::default());
    let candidate = Candidate { program: session.program.clone(), ..runs::candidate(&context.paths, &built, sql) };
    keep_candidate(context, &candidate)?;
    let request = PageRequest::of(&session, game);
    let running = if arguments.no_serve { None } else { leave_running(context, &bench, &candidate, &request).await };
    session.phase = Phase::Open;
    session.started_at = clock::now();
    session.write(&context.paths)?;

    let mut text = page::text(context, &drill, &session, running.as_ref());
    text.push_str(&guide::next(&session, guide::Done::Started));
    if let Some(patch) = &saved {
        text = format!("Your changes to the former drill are kept in {}.\n\n{text}", patch.display());
    }
    let mut json = page::json(context, &drill, &session, running.as_ref());
    json["saved"] = json!(saved);
    json["seconds"] = json!(stopwatch.seconds());
    json["dependencies_built"] = json!(built.dependencies);
    Ok(Output::of(text, json))
}

/// Returns the drill that is meant. Blind: the first one that is not solved, in an order that the day decides.
fn chosen(context: &Context, arguments: &Start) -> Result<Drill> {
    if let Some(wanted) = &arguments.drill {
        return load::find(&context.checkout, wanted);
    }
    let board = Scoreboard::read(&context.paths)?;
    let mut drills = load::all(&context.checkout)?;
    drills.retain(|drill| !drill.card.draft);
    if drills.is_empty() {
        return Err("there are no drills in this checkout".into());
    }
    let first = usize::try_from(clock::now().timestamp().unsigned_abs()).unwrap_or(0) % drills.len();
    drills.rotate_left(first);
    let unsolved = drills.iter().position(|drill| board.best(drill.number).is_none_or(|best| !best.solved));
    Ok(drills.swap_remove(unsolved.unwrap_or(0)))
}

/// Whether the pack fits the checkout.
fn applies(drill: &Drill, pack: &Pack, clean: &Clean) -> Result<()> {
    let base = export::base::of(&clean.tree, pack);
    base.and_then(|base| changes::history(&base, pack, true)).map(|_| ()).map_err(|error| {
        let number = drill.number;
        format!(
            "drill {number} does not fit this checkout: {error}\nnothing was changed. Have you edited that file? `git stash` it; or, \
             as an author, `cargo drill refresh {number}`"
        )
        .into()
    })
}

/// Keeps the user's changes to the former drill, and stops its service.
async fn give_way(context: &Context) -> Result<Option<std::path::PathBuf>> {
    let saved = match Session::read(&context.paths)? {
        // Until a start has ended there are no changes of the user's; those to the drill before were kept when it began.
        Some(session) if session.phase != Phase::Starting => edits::save(&context.paths, &session)?,
        _ => None,
    };
    serve::stop(context).await;
    Ok(saved)
}

/// Keeps what `reset` starts again.
fn keep_candidate(context: &Context, candidate: &Candidate) -> Result<()> {
    Ok(files::replace_json(&context.paths.programs().join("started.json"), candidate)?)
}

/// Reads what `start` has built.
pub(super) fn kept_candidate(context: &Context) -> Result<Candidate> {
    let kept = files::read_json(&context.paths.programs().join("started.json"))?;
    kept.ok_or_else(|| "the program of the drill is gone: run `cargo drill start N` again".into())
}

/// Starts the service under load. Without it the drill can still be worked on, so a failure is only said.
async fn leave_running(
    context: &Context,
    bench: &Bench,
    candidate: &Candidate,
    request: &PageRequest,
) -> Option<Running> {
    progress("starting the service under load");
    match serve::start(context, bench, candidate, request).await {
        Ok(running) => Some(running),
        Err(error) => {
            progress(&format!("the service does not run: {error}"));
            None
        }
    }
}
