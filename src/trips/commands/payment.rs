//! Reactions to news of payments. News are hints: one that no longer applies is done, not an error.

use super::{Actor, Cause, Stamp, advance, locked};
use crate::platform::clock::MachineTime;
use crate::platform::db::Tx;
use crate::platform::error::Result;
use crate::platform::ids::TripId;
use crate::trips::machine::{Command, State};

/// The fare is authorised: look for a driver.
///
/// # Errors
/// If the database does not answer.
pub async fn payment_authorised(tx: &mut Tx, trip: TripId, at: MachineTime, stamp: &Stamp) -> Result<()> {
    react(tx, trip, &Command::Authorised { at }, stamp).await
}

/// The fare is declined: the trip ends here.
///
/// # Errors
/// If the database does not answer.
pub async fn payment_declined(tx: &mut Tx, trip: TripId, stamp: &Stamp) -> Result<()> {
    react(tx, trip, &Command::PaymentDeclined, stamp).await
}

async fn react(tx: &mut Tx, trip: TripId, command: &Command, stamp: &Stamp) -> Result<()> {
    let trip = locked(tx, trip).await?;
    if trip.state == State::Requested {
        advance(tx, &trip, command, Cause::new(Actor::System, stamp)).await?;
    }
    Ok(())
}
