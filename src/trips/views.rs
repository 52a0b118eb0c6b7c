//! Trips, offers and their news as JSON. Values in, DTOs out; nothing is looked up here.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::machine::{State, Trip};
use super::offer::Offer;
use super::store::Event;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, OfferId, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;
use crate::pricing::driver_share;

/// A trip as its participants see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TripBody {
    id: TripId,
    /// Where it stands.
    #[schema(value_type = String, example = "searching")]
    state: &'static str,
    /// Grows with every step; the `ETag`.
    version: i64,
    rider_id: RiderId,
    /// From the assignment on.
    driver_id: Option<DriverId>,
    class: VehicleClass,
    pickup: Position,
    dropoff: Position,
    quote_id: QuoteId,
    /// The promised price.
    price: Money,
    /// Four digits that the rider tells the driver at the car. Only the rider sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    /// The payment of the fare.
    payment_id: PaymentId,
    /// What the rider is charged in the end; `null` while it is not known.
    fare: Option<Money>,
    /// Drivers asked so far.
    offers_made: i16,
    /// Who called it off.
    cancelled_by: Option<String>,
    requested_at: DomainTime,
    assigned_at: Option<DomainTime>,
    arrived_at: Option<DomainTime>,
    started_at: Option<DomainTime>,
    ended_at: Option<DomainTime>,
}

/// What the outbox tells of a trip's step: whose, which number, the state. No more: it may be read long after.
pub fn trip_news(trip: &Trip, at: DomainTime) -> Value {
    json!({
        "at": at,
        "trip_id": trip.id,
        "rider_id": trip.rider_id,
        "driver_id": trip.driver_id,
        "seq": trip.version,
        "state": trip.state.as_str(),
    })
}

/// Who looks at a trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Its rider, who sees the PIN.
    Rider,
    /// Anybody else who may.
    Other,
}

impl TripBody {
    /// The trip as `viewer` sees it.
    pub fn new(trip: &Trip, viewer: Viewer) -> Self {
        Self {
            id: trip.id,
            state: trip.state.as_str(),
            version: trip.version,
            rider_id: trip.rider_id,
            driver_id: trip.driver_id,
            class: trip.class,
            pickup: trip.pickup,
            dropoff: trip.dropoff,
            quote_id: trip.quote_id,
            price: trip.price,
            pin: (viewer == Viewer::Rider).then(|| trip.pin.clone()),
            payment_id: trip.payment_id,
            fare: trip.total.map(|total| Money::new(total, trip.price.currency)),
            offers_made: trip.offers_made,
            cancelled_by: trip.cancelled_by.clone(),
            requested_at: trip.requested_at,
            assigned_at: trip.assigned_at,
            arrived_at: trip.arrived_at,
            started_at: trip.started_at,
            ended_at: trip.ended_at,
        }
    }
}

/// An offer as its driver sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferBody {
    id: OfferId,
    trip_id: TripId,
    #[schema(value_type = String, example = "pending")]
    status: &'static str,
    #[serde(flatten)]
    ride: RideBody,
    /// From the driver's position to the pickup, over the great circle, metres.
    distance_to_pickup_m: i64,
    created_at: DomainTime,
    /// Answer before this.
    expires_at: DomainTime,
    /// Why it was taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_because: Option<String>,
}

/// What a driver has to know of a ride.
#[derive(Debug, Serialize, ToSchema)]
pub struct RideBody {
    pickup: Position,
    dropoff: Position,
    class: VehicleClass,
    /// What the driver earns, waiting apart.
    fare: Money,
}

impl OfferBody {
    /// The offer, with what its driver has to know of the trip.
    pub fn new(offer: &Offer, trip: &Trip) -> Self {
        Self {
            id: offer.id,
            trip_id: offer.trip_id,
            status: offer.status.as_str(),
            ride: RideBody::new(trip),
            distance_to_pickup_m: offer.pickup_distance_m,
            created_at: offer.created_at,
            expires_at: offer.expires_at,
            withdrawn_because: offer.withdrawn_because.clone(),
        }
    }
}

impl RideBody {
    fn new(trip: &Trip) -> Self {
        Self {
            pickup: trip.pickup,
            dropoff: trip.dropoff,
            class: trip.class,
            fare: Money::new(driver_share(trip.price.amount), trip.price.currency),
        }
    }
}

/// A step of a trip, in its history and on its stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    /// 1, 2, 3 … without gaps.
    seq: i64,
    /// `trip.` and the state that it led to.
    #[schema(example = "trip.searching")]
    r#type: String,
    /// The state before; `null` for the first one.
    from: Option<String>,
    /// The state after.
    to: String,
    /// Domain time.
    at: DomainTime,
    /// `rider`, `driver`, `system` or `ops`.
    actor: String,
    /// Details; `command` names the step.
    data: Value,
}

impl From<Event> for EventBody {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq,
            r#type: format!("trip.{}", event.to),
            from: Some(event.from).filter(|from| from != "none"),
            to: event.to,
            at: event.at,
            actor: event.actor,
            data: event.data,
        }
    }
}

impl EventBody {
    /// Its number.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        &self.r#type
    }

    /// Whether it is the trip's last.
    pub fn is_last(&self) -> bool {
        State::parse(&self.to).is_some_and(State::is_over)
    }
}

/// What a driver's stream says of a trip.
pub fn driver_trip_news(trip: &Trip) -> Value {
    json!({"trip_id": trip.id, "trip": driver_trip(trip)})
}

/// What a driver's stream says of an offer.
pub fn offer_news(offer: &Offer, trip: &Trip) -> Value {
    json!({"trip_id": offer.trip_id, "offer": OfferBody::new(offer, trip)})
}

/// A trip as the driver's profile and stream show it.
pub fn driver_trip(trip: &Trip) -> Value {
    json!({"id": trip.id, "state": trip.state.as_str(), "pickup": trip.pickup, "dropoff": trip.dropoff})
}
