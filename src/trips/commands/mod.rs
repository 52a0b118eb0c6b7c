//! The commands to trips and offers, one function each. Each locks the trip, then its offer, asks the state machine, and writes
//! trip, event, engagement, payment and driver events in one transaction.

mod availability;
mod offers;
mod payment;
mod request;
mod ride;
mod time;
mod tip;

pub use availability::{INACTIVE_AFTER, InactiveDriver, NewAvailability, set_availability, take_offline};
pub use offers::{NewOffer, OfferResponse, accept, decline, offer};
pub use payment::{payment_authorized, payment_declined};
pub use request::{NewTrip, request};
pub use ride::{CommandRequest, TripCommand, execute, reset_pin};
pub use time::{apply_deadline, driver_unresponsive};
pub use tip::{NewTip, TIP_MAX, tip};

use serde_json::{Value, json};
use uuid::Uuid;

use super::state_machine::{ActorKind, Command, CommandKind, MoneyEffect, PIN_FAILURES_MAX, State, Trip};
use super::{store, views};
use crate::payments::PaymentPurpose;
use crate::payments::commands as payments;
use crate::platform::Platform;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id, PaymentId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::outbox;
use crate::platform::wake::Wake;
use crate::pricing::driver_share;
use crate::supply::commands as supply;

/// The times of a command and the ids of the rows that it may insert. Taken before the transaction, so that a retry writes
/// the same rows.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Domain time.
    pub now: DomainTime,
    /// Machine time.
    pub machine_now: MachineTime,
    posting_id: Uuid,
    remainder_id: PaymentId,
}

impl Stamp {
    /// Takes the times and ids.
    pub fn new(platform: &Platform) -> Self {
        let machine_now = platform.clock.machine();
        Self {
            now: platform.clock.domain(),
            machine_now,
            posting_id: platform.random.uuid(machine_now),
            remainder_id: platform.random.id(machine_now),
        }
    }
}

/// The caller of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "see ActorKind")]
pub enum Actor {
    Rider(RiderId),
    Driver(DriverId),
    Ops(Uuid),
    System,
}

impl Actor {
    /// Returns the kind of caller.
    pub fn kind(self) -> ActorKind {
        match self {
            Self::Rider(_) => ActorKind::Rider,
            Self::Driver(_) => ActorKind::Driver,
            Self::Ops(_) => ActorKind::Ops,
            Self::System => ActorKind::System,
        }
    }

    /// Returns the caller's id; `None` for the service.
    pub fn id(self) -> Option<Uuid> {
        match self {
            Self::Rider(id) => Some(id.uuid()),
            Self::Driver(id) => Some(id.uuid()),
            Self::Ops(id) => Some(id),
            Self::System => None,
        }
    }
}

/// Locks a trip and reads it.
///
/// # Errors
/// 404 if it does not exist.
pub async fn lock_trip(tx: &mut Tx, id: TripId) -> Result<Trip> {
    store::lock(tx, id).await?;
    store::find(tx, id).await?.ok_or_else(|| Refusal::not_found("trip").into())
}

/// The caller, the times and the event details of a transition.
struct TransitionContext<'a> {
    actor: Actor,
    stamp: &'a Stamp,
    data: Value,
}

impl<'a> TransitionContext<'a> {
    fn new(actor: Actor, stamp: &'a Stamp) -> Self {
        Self { actor, stamp, data: json!({}) }
    }

    fn with(self, data: Value) -> Self {
        Self { data, ..self }
    }
}

/// Applies a command to a trip that this transaction has locked, and writes all its effects.
async fn apply(tx: &mut Tx, trip: &Trip, command: &Command, context: TransitionContext<'_>) -> Result<Trip> {
    let TransitionContext { actor, stamp, mut data } = context;
    let transition = match trip.apply(command, stamp.now) {
        Ok(transition) => transition,
        Err(error) => {
            if matches!(&error, Error::Refused(refusal) if refusal.code == Code::WrongPin) {
                store::count_wrong_pin(tx, trip.id, PIN_FAILURES_MAX).await?;
            }
            return Err(error);
        }
    };
    let next = transition.trip;
    store::save(tx, trip, &next).await?;
    data["command"] = command.kind().as_str().into();
    let event = store::NewEvent {
        trip: &next,
        from: Some(trip.state),
        command: command.kind(),
        actor: actor.kind(),
        actor_id: actor.id(),
        data,
        key_id: tx.key_id(),
        at: stamp.now,
        made_at: stamp.machine_now,
    };
    store::insert_event(tx, event).await?;
    publish(tx, &next, stamp).await?;
    update_engagement(tx, trip, &next, command.kind(), stamp).await?;
    apply_money_effect(tx, trip, &next, transition.money, stamp).await?;
    tx.wake(Wake::Trip(next.id.uuid()));
    if next.due_at.is_some() {
        tx.wake(Wake::Deadlines);
    }
    if trip.state == State::Searching || next.state == State::Searching {
        tx.wake(Wake::Search(next.id.uuid()));
    }
    Ok(next)
}

