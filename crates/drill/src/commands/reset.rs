//! `reset`.

use launcher::clock::Stopwatch;
use serde_json::json;

use super::{Context, Output, context::progress, serve, serve_page::PageRequest, start, trial};
use crate::{
    Result,
    export::{edits, git::Repository},
    session::{Lock, Session},
};

/// Puts tree, database and service back to the start of the drill.
pub(super) async fn run(context: &Context) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "reset")?;
    let stopwatch = Stopwatch::start();
    let mut session = Session::started(&context.paths)?;
    let saved = edits::save(&context.paths, &session)?;
    serve::stop(context).await;
    Repository::open(&context.paths.tree())?.reset(&session.commit)?;
    session.resets += 1;
    session.write(&context.paths)?;
    let mut running = None;
    if session.is_served {
        let bench = trial::bench_without_build(context, context.drill(&session)?.pack()?)?;
        let request = PageRequest::again(context, &session);
        match serve::start(context, &bench, &start::kept_candidate(context)?, &request).await {
            Ok(started) => running = Some(started),
            Err(error) => progress(&format!("the service does not run: {error}")),
        }
    }
    let mut text = "The tree is as it was at the start.".to_owned();
    if let Some(patch) = &saved {
        text.push_str(&format!(" Your changes are kept in {0}; `git apply {0}` brings them back.", patch.display()));
    }
    let address = running.map(|running| running.service);
    if let Some(address) = &address {
        text.push_str(&format!(" The service runs anew at {address}."));
    }
    Ok(Output::of(text, json!({ "saved": saved, "address": address, "seconds": stopwatch.seconds() })))
}
