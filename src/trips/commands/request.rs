//! A rider requests a trip.

use chrono::TimeDelta;
use serde_json::json;

use super::{Actor, Stamp};
use crate::payments::commands as payments;
use crate::payments::{Goal, PaymentPurpose};
use crate::platform::db::Tx;
use crate::platform::error::{Code, OnConstraint, Refusal, Result};
use crate::platform::ids::{Id, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::wake::Wake;
use crate::pricing::commands as pricing;
use crate::trips::state_machine::{CommandKind, PAYMENT_TIMEOUT, State, Trip};
use crate::trips::store::{self, NewEvent};

/// A trip to be requested.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewTrip {
    pub id: TripId,
    pub payment_id: PaymentId,
    pub rider_id: RiderId,
    pub quote_id: QuoteId,
    pub payment_method: String,
    pub pin: String,
    pub pickup_within: Option<TimeDelta>,
    pub stamp: Stamp,
}

/// Redeems the quote, and writes the trip and its payment. The payments worker authorizes the payment after the commit.
///
/// # Errors
/// 404, 409 or 410 if the quote cannot be redeemed; 409 if the rider has an active trip.
pub async fn request(tx: &mut Tx, new: &NewTrip) -> Result<Trip> {
    let now = new.stamp.now;
    let quote = pricing::redeem(tx, new.quote_id, new.rider_id, now).await?;
    let trip = Trip {
        id: new.id,
        rider_id: new.rider_id,
        driver_id: None,
        quote_id: new.quote_id,
        payment_id: new.payment_id,
        state: State::Requested,
        version: 1,
        class: quote.class,
        pickup: quote.pickup,
        dropoff: quote.dropoff,
        price: quote.price(),
        waiting_charge: 0,
        total: None,
        pin: new.pin.clone(),
        pin_failures: 0,
        offers_made: 0,
        unassignments: 0,
        cancelled_by: None,
        requested_at: now,
        authorized_at: None,
        pickup_by: new.pickup_within.map(|within| now + within),
        search_deadline_at: None,
        searching_since: None,
        assigned_at: None,
        arrived_at: None,
        started_at: None,
        ended_at: None,
        due_at: Some(now + PAYMENT_TIMEOUT),
    };
    insert(tx, &trip).await?;
    let actor = Actor::Rider(new.rider_id);
    let event = NewEvent {
        trip: &trip,
        from: None,
        command: CommandKind::Request,
        actor: actor.kind(),
        actor_id: actor.id(),
        data: json!({"command": CommandKind::Request.as_str(), "price": trip.price}),
        key_id: tx.key_id(),
        at: now,
        made_at: new.stamp.machine_now,
    };
    store::insert_event(tx, event).await?;
    super::publish(tx, &trip, &new.stamp).await?;
    let payment = payments::NewPayment {
        id: new.payment_id,
        trip_id: trip.id,
        rider_id: trip.rider_id,
        driver_id: None,
        purpose: PaymentPurpose::Fare,
        goal: Goal::Hold,
        amount: trip.price,
        method: new.payment_method.clone(),
    };
    payments::open(tx, &payment, now, new.stamp.machine_now).await?;
    tx.wake(Wake::Deadlines);
    tx.wake(Wake::Trip(trip.id.uuid()));
    Ok(trip)
}

/// Writes the trip. The constraints refuse a second trip of the quote, and a second active one of the rider.
async fn insert(tx: &mut Tx, trip: &Trip) -> Result<()> {
    let key_id = tx.key_id();
    let inserted = store::insert(tx, trip, key_id).await;
    let inserted = inserted.on_constraint("one_trip_per_quote", pricing::quote_used);
    inserted.on_constraint("one_active_trip_per_rider", || {
        Refusal::new(
            Code::ActiveTripExists,
            "Cannot request a trip during another one. End that trip first: GET /v1/trips lists it.",
        )
    })
}