/// Publishes the trip's new state to the outbox.
async fn publish(tx: &mut Tx, trip: &Trip, stamp: &Stamp) -> Result<()> {
    outbox::publish(tx, "trip.changed", trip.id, views::trip_changed_payload(trip, stamp.now), stamp.machine_now).await
}

/// Frees the driver if the trip no longer needs them, and writes the trip's change to their stream.
async fn update_engagement(
    tx: &mut Tx,
    before: &Trip,
    after: &Trip,
    command: CommandKind,
    stamp: &Stamp,
) -> Result<()> {
    let is_engaged = after.state.has_driver() || after.state == State::Offered;
    let freed = if is_engaged { None } else { store::disengage(tx, after.id).await? };
    if before.driver_id.is_some() && after.driver_id.is_none() {
        store::release_offer(tx, after.id, stamp.now).await?;
    }
    if let Some(driver) = freed {
        tx.wake(Wake::Driver(driver.uuid()));
    }
    let Some(driver) = after.driver_id.or(before.driver_id) else { return Ok(()) };
    let kind = match command {
        CommandKind::DriverCancel | CommandKind::DriverUnresponsive => "trip.driver_unassigned".to_owned(),
        _ => format!("trip.{}", after.state),
    };
    notify_driver(tx, driver, &kind, views::driver_trip_payload(after), stamp).await
}

/// Adds an event to the driver's stream.
///
/// # Errors
/// If the database fails, or there is no such driver.
pub async fn notify_driver(tx: &mut Tx, driver: DriverId, kind: &str, data: Value, stamp: &Stamp) -> Result<()> {
    store::insert_driver_event(tx, driver, kind, data, (stamp.now, stamp.machine_now)).await?;
    tx.wake(Wake::Driver(driver.uuid()));
    Ok(())
}

/// Adds an event to the stream of a driver who is online without offer or trip. Returns false, and adds nothing, if they are not, or if
/// another transaction has locked the driver.
///
/// The lock of the driver's row stands for that of the engagement, which they do not have: an offer needs the row too, so no other writer
/// takes a lower `seq` and commits later, and a stream skips nothing.
///
/// # Errors
/// If the database fails.
pub async fn notify_idle_driver(tx: &mut Tx, driver: DriverId, kind: &str, data: Value, stamp: &Stamp) -> Result<bool> {
    if !supply::lock_online_now(tx, driver).await? || store::engagement(tx, driver).await?.is_some() {
        return Ok(false);
    }
    notify_driver(tx, driver, kind, data, stamp).await?;
    Ok(true)
}

async fn apply_money_effect(tx: &mut Tx, before: &Trip, after: &Trip, money: MoneyEffect, stamp: &Stamp) -> Result<()> {
    match money {
        MoneyEffect::None => Ok(()),
        MoneyEffect::Release => payments::release(tx, after.id, stamp.now, stamp.machine_now).await,
        MoneyEffect::Charge(total) => {
            let settlement = payments::Settlement {
                trip_id: after.id,
                rider_id: after.rider_id,
                driver_id: before.driver_id,
                total: Money::new(total, after.price.currency),
                driver_share: driver_share(total),
                remainder_purpose: if after.state == State::Completed {
                    PaymentPurpose::Remainder
                } else {
                    PaymentPurpose::Fee
                },
                remainder_id: stamp.remainder_id,
                posting_id: stamp.posting_id,
            };
            payments::settle(tx, &settlement, stamp.now, stamp.machine_now).await
        }
    }
}
