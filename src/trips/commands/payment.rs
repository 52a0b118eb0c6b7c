//! Reactions to events of payments. Events are hints: one that no longer applies changes nothing.

use super::{Actor, Stamp, TransitionContext, apply, lock_trip};
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::TripId;
use crate::trips::state_machine::{Command, State};

/// Starts the search of a trip whose fare is authorized.
///
/// # Errors
/// If the database fails.
pub async fn payment_authorized(tx: &mut Tx, trip: TripId, at: MachineTime, stamp: &Stamp) -> Result<()> {
    react(tx, trip, &Command::Authorized { at }, stamp).await
}

/// Ends a trip whose fare is declined.
///
/// # Errors
/// If the database fails.
pub async fn payment_declined(tx: &mut Tx, trip: TripId, stamp: &Stamp) -> Result<()> {
    react(tx, trip, &Command::PaymentDeclined, stamp).await
}

async fn react(tx: &mut Tx, trip: TripId, command: &Command, stamp: &Stamp) -> Result<()> {
    let trip = lock_trip(tx, trip).await?;
    if trip.state == State::Requested {
        apply(tx, &trip, command, TransitionContext::new(Actor::System, stamp)).await?;
    }
    Ok(())
}
