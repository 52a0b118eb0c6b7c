//! The service that `start` leaves running under load.

use serde_json::json;

use super::{
    Context, Output,
    context::progress,
    runs::{self, Bench, Candidate},
    serve_page::{self, PageAddresses, PageRequest},
};
use crate::{
    Result,
    session::Lock,
    stack::{self, RunSpec, Served},
};

/// The seed of the load that keeps running.
const SEED: u64 = 1;

/// Where it can be reached.
#[derive(Debug, Clone)]
pub(super) struct Running {
    /// The service.
    pub service: String,
    /// The pages in the browser; absent if they could not be served.
    pub pages: Option<PageAddresses>,
}

/// Starts it, detached. Returns its addresses.
///
/// # Errors
///
/// It does not start: the message has the end of its log.
pub(super) async fn start(
    context: &Context,
    bench: &Bench,
    candidate: &Candidate,
    request: &PageRequest,
) -> Result<Running> {
    let alert = if bench.pack.symptom.is_empty() { &bench.pack.check } else { &bench.pack.symptom };
    let spec = RunSpec { checks: alert.clone(), ..runs::spec(bench, candidate, SEED, false) };
    let program = std::env::current_exe()?;
    serve_page::prepare(context, request)?;
    let served = Served::start(&context.paths.running(), &spec, &program, &["serve"]).await?;
    Ok(Running { service: served.state.base_url, pages: serve_page::wait(context).await })
}

/// Stops it. Returns whether it ran. A failure is only said: the next start finds a port and a database of its own.
pub(super) async fn stop(context: &Context) -> bool {
    match Served::stop(&context.paths.running()).await {
        Ok(ran) => ran,
        Err(error) => {
            progress(&format!("the service that was running could not be stopped: {error}"));
            false
        }
    }
}

/// Returns it.
///
/// # Errors
///
/// It is not running, or it has ended by itself: the message says what to do.
pub(super) fn found(context: &Context) -> Result<Served> {
    let found = Served::find(&context.paths.running())?;
    found.ok_or_else(|| "the service is not running: `cargo drill reset` starts it anew".into())
}

/// `stop`.
pub(super) async fn stop_command(context: &Context) -> Result<Output> {
    let _lock = Lock::take(&context.paths, "stop")?;
    let ran = stop(context).await;
    let text = if ran { "stopped; `cargo drill reset` starts it anew" } else { "nothing is running" };
    Ok(Output::of(text, json!({ "stopped": ran })))
}

/// `serve`: the body of the detached process.
///
/// # Errors
///
/// Something does not start.
pub(super) async fn run(context: &Context) -> Result<Output> {
    let folder = context.paths.running();
    tokio::select! {
        ended = stack::serve(&folder) => ended?,
        () = serve_page::run(context) => {}
    }
    Ok(Output::of("", json!(null)))
}
