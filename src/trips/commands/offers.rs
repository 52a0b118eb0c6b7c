//! A driver is asked, and answers.

use serde_json::json;

use super::{Actor, Cause, Stamp, advance, locked, tell_driver};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, OnConstraint, Refusal, Result};
use crate::platform::ids::{DriverId, OfferId, TripId};
use crate::supply::commands as supply;
use crate::trips::machine::{Command, CommandKind, State, Trip, refused};
use crate::trips::offer::{Decision, OFFER_TTL, Offer, Status};
use crate::trips::{store, views};

/// An offer to be: dispatch proposes it, and this room decides whether it can be.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewOffer {
    pub id: OfferId,
    pub trip_id: TripId,
    pub driver_id: DriverId,
    pub pickup_distance_m: i64,
    pub epoch: i64,
    pub stamp: Stamp,
}

/// Asks a driver, if the trip is searching and the driver free. `trip` is locked by this transaction.
///
/// # Errors
/// [`Code::DriverUnavailable`] if the index was wrong and the driver is engaged or offline; 409 if the trip is not searching
/// any more.
pub async fn offer(tx: &mut Tx, trip: &Trip, new: &NewOffer) -> Result<(Offer, Trip)> {
    let offer = Offer {
        id: new.id,
        trip_id: new.trip_id,
        driver_id: new.driver_id,
        status: Status::Pending,
        pickup_distance_m: new.pickup_distance_m,
        withdrawn_because: None,
        created_at: new.stamp.now,
        expires_at: new.stamp.now + OFFER_TTL,
        decided_at: None,
        released_at: None,
    };
    if trip.state != State::Searching {
        return Err(refused(trip.state, CommandKind::Offer).into());
    }
    // The index may be behind: an offer to him is out already. Whoever comes second finds that here, or at the engagement.
    let inserted = store::insert_offer(tx, &offer, new.epoch).await;
    inserted.on_constraint("one_pending_offer_per_driver", || unavailable("engaged"))?;
    if !store::engage(tx, &offer).await? {
        return Err(unavailable("engaged").into());
    }
    if !supply::is_available(tx, new.driver_id).await? {
        return Err(unavailable("offline").into());
    }
    let command = Command::Offer { expires_at: offer.expires_at };
    let data = json!({"offer_id": offer.id, "expires_at": offer.expires_at});
    let trip = advance(tx, trip, &command, Cause::new(Actor::System, &new.stamp).with(data)).await?;
    tell_driver(tx, new.driver_id, "offer.created", views::offer_news(&offer, &trip), &new.stamp).await?;
    Ok((offer, trip))
}

fn unavailable(why: &'static str) -> Refusal {
    Refusal::new(Code::DriverUnavailable, format!("The driver is {why}.")).with("why", why)
}

/// A driver's answer to an offer.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Answer {
    pub offer_id: OfferId,
    pub driver_id: DriverId,
    pub stamp: Stamp,
}

/// The driver takes the trip.
///
/// # Errors
/// 410 if it is too late, 409 if somebody else has the trip, 404 if the offer is not the driver's.
pub async fn accept(tx: &mut Tx, answer: &Answer) -> Result<(Offer, Trip)> {
    let (trip, offer) = locked_with_offer(tx, answer).await?;
    if offer.status == Status::Accepted {
        return Ok((offer, trip));
    }
    let accepted = offer.decide(Decision::Accept, answer.stamp.now)?;
    if trip.state != State::Offered {
        return Err(Refusal::new(Code::OfferTaken, "The trip has gone to somebody else.")
            .with("state", trip.state.as_str())
            .into());
    }
    store::decide_offer(tx, &accepted).await?;
    store::engage_for_ride(tx, &accepted).await?;
    tell_driver(tx, accepted.driver_id, "offer.accepted", views::offer_news(&accepted, &trip), &answer.stamp).await?;
    let command = Command::Accept { driver: accepted.driver_id };
    let by = Actor::Driver(accepted.driver_id);
    let cause = Cause::new(by, &answer.stamp).with(json!({"offer_id": accepted.id}));
    let assigned = advance(tx, &trip, &command, cause).await;
    // The engagement keeps this from coming up. If it ever fails, it is the driver who is told, and not the operator.
    let trip = assigned.on_constraint("one_active_trip_per_driver", || {
        Refusal::new(Code::DriverOnTrip, "You are on another trip. Complete it first.")
    })?;
    Ok((accepted, trip))
}

