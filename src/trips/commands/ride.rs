//! What the two sides of a trip and operators do to it: arrive, start, complete, cancel, no-show, abort.

use super::offers::withdraw_pending;
use super::{Actor, Cause, Stamp, advance, check_version, locked};
use crate::geo::{Position, distance_m};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{Id, TripId};
use crate::supply::commands as supply;
use crate::trips::machine::{Command, SILENT_AFTER, State, Trip, refused};
use crate::trips::store;

/// A deed, as its actor names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Deed {
    Arrive,
    Start { pin: String },
    Complete,
    Cancel,
    NoShow,
    Abort { charge: Option<i64> },
}

/// What is known in memory about the driver, if this process keeps the index; the database knows it a second later.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The driver's last position.
    pub position: Option<Position>,
    /// When it came.
    pub heard_at: Option<DomainTime>,
}

/// Somebody does something to a trip.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Act {
    pub trip_id: TripId,
    pub by: Actor,
    pub deed: Deed,
    pub if_match: Option<i64>,
    pub facts: Facts,
    pub stamp: Stamp,
}

/// Does it. A repeat of the trip's last step by the same actor changes nothing.
///
/// # Errors
/// 404 if the trip is not the actor's, 412 if it has another version, 409 if its state or a guard refuses.
pub async fn act(tx: &mut Tx, act: &Act) -> Result<Trip> {
    let trip = locked(tx, act.trip_id).await?;
    let last = store::last_event(tx, &trip).await?;
    let command = command(tx, &trip, act).await?;
    let is_repeat = last.is_some_and(|last| {
        last.command == command.kind().as_str() && last.actor_id == act.by.id() && act.by.id().is_some()
    });
    if !is_repeat && !is_theirs(&trip, act.by) {
        return Err(Refusal::not_found("trip").into());
    }
    check_version(&trip, act.if_match)?;
    if is_repeat {
        return Ok(trip);
    }
    if trip.state == State::Offered && matches!(command, Command::RiderCancel { .. }) {
        withdraw_pending(tx, &trip, "rider_cancelled", &act.stamp).await?;
    }
    advance(tx, &trip, &command, Cause::new(act.by, &act.stamp)).await
}

fn is_theirs(trip: &Trip, actor: Actor) -> bool {
    match actor {
        Actor::Rider(rider) => trip.rider_id == rider,
        Actor::Driver(driver) => trip.driver_id == Some(driver),
        Actor::Ops(_) | Actor::System => true,
    }
}

/// The deed as the machine's command, with the facts that its guards need.
async fn command(tx: &mut Tx, trip: &Trip, act: &Act) -> Result<Command> {
    Ok(match (&act.deed, act.by) {
        (Deed::Arrive, _) => Command::Arrive { distance_m: distance_to_pickup(tx, trip, act).await? },
        (Deed::Start { pin }, _) => Command::Start { pin: pin.clone() },
        (Deed::Complete, _) => Command::Complete,
        (Deed::Cancel, Actor::Driver(_)) => Command::DriverCancel,
        (Deed::Cancel, _) => Command::RiderCancel { driver_silent: is_silent(tx, trip, act).await? },
        (Deed::NoShow, _) => Command::NoShow,
        (Deed::Abort { charge }, _) => {
            let limit = trip.price.amount;
            if charge.is_some_and(|charge| !(0..=limit).contains(&charge)) {
                let detail = format!("must be 0 to {limit}, what was authorised");
                return Err(Refusal::new(Code::InvalidRequest, format!("The charge {detail}."))
                    .field("/charge/amount", detail)
                    .into());
            }
            Command::Abort { charge: *charge }
        }
    })
}

async fn distance_to_pickup(tx: &mut Tx, trip: &Trip, act: &Act) -> Result<Option<f64>> {
    let position = match (act.facts.position, trip.driver_id) {
        (Some(position), _) => Some(position),
        (None, Some(driver)) => supply::last_position(tx, driver).await?,
        (None, None) => None,
    };
    Ok(position.map(|position| distance_m(position, trip.pickup)))
}

async fn is_silent(tx: &mut Tx, trip: &Trip, act: &Act) -> Result<bool> {
    let Some(driver) = trip.driver_id else { return Ok(false) };
    let known = store::last_heard(tx, driver).await?;
    let heard = act.facts.heard_at.into_iter().chain(trip.assigned_at).fold(known, DomainTime::max);
    Ok(act.stamp.now.since(heard) >= SILENT_AFTER)
}

/// An operator forgets the wrong PINs of a trip.
///
/// # Errors
/// 404 if there is no such trip, 409 if it does not wait for a PIN.
pub async fn reset_pin(tx: &mut Tx, (id, if_match): &(TripId, Option<i64>)) -> Result<Trip> {
    let trip = locked(tx, *id).await?;
    check_version(&trip, *if_match)?;
    if trip.state.is_over() {
        return Err(refused(trip.state, crate::trips::machine::CommandKind::Start).into());
    }
    store::reset_pin(tx, *id).await?;
    tx.wake(crate::platform::wake::Wake::Trip(id.uuid()));
    Ok(Trip { pin_failures: 0, ..trip })
}
