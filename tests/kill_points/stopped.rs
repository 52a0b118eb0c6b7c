//! The process is not killed between lease and call, but stopped (SIGSTOP): it wakes up when somebody else has long done its work,
//! and does no harm, here or at the provider.

use std::time::Duration;

use futures_util::future::join_all;

use super::world::World;
use super::{Operation, Place, Point, one_at_a_time, story};
use crate::harness::hold::Side;
use crate::harness::within;

/// How long a process may take to say what it makes of waking up.
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// How the lease of the stopped process runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunsOut {
    /// In the books alone, at once: its holder wakes up within what he takes for his time, and makes his call.
    Behind,
    /// As leases do. Its holder wakes up too late for a call, and makes none.
    InTime,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_between_lease_and_call_and_overtaken_does_no_harm_when_it_wakes_up() {
    let _turn = one_at_a_time().await;
    let late_calls = Operation::ALL.map(|operation| (operation, RunsOut::Behind));
    let silent = [(Operation::Capture, RunsOut::InTime), (Operation::Refund, RunsOut::InTime)];
    join_all(late_calls.into_iter().chain(silent).map(|(operation, runs_out)| overtake(operation, runs_out))).await;
}

async fn overtake(operation: Operation, runs_out: RunsOut) {
    let world = World::new().await;
    let sleeper = world.started().await;
    let mut stories = story::prepare(&sleeper, operation, 1).await;
    let story = &mut stories[0];

    // The lease and its attempt stand committed. It hears of that, and nothing after that.
    let leased = world.set(Point::AttemptUnheard.of(operation));
    story.begin().await;
    let leased = leased.reached().await;
    sleeper.stop();
    leased.let_go();
    let (attempt, seen) = world.at_death(operation, story.payment_id()).await;
    assert_eq!(attempt.as_deref(), Some("started"), "{operation:?}");
    assert!(!seen.is_done(operation), "{operation:?} was called before its time: {seen}");

    if runs_out == RunsOut::Behind {
        world.run_leases_out().await;
    }
    let second = world.second().await;
    let payment = story.until_over(&second).await;
    let before = world.seen(story.payment_id()).await;
    story.assert_end(&payment, &before);

    let sentence = match runs_out {
        RunsOut::Behind => {
            let call = world.set(Place::Call(operation.as_str(), Side::After));
            sleeper.wake();
            call.reached().await.let_go();
            "overtaken: the lease was lost"
        }
        RunsOut::InTime => {
            sleeper.wake();
            "too late for a call: the lease is about to run out"
        }
    };
    within(SAID_WITHIN, sentence, async || world.log().contains(sentence).then_some(())).await;
    let after = world.seen(story.payment_id()).await;
    assert_eq!(after, before, "{operation:?}: somebody who was overtaken has changed something at the provider");
    assert_eq!(story.until_over(&second).await, payment, "{operation:?}: somebody who was overtaken has written");
    sleeper.kill().await;
    story::tidy_up(&second, &stories).await;
    world.assert_books_agree(&second).await;
}
