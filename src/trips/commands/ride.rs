//! Commands of riders, drivers and operators to a trip: arrive, start, complete, cancel, no-show, abort.

use super::offers::withdraw_pending;
use super::{Actor, Stamp, TransitionContext, apply, lock_trip};
use crate::geo::{Position, distance_m};
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result, check_version};
use crate::platform::ids::{Id, TripId};
use crate::platform::wake::Wake;
use crate::supply::commands as supply;
use crate::trips::state_machine::{Command, CommandKind, State, Trip, UNRESPONSIVE_AFTER, invalid_transition};
use crate::trips::store;

/// A command as its caller sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "see CommandKind")]
pub enum TripCommand {
    Arrive,
    Start { pin: String },
    Complete,
    Cancel,
    NoShow,
    Abort { charge: Option<i64> },
}

/// The driver's last position in this process's index. The database stores it up to a second later.
#[derive(Debug, Clone, Copy, Default)]
pub struct DriverFacts {
    /// The position.
    pub position: Option<Position>,
    /// When it was received.
    pub last_seen_at: Option<DomainTime>,
}

/// A command, its trip, its caller, and what it depends on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CommandRequest {
    pub trip_id: TripId,
    pub actor: Actor,
    pub command: TripCommand,
    pub if_match: Option<i64>,
    pub facts: DriverFacts,
    pub stamp: Stamp,
}

/// Executes a command. A repeat of the trip's last command by the same caller changes nothing.
///
/// # Errors
/// 404 if the trip is another caller's; 412 if its version differs; 409 if its state or a guard refuses the command.
pub async fn execute(tx: &mut Tx, request: &CommandRequest) -> Result<Trip> {
    let trip = lock_trip(tx, request.trip_id).await?;
    let last = store::last_event(tx, &trip).await?;
    let command = state_machine_command(tx, &trip, request).await?;
    let caller = request.actor.id();
    let is_repeat =
        last.is_some_and(|last| last.command == command.kind() && last.actor_id == caller && caller.is_some());
    if !is_repeat && !is_participant(&trip, request.actor) {
        return Err(Refusal::not_found("trip").into());
    }
    check_version("trip", trip.version, request.if_match)?;
    if is_repeat {
        return Ok(trip);
    }
    if trip.state == State::Offered && matches!(command, Command::RiderCancel { .. }) {
        withdraw_pending(tx, &trip, "rider_cancelled", &request.stamp).await?;
    }
    apply(tx, &trip, &command, TransitionContext::new(request.actor, &request.stamp)).await
}

fn is_participant(trip: &Trip, actor: Actor) -> bool {
    match actor {
        Actor::Rider(rider) => trip.rider_id == rider,
        Actor::Driver(driver) => trip.driver_id == Some(driver),
        Actor::Ops(_) | Actor::System => true,
    }
}

/// Returns the state machine's command, with the facts that its guards need.
async fn state_machine_command(tx: &mut Tx, trip: &Trip, request: &CommandRequest) -> Result<Command> {
    Ok(match (&request.command, request.actor) {
        (TripCommand::Arrive, _) => Command::Arrive { distance_m: distance_to_pickup(tx, trip, request).await? },
        (TripCommand::Start { pin }, _) => Command::Start { pin: pin.clone() },
        (TripCommand::Complete, _) => Command::Complete,
        (TripCommand::Cancel, Actor::Driver(_)) => Command::DriverCancel,
        (TripCommand::Cancel, _) => {
            Command::RiderCancel { driver_unresponsive: is_unresponsive(tx, trip, request).await? }
        }
        (TripCommand::NoShow, _) => Command::NoShow,
        (TripCommand::Abort { charge }, _) => {
            let limit = trip.price.amount;
            if charge.is_some_and(|charge| !(0..=limit).contains(&charge)) {
                let detail = format!("must be 0 to {limit}, the authorized amount");
                return Err(Refusal::new(Code::InvalidRequest, format!("The charge {detail}."))
                    .field("/charge/amount", detail)
                    .into());
            }
            Command::Abort { charge: *charge }
        }
    })
}

async fn distance_to_pickup(tx: &mut Tx, trip: &Trip, request: &CommandRequest) -> Result<Option<f64>> {
    let position = match (request.facts.position, trip.driver_id) {
        (Some(position), _) => Some(position),
        (None, Some(driver)) => supply::last_position(tx, driver).await?,
        (None, None) => None,
    };
    Ok(position.map(|position| distance_m(position, trip.pickup)))
}

async fn is_unresponsive(tx: &mut Tx, trip: &Trip, request: &CommandRequest) -> Result<bool> {
    let Some(driver) = trip.driver_id else { return Ok(false) };
    let stored = store::last_seen(tx, driver).await?;
    let last_seen = request.facts.last_seen_at.into_iter().chain(trip.assigned_at).fold(stored, DomainTime::max);
    Ok(request.stamp.now.since(last_seen) >= UNRESPONSIVE_AFTER)
}

/// Resets the count of wrong PINs, as an operator.
///
/// # Errors
/// 404 if the trip does not exist; 412 if its version differs; 409 if it is over.
pub async fn reset_pin(tx: &mut Tx, (id, if_match): &(TripId, Option<i64>)) -> Result<Trip> {
    let trip = lock_trip(tx, *id).await?;
    check_version("trip", trip.version, *if_match)?;
    if trip.state.is_over() {
        return Err(invalid_transition(trip.state, CommandKind::Start).into());
    }
    store::reset_pin(tx, *id).await?;
    tx.wake(Wake::Trip(id.uuid()));
    Ok(Trip { pin_failures: 0, ..trip })
}
