//! The database connection is lost at the COMMIT of a call's result: the process commits it again at once, before the lease runs out.

use std::time::Duration;

use futures_util::future::join_all;
use ridematch::payments::model::ProviderOperation;

use super::world::World;
use super::{Point, one_at_a_time, scenario};
use crate::harness::within;

/// Shorter than the lease of a payment, 30 s.
const BEFORE_LEASE_ENDS: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn lost_commit_of_a_result_is_repeated_at_once() {
    let _lock = one_at_a_time().await;
    join_all(ProviderOperation::ALL.map(async |operation| lose_connection(operation, Point::ResultLost).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_with_a_lost_answer_is_not_repeated_in_effect() {
    let _lock = one_at_a_time().await;
    let last_steps =
        [ProviderOperation::Confirm, ProviderOperation::Capture, ProviderOperation::Cancel, ProviderOperation::Refund];
    join_all(last_steps.map(async |operation| lose_connection(operation, Point::ResultCommitted).await)).await;
}

async fn lose_connection(operation: ProviderOperation, point: Point) {
    let world = World::new().await;
    let process = world.start().await;
    let mut scenarios = scenario::prepare(&process, operation, 1).await;
    let breakpoint = world.break_at(point.of(operation));
    scenarios[0].begin().await;
    breakpoint.reached().await.cut();
    let what = format!("{operation:?} has ended");
    let payment = within(BEFORE_LEASE_ENDS, &what, async || scenarios[0].ended_payment(&process).await).await;
    let (attempt, state) = world.attempt_and_state(operation, scenarios[0].payment_id()).await;
    assert_eq!(attempt.as_deref(), Some("succeeded"), "{operation:?}");
    scenarios[0].assert_end(&payment, &state);
    scenario::cancel_open_trips(&process, &scenarios).await;
    world.assert_records_agree(&process).await;
}
