//! The stadium: thousands of riders request a ride within seconds, and the provider is slow. No rider may be lost.
//!
//! One service, so that the result is that of one process's permits. No faults: only load, a deadline of 60 s for each authorization,
//! and, if asked for, the captures that an outage has left behind.

mod report;
mod requests;
mod stack;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use launcher::clock::Stopwatch;
use serde_json::json;
use sqlx::types::Uuid;

use crate::BoxError;
use crate::cli::Stadium;
use crate::run::prepare;
use report::StadiumReport;
use requests::{Crowd, Requested};
use stack::StadiumStack;

/// A trip that is not authorized this long after its request has ended. The deadline is 60 s.
const ENDS_WITHIN: Duration = Duration::from_secs(70);

/// How long the captures may take, once every authorization has ended.
const CAPTURED_WITHIN: Duration = Duration::from_secs(120);

/// Between two looks at the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs the service's `program`, prints the report, and returns success if no rider was lost.
///
/// # Errors
/// If something does not start, or the captures cannot be prepared.
pub async fn run(options: &Stadium, program: PathBuf) -> Result<ExitCode, BoxError> {
    let dir = prepare()?;
    let end = tokio::select! {
        end = run_in(options, program, dir.path()) => end,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    if let Ok(report) = &end {
        print!("{report}");
    }
    let is_clean = end.as_ref().is_ok_and(StadiumReport::is_clean);
    if options.keep || !is_clean {
        eprintln!("torture: logs, database and the provider's records are in {}", dir.keep().display());
    }
    end.map(|_| if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run_in(options: &Stadium, program: PathBuf, dir: &std::path::Path) -> Result<StadiumReport, BoxError> {
    let whole = Stopwatch::start();
    say("starting: database, provider, one service");
    let stack = StadiumStack::start(program, dir, options.authorizations_max).await?;
    let crowd = Crowd::new(&stack, options.riders).await?;
    let captures = if options.captures_due > 0 {
        say(&format!("preparing {} rides, and an outage of the provider during their captures", options.captures_due));
        crowd.leave_captures(&stack, options.captures_due).await?
    } else {
        Vec::new()
    };
    let quoted = crowd.quotes().await?;
    say(&format!("every call to the provider takes {} ms from now on", options.provider_ms));
    stack.plan(&json!([{"on": "any", "kind": "latency", "ms": options.provider_ms}])).await?;
    say(&format!("{} riders request a trip within {} s", options.riders, options.within));
    let requesting = Stopwatch::start();
    let requested = crowd.request(quoted, Duration::from_secs(options.within)).await;
    let request_time = requesting.elapsed();
    say("waiting until every authorization has ended");
    let ended = wait_for_authorizations(&stack, &requested).await?;
    say("waiting for the captures");
    let captured = wait_for_captures(&stack, &captures).await?;
    let report = StadiumReport {
        options: options.clone(),
        request_time,
        accepted: requested.trips.len(),
        refused: requested.refused,
        response_ms: requested.response_ms,
        states: ended.states,
        search_after_ms: ended.search_after_ms,
        captures: captures.len(),
        captured: captured.count,
        last_capture_after_ms: captured.last_after_ms,
        total_time: whole.elapsed(),
    };
    stack.stop().await?;
    Ok(report)
}

/// How the authorizations ended.
struct Authorizations {
    /// Trips by state.
    states: Vec<(String, i64)>,
    /// From each request to the start of its search, sorted.
    search_after_ms: Vec<u64>,
}

async fn wait_for_authorizations(stack: &StadiumStack, requested: &Requested) -> Result<Authorizations, BoxError> {
    let waited = Stopwatch::start();
    let mut conn = stack.database.session().await?;
    loop {
        let open = "select count(*) from trips where id = any($1) and state = 'requested'";
        let open: i64 = sqlx::query_scalar(open).bind(&requested.trips).fetch_one(&mut conn).await?;
        if open == 0 || waited.elapsed() > ENDS_WITHIN {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let states = "select state, count(*) from trips where id = any($1) group by state order by state";
    let states = sqlx::query_as(states).bind(&requested.trips).fetch_all(&mut conn).await?;
    let latencies = "select (extract(epoch from event.at - trip.requested_at) * 1000)::bigint
                     from trips trip join trip_events event on event.trip_id = trip.id and event.to_state = 'searching'
                     where trip.id = any($1) and event.seq = 2 order by 1";
    let latencies: Vec<i64> = sqlx::query_scalar(latencies).bind(&requested.trips).fetch_all(&mut conn).await?;
    let search_after_ms = latencies.into_iter().map(i64::unsigned_abs).collect();
    Ok(Authorizations { states, search_after_ms })
}

/// What became of the captures.
struct Captures {
    count: i64,
    /// From the first request of the crowd to the last capture.
    last_after_ms: Option<i64>,
}

async fn wait_for_captures(stack: &StadiumStack, trips: &[Uuid]) -> Result<Captures, BoxError> {
    let waited = Stopwatch::start();
    let mut conn = stack.database.session().await?;
    loop {
        let captured = "select count(*), (extract(epoch from max(captured_at) - (select min(requested_at) from trips
                                                                                where id <> all($1))) * 1000)::bigint
                        from payments where trip_id = any($1) and state = 'captured'";
        let (count, last_after_ms): (i64, Option<i64>) =
            sqlx::query_as(captured).bind(trips).fetch_one(&mut conn).await?;
        if usize::try_from(count).is_ok_and(|count| count == trips.len()) || waited.elapsed() > CAPTURED_WITHIN {
            return Ok(Captures { count, last_after_ms });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn say(what: &str) {
    eprintln!("torture: {what}");
}