/// The driver does not want the trip, and is not asked for it again.
///
/// # Errors
/// 410 if it is too late, 404 if the offer is not the driver's.
pub async fn decline(tx: &mut Tx, answer: &Answer) -> Result<(Offer, Trip)> {
    let (trip, offer) = locked_with_offer(tx, answer).await?;
    if offer.status == Status::Declined {
        return Ok((offer, trip));
    }
    let by = Actor::Driver(answer.driver_id);
    end_offer(tx, &trip, &offer, Ending::of(Decision::Decline), Cause::new(by, &answer.stamp)).await
}

async fn locked_with_offer(tx: &mut Tx, answer: &Answer) -> Result<(Trip, Offer)> {
    let mine = |offer: &Offer| offer.driver_id == answer.driver_id;
    let Some(seen) = store::find_offer(tx, answer.offer_id).await?.filter(mine) else {
        return Err(Refusal::not_found("offer").into());
    };
    let trip = locked(tx, seen.trip_id).await?;
    let offer = store::find_offer(tx, answer.offer_id).await?.ok_or_else(|| Refusal::not_found("offer"))?;
    Ok((trip, offer))
}

/// How an offer ends.
#[derive(Clone, Copy)]
pub(super) struct Ending {
    decision: Decision,
    because: Option<&'static str>,
}

impl Ending {
    /// By its driver or by the clock.
    pub(super) fn of(decision: Decision) -> Self {
        Self { decision, because: None }
    }

    /// Taken back, for a reason that its driver is told.
    pub(super) fn withdrawn(because: &'static str) -> Self {
        Self { decision: Decision::Withdraw, because: Some(because) }
    }
}

/// Ends a pending offer without a ride coming of it: the search goes on. Its trip is locked.
pub(super) async fn end_offer(
    tx: &mut Tx,
    trip: &Trip,
    offer: &Offer,
    ending: Ending,
    cause: Cause<'_>,
) -> Result<(Offer, Trip)> {
    let command = match ending.decision {
        Decision::Decline => Command::Decline,
        Decision::Expire => Command::Expire,
        Decision::Withdraw => Command::Withdraw,
        Decision::Accept => return Err(Error::Bug("an accept does not end an offer".into())),
    };
    let ended = close(tx, trip, offer, ending, cause.stamp).await?;
    let trip = advance(tx, trip, &command, cause.with(json!({"offer_id": ended.id}))).await?;
    Ok((ended, trip))
}

/// Withdraws the pending offer of a trip that ends, if there is one. The step of the trip is the caller's.
pub(super) async fn withdraw_pending(tx: &mut Tx, trip: &Trip, because: &'static str, stamp: &Stamp) -> Result<()> {
    if let Some(offer) = store::pending_offer(tx, trip.id).await? {
        close(tx, trip, &offer, Ending::withdrawn(because), stamp).await?;
    }
    Ok(())
}

async fn close(tx: &mut Tx, trip: &Trip, offer: &Offer, ending: Ending, stamp: &Stamp) -> Result<Offer> {
    let Ending { decision, because } = ending;
    let ended = Offer { withdrawn_because: because.map(str::to_owned), ..offer.decide(decision, stamp.now)? };
    store::decide_offer(tx, &ended).await?;
    let kind = format!("offer.{}", ended.status.as_str());
    tell_driver(tx, ended.driver_id, &kind, views::offer_news(&ended, trip), stamp).await?;
    Ok(ended)
}
