//! Every kill point of create, confirm, capture, cancel and refund: the service is killed (-9) there, another process is started,
//! and the end is right, here and in the provider's books.
//!
//! Between two commits there is at most one call, so a call has six places to die at: [`Point`]. Several payments are brought to
//! places of their own before one kill; that they were there is read from both books before anybody can repair them.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "kill_points/books.rs"]
mod books;
#[path = "kill_points/cut.rs"]
mod cut;
mod harness;
#[path = "kill_points/stopped.rs"]
mod stopped;
#[path = "kill_points/story.rs"]
mod story;
#[path = "kill_points/world.rs"]
mod world;

use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard};

use harness::hold::Side;
use harness::hold::database::{Transaction, Writes};
use world::World;

/// A call to the provider that changes something there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Confirm,
    Capture,
    Cancel,
    Refund,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Create, Self::Confirm, Self::Capture, Self::Cancel, Self::Refund];

    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Confirm => "confirm",
            Self::Capture => "capture",
            Self::Cancel => "cancel",
            Self::Refund => "refund",
        }
    }
}

/// Where in the life of a call the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// The attempt is about to be committed; the COMMIT is lost.
    AttemptLost,
    /// The attempt stands committed; nobody was told, and no call was made.
    AttemptUnheard,
    /// The call is on its way.
    CallUnderWay,
    /// The provider has done it; the answer is lost.
    AnswerLost,
    /// The answer was heard; the COMMIT of what follows from it is lost.
    ConclusionLost,
    /// What follows stands committed; nobody was told.
    ConclusionUnheard,
}

/// How a process gets to its place.
enum Place {
    Commit(Transaction, Side),
    Call(&'static str, Side),
}

impl Point {
    fn of(self, operation: Operation) -> Place {
        let commit = |writes| Transaction { writes, operation: operation.as_str() };
        match self {
            Self::AttemptLost => Place::Commit(commit(Writes::Attempt), Side::Before),
            Self::AttemptUnheard => Place::Commit(commit(Writes::Attempt), Side::After),
            Self::CallUnderWay => Place::Call(operation.as_str(), Side::Before),
            Self::AnswerLost => Place::Call(operation.as_str(), Side::After),
            Self::ConclusionLost => Place::Commit(commit(Writes::Conclusion), Side::Before),
            Self::ConclusionUnheard => Place::Commit(commit(Writes::Conclusion), Side::After),
        }
    }

    /// What our books say of the attempt at this point, if there is one.
    fn attempt(self) -> Option<&'static str> {
        match self {
            Self::AttemptLost => None,
            Self::ConclusionUnheard => Some("succeeded"),
            Self::AttemptUnheard | Self::CallUnderWay | Self::AnswerLost | Self::ConclusionLost => Some("started"),
        }
    }

    /// Whether the provider has done it at this point.
    fn is_done(self) -> bool {
        matches!(self, Self::AnswerLost | Self::ConclusionLost | Self::ConclusionUnheard)
    }
}

/// The points that one process is brought to, one payment each, and then killed. A lease whose COMMIT is held holds up the
/// whole worker, so that there is one of these at most, and last. A held call is given up after 25 seconds, so these are late.
const RUNS: [&[Point]; 2] = [
    &[Point::ConclusionLost, Point::ConclusionUnheard, Point::CallUnderWay, Point::AnswerLost, Point::AttemptLost],
    &[Point::AttemptUnheard],
];

/// Each test here has a dozen processes, some of which must not be late: one test after the other.
async fn one_at_a_time() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kill_point_of_create_confirm_capture_cancel_and_refund() {
    let _turn = one_at_a_time().await;
    let runs = Operation::ALL.iter().flat_map(|operation| RUNS.iter().map(|points| (*operation, *points)));
    let visited = join_all(runs.map(|(operation, points)| visit(operation, points))).await.concat();
    println!("{:<9} {:<18} {:<10} {:<22} end", "call", "killed at", "attempt", "provider at that time");
    for line in &visited {
        println!("{line}");
    }
    assert_eq!(visited.len(), 30, "six points of each of five calls");
}

/// Kills a process at these points of a call, and sees what becomes of it; a line of the table for each.
async fn visit(operation: Operation, points: &[Point]) -> Vec<String> {
    let world = World::new().await;
    let process = world.started().await;
    let mut stories = story::prepare(&process, operation, points.len()).await;
    let mut traps = Vec::new();
    for (story, point) in stories.iter_mut().zip(points) {
        let trap = world.set(point.of(operation));
        story.begin().await;
        traps.push(trap.reached().await);
    }
    process.kill().await;
    drop(traps);

    let mut lines = Vec::new();
    for (story, point) in stories.iter().zip(points) {
        let (attempt, seen) = world.at_death(operation, story.payment_id()).await;
        assert_eq!(attempt.as_deref(), point.attempt(), "{operation:?} at {point:?}: the attempt");
        assert_eq!(seen.is_done(operation), point.is_done(), "{operation:?} at {point:?}: the provider has {seen}");
        let (operation, point) = (operation.as_str(), format!("{point:?}"));
        lines.push(format!("{operation:<9} {point:<18} {:<10} {seen:<22}", attempt.as_deref().unwrap_or("none")));
    }

    let process = world.started().await;
    for (story, line) in stories.iter().zip(&mut lines) {
        let payment = story.until_over(&process).await;
        let end = world.seen(story.payment_id()).await;
        story.assert_end(&payment, &end);
        line.push_str(&format!(" {end}"));
    }
    story::tidy_up(&process, &stories).await;
    world.assert_books_agree(&process).await;
    lines
}
