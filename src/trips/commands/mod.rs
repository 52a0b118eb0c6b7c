//! What can be done to trips and offers, one function each. Every one of them locks the trip first and its offer after it, asks
//! the machine, and writes what it says: trip, event, engagement, money and news, in one transaction.

mod availability;
mod offers;
mod payment;
mod request;
mod ride;
mod time;
mod tip;

pub use availability::{NewAvailability, set_availability};
pub use offers::{Answer, NewOffer, accept, decline, offer};
pub use payment::{payment_authorised, payment_declined};
pub use request::{NewTrip, request};
pub use ride::{Act, Deed, Facts, act, reset_pin};
pub use time::{driver_silent, time_passed};
pub use tip::{NewTip, TIP_MAX, tip};

use serde_json::{Value, json};
use uuid::Uuid;

use super::machine::{Command, CommandKind, MoneyEffect, PIN_FAILURES_MAX, State, Trip};
use super::{store, views};
use crate::payments::Purpose;
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

/// What every command brings from outside: both times, and ids for the rows that it may have to make. Made before the
/// transaction, so that a second run of it is the same work.
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
            posting_id: platform.dice.uuid(machine_now),
            remainder_id: platform.dice.id(machine_now),
        }
    }
}

/// Who does something to a trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Actor {
    Rider(RiderId),
    Driver(DriverId),
    Ops(Uuid),
    System,
}

impl Actor {
    /// The name in the trip's history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rider(_) => "rider",
            Self::Driver(_) => "driver",
            Self::Ops(_) => "ops",
            Self::System => "system",
        }
    }

    /// Which one of them.
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
/// 404 if there is none.
pub async fn locked(tx: &mut Tx, id: TripId) -> Result<Trip> {
    store::lock(tx, id).await?;
    store::find(tx, id).await?.ok_or_else(|| Refusal::not_found("trip").into())
}

/// Why a step is taken: who wants it, when, and what is worth remembering of it.
struct Cause<'a> {
    by: Actor,
    stamp: &'a Stamp,
    data: Value,
}

impl<'a> Cause<'a> {
    fn new(by: Actor, stamp: &'a Stamp) -> Self {
        Self { by, stamp, data: json!({}) }
    }

    fn with(self, data: Value) -> Self {
        Self { data, ..self }
    }
}

/// Takes one step with a trip that this transaction has locked, and writes all that follows from it.
async fn advance(tx: &mut Tx, trip: &Trip, command: &Command, cause: Cause<'_>) -> Result<Trip> {
    let Cause { by, stamp, mut data } = cause;
    let step = match trip.step(command, stamp.now) {
        Ok(step) => step,
        Err(refusal) => {
            if refusal.code == Code::WrongPin {
                store::count_wrong_pin(tx, trip.id, PIN_FAILURES_MAX).await?;
            }
            return Err(refusal.into());
        }
    };
    let next = step.trip;
    store::save(tx, trip, &next).await?;
    data["command"] = command.kind().as_str().into();
    let event = store::NewEvent {
        trip: &next,
        from: trip.state.as_str(),
        command: command.kind().as_str(),
        actor: by.as_str(),
        actor_id: by.id(),
        data,
        key_id: tx.key_id(),
        at: stamp.now,
    };
    store::insert_event(tx, event).await?;
    publish(tx, &next, stamp).await?;
    settle_engagement(tx, trip, &next, command.kind(), stamp).await?;
    move_money(tx, trip, &next, step.money, stamp).await?;
    tx.wake(Wake::Trip(next.id.uuid()));
    if next.due_at.is_some() {
        tx.wake(Wake::Deadlines);
    }
    if next.search_at == Some(stamp.now) {
        tx.wake(Wake::Dispatch);
    }
    Ok(next)
}

/// Tells the outbox of a step that a trip has taken.
async fn publish(tx: &mut Tx, trip: &Trip, stamp: &Stamp) -> Result<()> {
    outbox::publish(tx, "trip.changed", trip.id, views::trip_news(trip, stamp.now), stamp.machine_now).await
}

/// Frees the driver when the trip lets go of them, and tells them what became of it.
async fn settle_engagement(
    tx: &mut Tx,
    before: &Trip,
    after: &Trip,
    command: CommandKind,
    stamp: &Stamp,
) -> Result<()> {
    let keeps = after.state.has_driver() || after.state == State::Offered;
    let freed = if keeps { None } else { store::disengage(tx, after.id).await? };
    if before.driver_id.is_some() && after.driver_id.is_none() {
        store::release_offer(tx, after.id, stamp.now).await?;
    }
    if let Some(driver) = freed {
        tx.wake(Wake::Driver(driver.uuid()));
    }
    let Some(driver) = after.driver_id.or(before.driver_id) else { return Ok(()) };
    let kind = match command {
        CommandKind::DriverCancel | CommandKind::DriverSilent => "trip.driver_lost".to_owned(),
        _ => format!("trip.{}", after.state.as_str()),
    };
    tell_driver(tx, driver, &kind, views::driver_trip_news(after), stamp).await
}

/// Puts news on a driver's stream.
async fn tell_driver(tx: &mut Tx, driver: DriverId, kind: &str, data: Value, stamp: &Stamp) -> Result<()> {
    store::insert_driver_event(tx, driver, kind, data, (stamp.now, stamp.machine_now)).await?;
    tx.wake(Wake::Driver(driver.uuid()));
    Ok(())
}

async fn move_money(tx: &mut Tx, before: &Trip, after: &Trip, money: MoneyEffect, stamp: &Stamp) -> Result<()> {
    match money {
        MoneyEffect::None => Ok(()),
        MoneyEffect::Release => payments::release(tx, after.id, stamp.machine_now).await,
        MoneyEffect::Charge(total) => {
            let settlement = payments::Settlement {
                trip_id: after.id,
                rider_id: after.rider_id,
                driver_id: before.driver_id,
                total: Money::new(total, after.price.currency),
                driver_share: driver_share(total),
                rest: if after.state == State::Completed { Purpose::Remainder } else { Purpose::Fee },
                remainder_id: stamp.remainder_id,
                posting_id: stamp.posting_id,
            };
            payments::settle(tx, &settlement, stamp.now, stamp.machine_now).await
        }
    }
}

/// Checks `If-Match`.
fn check_version(trip: &Trip, if_match: Option<i64>) -> Result<()> {
    match if_match {
        Some(version) if version != trip.version => Err(Error::from(
            Refusal::new(
                Code::VersionMismatch,
                format!("`If-Match` names version {version}; the trip is at {}. Read it again.", trip.version),
            )
            .with("version", trip.version),
        )),
        _ => Ok(()),
    }
}
