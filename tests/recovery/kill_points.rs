//! Kills the service (SIGKILL) at every point of create, confirm, capture, cancel and refund, starts another process, and checks the end
//! in our records and the provider's.
//!
//! Between two commits there is at most one call, so a call has six kill points: [`Point`]. Several payments are brought to a point each
//! before one kill. Both records are read before the next process starts, to prove that each was there.
#![allow(clippy::unwrap_used, reason = "tests")]

mod lost_connection;
mod paused_process;
mod provider_state;
mod scenario;
mod world;

use futures_util::future::join_all;
use ridematch::payments::model::ProviderOperation;
use tokio::sync::{Mutex, MutexGuard};

use crate::harness::breakpoint::Side;
use crate::harness::breakpoint::database::{Transaction, Writes};
use world::World;

/// When the process is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The attempt is about to be committed; the COMMIT is lost.
    AttemptLost,
    /// The attempt is committed; the answer to the COMMIT is lost, and no call was made.
    AttemptCommitted,
    /// The call is in flight.
    CallInFlight,
    /// The provider has done it; the answer is lost.
    AnswerLost,
    /// The result is about to be committed; the COMMIT is lost.
    ResultLost,
    /// The result is committed; the answer to the COMMIT is lost.
    ResultCommitted,
}

/// Where a process is stopped.
enum Location {
    Commit(Transaction, Side),
    Call(&'static str, Side),
}

impl Point {
    fn of(self, operation: ProviderOperation) -> Location {
        let commit = |writes| Transaction { writes, operation: operation.as_str() };
        match self {
            Self::AttemptLost => Location::Commit(commit(Writes::Attempt), Side::Before),
            Self::AttemptCommitted => Location::Commit(commit(Writes::Attempt), Side::After),
            Self::CallInFlight => Location::Call(operation.as_str(), Side::Before),
            Self::AnswerLost => Location::Call(operation.as_str(), Side::After),
            Self::ResultLost => Location::Commit(commit(Writes::Outcome), Side::Before),
            Self::ResultCommitted => Location::Commit(commit(Writes::Outcome), Side::After),
        }
    }

    /// The outcome of the attempt in our records at this point.
    fn attempt(self) -> Option<&'static str> {
        match self {
            Self::AttemptLost => None,
            Self::ResultCommitted => Some("succeeded"),
            Self::AttemptCommitted | Self::CallInFlight | Self::AnswerLost | Self::ResultLost => Some("started"),
        }
    }

    /// Whether the provider has done it at this point.
    fn is_done(self) -> bool {
        matches!(self, Self::AnswerLost | Self::ResultLost | Self::ResultCommitted)
    }
}

/// The points of one process, with one payment each. A held COMMIT of a lease blocks the whole worker, and the database ends a
/// transaction whose COMMIT is held for five seconds, so the only one of those before the effect is the last. A held call times out
/// after 25 seconds, so those are late.
const RUNS: [&[Point]; 3] = [
    &[Point::ResultCommitted, Point::CallInFlight, Point::ResultLost],
    &[Point::AnswerLost, Point::AttemptLost],
    &[Point::AttemptCommitted],
];

/// Serializes these tests: each has a dozen processes, some with deadlines.
async fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::const_new(());
    LOCK.lock().await
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_every_point_of_every_call_has_the_right_end() {
    let _lock = one_at_a_time().await;
    let runs = ProviderOperation::ALL.iter().flat_map(|operation| RUNS.iter().map(|points| (*operation, *points)));
    let visited = join_all(runs.map(|(operation, points)| visit(operation, points))).await.concat();
    println!("{:<9} {:<18} {:<10} {:<22} end", "call", "killed at", "attempt", "provider then");
    for line in &visited {
        println!("{line}");
    }
    assert_eq!(visited.len(), 30, "six points of each of five calls");
}

/// Kills a process at these points of a call, and checks the end; returns a line of the table for each.
async fn visit(operation: ProviderOperation, points: &[Point]) -> Vec<String> {
    let world = World::new().await;
    let process = world.start().await;
    let mut scenarios = scenario::prepare(&process, operation, points.len()).await;
    let mut breakpoints = Vec::new();
    for (scenario, point) in scenarios.iter_mut().zip(points) {
        let breakpoint = world.break_at(point.of(operation));
        scenario.begin().await;
        breakpoints.push(breakpoint.reached().await);
    }
    process.kill().await;
    drop(breakpoints);

    let mut lines = Vec::new();
    for (scenario, point) in scenarios.iter().zip(points) {
        let (attempt, state) = world.attempt_and_state(operation, scenario.payment_id()).await;
        assert_eq!(attempt.as_deref(), point.attempt(), "{operation:?} at {point:?}: the attempt");
        assert_eq!(state.is_done(operation), point.is_done(), "{operation:?} at {point:?}: the provider has {state}");
        let (operation, point) = (operation.as_str(), format!("{point:?}"));
        lines.push(format!("{operation:<9} {point:<18} {:<10} {state:<22}", attempt.as_deref().unwrap_or("none")));
    }

    let process = world.start().await;
    for (scenario, line) in scenarios.iter().zip(&mut lines) {
        let payment = scenario.until_ended(&process).await;
        let end = world.provider_state(scenario.payment_id()).await;
        scenario.assert_end(&payment, &end);
        line.push_str(&format!(" {end}"));
    }
    scenario::cancel_open_trips(&process, &scenarios).await;
    world.assert_records_agree(&process).await;
    lines
}
