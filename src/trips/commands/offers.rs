//! Offers: made by dispatch, accepted or declined by the driver.

use serde_json::json;

use super::{Actor, Stamp, TransitionContext, apply, lock_trip, notify_driver};
use crate::geo::Eta;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, OnConstraint, Refusal, Result};
use crate::platform::ids::{DriverId, OfferId, TripId};
use crate::supply::commands as supply;
use crate::trips::offer::{Decision, OFFER_TTL, Offer, OfferStatus};
use crate::trips::state_machine::{Command, CommandKind, State, Trip, invalid_transition};
use crate::trips::{store, views};

/// An offer proposed by dispatch.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewOffer {
    pub id: OfferId,
    pub trip_id: TripId,
    pub driver_id: DriverId,
    pub pickup_distance_m: i64,
    pub pickup_eta: Eta,
    pub epoch: i64,
    pub stamp: Stamp,
}

/// Offers a searching trip to a free driver. This transaction has locked `trip`.
///
/// # Errors
/// [`Code::DriverUnavailable`] if the index was stale and the driver is busy or offline, or if another transaction has locked the
/// driver's row; 409 if the trip no longer searches.
pub async fn offer(tx: &mut Tx, trip: &Trip, new: &NewOffer) -> Result<(Offer, Trip)> {
    let offer = Offer {
        id: new.id,
        trip_id: new.trip_id,
        driver_id: new.driver_id,
        status: OfferStatus::Pending,
        pickup_distance_m: new.pickup_distance_m,
        pickup_eta_s: new.pickup_eta.seconds(),
        eta_source: new.pickup_eta.source,
        withdrawn_because: None,
        created_at: new.stamp.now,
        expires_at: new.stamp.now + OFFER_TTL,
        decided_at: None,
        released_at: None,
    };
    if trip.state != State::Searching {
        return Err(invalid_transition(trip.state, CommandKind::Offer).into());
    }
    // First, because the inserts below wait for the driver's row.
    match supply::is_available(tx, new.driver_id).await? {
        Some(true) => {}
        Some(false) => return Err(unavailable("offline").into()),
        None => return Err(unavailable("locked").into()),
    }
    // The index may be stale. The second of two offers to one driver fails here or at the engagement.
    let inserted = store::insert_offer(tx, &offer, new.epoch).await;
    inserted.on_constraint("one_pending_offer_per_driver", || unavailable("busy"))?;
    if !store::engage(tx, &offer).await? {
        return Err(unavailable("busy").into());
    }
    let command = Command::Offer { expires_at: offer.expires_at };
    let data = json!({"offer_id": offer.id, "expires_at": offer.expires_at});
    let trip = apply(tx, trip, &command, TransitionContext::new(Actor::System, &new.stamp).with(data)).await?;
    notify_driver(tx, new.driver_id, "offer.created", views::offer_payload(&offer, &trip), &new.stamp).await?;
    Ok((offer, trip))
}

fn unavailable(why: &'static str) -> Refusal {
    Refusal::new(Code::DriverUnavailable, format!("The driver is {why}.")).with("why", why)
}

/// A driver's response to an offer.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct OfferResponse {
    pub offer_id: OfferId,
    pub driver_id: DriverId,
    pub stamp: Stamp,
}

/// Accepts an offer: the driver is assigned to the trip. An accepted offer stays as it is.
///
/// # Errors
/// 410 if the offer has expired or was withdrawn; 409 if another driver has the trip; 404 if the offer is another driver's.
pub async fn accept(tx: &mut Tx, response: &OfferResponse) -> Result<(Offer, Trip)> {
    let (trip, offer) = lock_offer_and_trip(tx, response).await?;
    if offer.status == OfferStatus::Accepted {
        return Ok((offer, trip));
    }
    let accepted = offer.decide(Decision::Accept, response.stamp.now)?;
    if trip.state != State::Offered {
        let detail = format!("Cannot accept: the trip is {}. Wait for the next offer.", trip.state);
        return Err(Refusal::new(Code::OfferTaken, detail).with("state", trip.state.as_str()).into());
    }
    store::decide_offer(tx, &accepted).await?;
    store::engage_for_ride(tx, &accepted).await?;
    let payload = views::offer_payload(&accepted, &trip);
    notify_driver(tx, accepted.driver_id, "offer.accepted", payload, &response.stamp).await?;
    let command = Command::Accept { driver: accepted.driver_id };
    let context = TransitionContext::new(Actor::Driver(accepted.driver_id), &response.stamp);
    let assigned = apply(tx, &trip, &command, context.with(json!({"offer_id": accepted.id}))).await;
    // The engagement prevents this. If it ever fails, the driver gets a refusal and not an internal error.
    let trip = assigned.on_constraint("one_active_trip_per_driver", || {
        Refusal::new(Code::DriverOnTrip, "Cannot accept during another trip. Complete that trip first.")
    })?;
    Ok((accepted, trip))
}

