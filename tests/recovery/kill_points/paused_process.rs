//! The process is paused (SIGSTOP) between lease and call, and continues after another process has done its work: it changes nothing in
//! our records or the provider's.

use std::time::Duration;

use futures_util::future::join_all;
use ridematch::payments::model::ProviderOperation;

use super::world::World;
use super::{Location, Point, one_at_a_time, scenario};
use crate::harness::breakpoint::Side;
use crate::harness::within;

/// How long the continued process may take to log its reaction.
const LOGGED_WITHIN: Duration = Duration::from_secs(60);

/// How the lease of the paused process runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LeaseEnd {
    /// In the database only: the holder does not know, and makes its call.
    InDatabase,
    /// By time: the holder continues too late for a call, and makes none.
    ByTime,
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_stopped_past_its_lease_changes_nothing() {
    let _lock = one_at_a_time().await;
    let late_calls = ProviderOperation::ALL.map(|operation| (operation, LeaseEnd::InDatabase));
    let no_calls = [(ProviderOperation::Capture, LeaseEnd::ByTime), (ProviderOperation::Refund, LeaseEnd::ByTime)];
    join_all(late_calls.into_iter().chain(no_calls).map(|(operation, lease_end)| take_over(operation, lease_end)))
        .await;
}

async fn take_over(operation: ProviderOperation, lease_end: LeaseEnd) {
    let world = World::new().await;
    let first = world.start().await;
    let mut scenarios = scenario::prepare(&first, operation, 1).await;
    let scenario = &mut scenarios[0];

    // The lease and its attempt are committed, and the process is paused after that.
    let leased = world.break_at(Point::AttemptCommitted.of(operation));
    scenario.begin().await;
    let leased = leased.reached().await;
    let paused = first.pause().await;
    leased.resume();
    let (attempt, state) = world.attempt_and_state(operation, scenario.payment_id()).await;
    assert_eq!(attempt.as_deref(), Some("started"), "{operation:?}");
    assert!(!state.is_done(operation), "{operation:?} was called too early: {state}");

    if lease_end == LeaseEnd::InDatabase {
        world.expire_leases().await;
    }
    let second = world.second().await;
    let payment = scenario.until_ended(&second).await;
    let before = world.provider_state(scenario.payment_id()).await;
    scenario.assert_end(&payment, &before);

    let message = match lease_end {
        LeaseEnd::InDatabase => {
            let call = world.break_at(Location::Call(operation.as_str(), Side::After));
            drop(paused);
            call.reached().await.resume();
            "the lease was lost: the result is dropped"
        }
        LeaseEnd::ByTime => {
            drop(paused);
            "the lease is too short for a call"
        }
    };
    within(LOGGED_WITHIN, message, async || world.log().contains(message).then_some(())).await;
    let after = world.provider_state(scenario.payment_id()).await;
    assert_eq!(after, before, "{operation:?}: the stale worker has changed the provider's records");
    assert_eq!(scenario.until_ended(&second).await, payment, "{operation:?}: the stale worker has changed our records");
    first.kill().await;
    scenario::cancel_open_trips(&second, &scenarios).await;
    world.assert_records_agree(&second).await;
}
