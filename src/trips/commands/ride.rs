//! Commands of riders, drivers and operators to a trip: arrive, start, complete, cancel, no-show, abort.

use super::offers::withdraw_pending;
use super::time::is_unresponsive;
use super::{Actor, Stamp, TransitionContext, apply, lock_trip};
use crate::geo::distance_m;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result, check_version};
use crate::platform::ids::{Id, TripId};
use crate::platform::leader;
use crate::platform::wake::Wake;
use crate::supply::KnownPosition;
use crate::trips::state_machine::{Command, CommandKind, State, Trip, invalid_transition};
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

/// A command, its trip, its caller, and what it depends on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CommandRequest {
    pub trip_id: TripId,
    pub actor: Actor,
    pub command: TripCommand,
    pub if_match: IfMatch,
    /// What is known of the driver's position, for the commands that depend on it.
    pub known: Option<KnownPosition>,
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
    // The caller's tag is from before the command, so a repeat is recognized before the version is compared.
    if is_repeat {
        return Ok(trip);
    }
    check_version("trip", trip.version, &request.if_match)?;
    if trip.state == State::Offered && matches!(command, Command::RiderCancel { .. }) {
        withdraw_pending(tx, &trip, "rider_cancelled", &request.stamp).await?;
    }
    let end = apply(tx, &trip, &command, TransitionContext::new(request.actor, &request.stamp)).await;
    if let Err(Error::Refused(refusal)) = &end
        && refusal.code == Code::TooFarFromPickup
        && !is_current(tx, request.known.as_ref()).await?
    {
        // The driver may have sent a position since, which only the matcher knows.
        return Err(leader::not_the_matcher().into());
    }
    end
}

async fn is_current(tx: &mut Tx, known: Option<&KnownPosition>) -> Result<bool> {
    let Some(known) = known else { return Ok(false) };
    Ok(known.is_current(&leader::term(tx).await?))
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
        (TripCommand::Arrive, _) => Command::Arrive { distance_m: distance_to_pickup(trip, request) },
        (TripCommand::Start { pin }, _) => Command::Start { pin: pin.clone() },
        (TripCommand::Complete, _) => Command::Complete,
        (TripCommand::Cancel, Actor::Driver(_)) => Command::DriverCancel,
        (TripCommand::Cancel, _) => {
            let driver_unresponsive = match &request.known {
                Some(known) => is_unresponsive(tx, trip, known).await?,
                None => false,
            };
            Command::RiderCancel { driver_unresponsive }
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

/// Returns the distance of the driver's last position, if it is fresh.
fn distance_to_pickup(trip: &Trip, request: &CommandRequest) -> Option<f64> {
    let known = request.known.filter(|known| trip.driver_id == Some(known.driver))?;
    let last = known.last.filter(|last| last.is_fresh(request.stamp.now))?;
    Some(distance_m(last.position, trip.pickup))
}

/// Resets the count of wrong PINs, as an operator.
///
/// # Errors
/// 404 if the trip does not exist; 412 if its version differs; 409 if it is over.
pub async fn reset_pin(tx: &mut Tx, (id, if_match): &(TripId, IfMatch)) -> Result<Trip> {
    let trip = lock_trip(tx, *id).await?;
    check_version("trip", trip.version, if_match)?;
    if trip.state.is_over() {
        return Err(invalid_transition(trip.state, CommandKind::Start).into());
    }
    store::reset_pin(tx, *id).await?;
    tx.wake(Wake::Trip(id.uuid()));
    Ok(Trip { pin_failures: 0, ..trip })
}