/// Declines an offer. The driver gets no other offer for the trip.
///
/// # Errors
/// 410 if the offer has expired or was withdrawn; 404 if it is another driver's.
pub async fn decline(tx: &mut Tx, response: &OfferResponse) -> Result<(Offer, Trip)> {
    let (trip, offer) = lock_offer_and_trip(tx, response).await?;
    if offer.status == OfferStatus::Declined {
        return Ok((offer, trip));
    }
    let context = TransitionContext::new(Actor::Driver(response.driver_id), &response.stamp);
    end_offer(tx, &trip, &offer, OfferEnding::of(Decision::Decline), context).await
}

async fn lock_offer_and_trip(tx: &mut Tx, response: &OfferResponse) -> Result<(Trip, Offer)> {
    let is_own = |offer: &Offer| offer.driver_id == response.driver_id;
    let Some(unlocked) = store::find_offer(tx, response.offer_id).await?.filter(is_own) else {
        return Err(Refusal::not_found("offer").into());
    };
    let trip = lock_trip(tx, unlocked.trip_id).await?;
    let offer = store::find_offer(tx, response.offer_id).await?.ok_or_else(|| Refusal::not_found("offer"))?;
    Ok((trip, offer))
}

/// A decision other than an accept, and the reason of a withdrawal.
#[derive(Clone, Copy)]
pub(super) struct OfferEnding {
    decision: Decision,
    because: Option<&'static str>,
}

impl OfferEnding {
    /// A decline or an expiry.
    pub(super) fn of(decision: Decision) -> Self {
        Self { decision, because: None }
    }

    /// A withdrawal, with the reason sent to the driver.
    pub(super) fn withdrawn(because: &'static str) -> Self {
        Self { decision: Decision::Withdraw, because: Some(because) }
    }
}

/// Ends a pending offer without a ride; the search resumes. This transaction has locked `trip`.
pub(super) async fn end_offer(
    tx: &mut Tx,
    trip: &Trip,
    offer: &Offer,
    ending: OfferEnding,
    context: TransitionContext<'_>,
) -> Result<(Offer, Trip)> {
    let command = match ending.decision {
        Decision::Decline => Command::Decline,
        Decision::Expire => Command::Expire,
        Decision::Withdraw => Command::Withdraw,
        Decision::Accept => return Err(Error::Bug("an accept does not end an offer".into())),
    };
    let ended = write_ending(tx, trip, offer, ending, context.stamp).await?;
    let trip = apply(tx, trip, &command, context.with(json!({"offer_id": ended.id}))).await?;
    Ok((ended, trip))
}

/// Withdraws the pending offer of a trip, if any. The caller applies the trip's own command.
pub(super) async fn withdraw_pending(tx: &mut Tx, trip: &Trip, because: &'static str, stamp: &Stamp) -> Result<()> {
    if let Some(offer) = store::pending_offer(tx, trip.id).await? {
        write_ending(tx, trip, &offer, OfferEnding::withdrawn(because), stamp).await?;
    }
    Ok(())
}

async fn write_ending(tx: &mut Tx, trip: &Trip, offer: &Offer, ending: OfferEnding, stamp: &Stamp) -> Result<Offer> {
    let OfferEnding { decision, because } = ending;
    let ended = Offer { withdrawn_because: because.map(str::to_owned), ..offer.decide(decision, stamp.now)? };
    store::decide_offer(tx, &ended).await?;
    let kind = format!("offer.{}", ended.status);
    notify_driver(tx, ended.driver_id, &kind, views::offer_payload(&ended, trip), stamp).await?;
    Ok(ended)
}
