//! The process lives, and its connection to the database is cut at the COMMIT of what came of a call: what is known is written down at
//! once, and nobody waits for the lease to run out.

use futures_util::future::join_all;

use super::world::World;
use super::{Operation, Point, one_at_a_time, story};
use crate::harness::until;

#[tokio::test(flavor = "multi_thread")]
async fn a_conclusion_whose_commit_is_lost_is_committed_again_at_once() {
    let _turn = one_at_a_time().await;
    join_all(Operation::ALL.map(async |operation| cut(operation, Point::ConclusionLost).await)).await;
}

/// It stands committed: the second time changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_conclusion_whose_commit_is_unheard_is_not_made_twice() {
    let _turn = one_at_a_time().await;
    let last_steps = [Operation::Confirm, Operation::Capture, Operation::Cancel, Operation::Refund];
    join_all(last_steps.map(async |operation| cut(operation, Point::ConclusionUnheard).await)).await;
}

async fn cut(operation: Operation, point: Point) {
    let world = World::new().await;
    let process = world.started().await;
    let mut stories = story::prepare(&process, operation, 1).await;
    let trap = world.set(point.of(operation));
    stories[0].begin().await;
    trap.reached().await.cut();
    // Sooner than a lease runs out.
    let payment = until(&format!("{operation:?} is concluded"), async || stories[0].end_so_far(&process).await).await;
    let (attempt, seen) = world.at_death(operation, stories[0].payment_id()).await;
    assert_eq!(attempt.as_deref(), Some("succeeded"), "{operation:?}");
    stories[0].assert_end(&payment, &seen);
    story::tidy_up(&process, &stories).await;
    world.assert_books_agree(&process).await;
}
