//! Trips, offers and their news as JSON. Values in, DTOs out; nothing is looked up here.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::machine::{CommandKind, State, Trip};
use super::offer::{Offer, Status};
use super::store::Event;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::http::names::published;
use crate::platform::ids::{DriverId, OfferId, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;
use crate::pricing::driver_share;

published! {
    /// Where a trip stands.
    ///
    /// * `requested`: asked for; the payment is being authorised
    /// * `searching`: paid for, and a driver is being looked for
    /// * `offered`: a driver has been asked
    /// * `assigned`: a driver is coming
    /// * `arrived`: the driver is at the pickup
    /// * `in_progress`: under way
    /// * `completed`, `cancelled` (by the rider), `no_show`, `no_driver`, `payment_failed`, `aborted` (by an operator): over
    TripState = State::ALL.iter().map(|state| state.as_str());
    /// Where an offer stands: `pending` until it is `accepted`, `declined`, has `expired`, or is `withdrawn` because the rider
    /// cancelled or the driver went offline.
    OfferStatus = Status::ALL.iter().map(|status| status.as_str());
    /// What can be done to a trip: by its rider (`request`, `rider_cancel`), its driver (`accept`, `decline`, `arrive`, `start`,
    /// `complete`, `driver_cancel`, `no_show`), an operator (`abort`), or the service.
    TripCommand = CommandKind::ALL.iter().map(|command| command.as_str());
    /// Who did it: one of the two sides of the trip, the service by itself, or an operator.
    ActorKind = ["rider", "driver", "system", "ops"];
}

/// A trip as its participants see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TripBody {
    /// The trip.
    id: TripId,
    /// Where it stands.
    #[schema(value_type = TripState)]
    state: &'static str,
    /// Grows by one with every step; the `ETag`.
    #[schema(minimum = 1)]
    version: i64,
    /// Who asked for it.
    rider_id: RiderId,
    /// Who drives; from the assignment on, `null` before it and when the driver was lost.
    driver_id: Option<DriverId>,
    /// The class of car that was asked for.
    class: VehicleClass,
    /// Where the ride starts.
    pickup: Position,
    /// Where it ends.
    dropoff: Position,
    /// The quote that it used up.
    quote_id: QuoteId,
    /// The promised price.
    price: Money,
    /// Four digits that the rider tells the driver at the car. Only the rider sees them; absent for anybody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9]{4}$")]
    pin: Option<String>,
    /// The payment of the fare.
    payment_id: PaymentId,
    /// What the rider is charged in the end; `null` while it is not known.
    fare: Option<Money>,
    /// Drivers asked so far.
    #[schema(minimum = 0, maximum = 20)]
    offers_made: i16,
    /// Who called it off; `null` if nobody did.
    #[schema(value_type = Option<ActorKind>)]
    cancelled_by: Option<String>,
    /// When it was asked for (domain time).
    requested_at: DomainTime,
    /// When its driver took it (domain time); `null` before.
    assigned_at: Option<DomainTime>,
    /// When the driver was at the pickup (domain time); `null` before.
    arrived_at: Option<DomainTime>,
    /// When the ride started (domain time); `null` before.
    started_at: Option<DomainTime>,
    /// When it was over, however it ended (domain time); `null` before.
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
    /// The offer.
    id: OfferId,
    /// The trip that is offered. It is a 404 to the driver until the offer is accepted.
    trip_id: TripId,
    /// Where it stands.
    #[schema(value_type = OfferStatus)]
    status: &'static str,
    /// Where the ride starts.
    pickup: Position,
    /// Where it ends.
    dropoff: Position,
    /// The class of car that was asked for.
    class: VehicleClass,
    /// What the driver earns, waiting apart.
    fare: Money,
    /// From the driver's position to the pickup, over the great circle, metres.
    #[schema(minimum = 0)]
    distance_to_pickup_m: i64,
    /// When it was made (domain time).
    created_at: DomainTime,
    /// Answer before this: 15 s after it was made (domain time).
    expires_at: DomainTime,
    /// Why it was taken back; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64, example = "rider_cancelled")]
    withdrawn_because: Option<String>,
}

impl OfferBody {
    /// The offer, with what its driver has to know of the trip.
    pub fn new(offer: &Offer, trip: &Trip) -> Self {
        Self {
            id: offer.id,
            trip_id: offer.trip_id,
            status: offer.status.as_str(),
            pickup: trip.pickup,
            dropoff: trip.dropoff,
            class: trip.class,
            fare: Money::new(driver_share(trip.price.amount), trip.price.currency),
            distance_to_pickup_m: offer.pickup_distance_m,
            created_at: offer.created_at,
            expires_at: offer.expires_at,
            withdrawn_because: offer.withdrawn_because.clone(),
        }
    }
}

/// A step of a trip, in its history and on its stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    /// 1, 2, 3 … without gaps.
    #[schema(minimum = 1)]
    seq: i64,
    /// `trip.` and the state that it led to.
    #[schema(pattern = "^trip\\.[a-z_]+$", example = "trip.searching")]
    r#type: String,
    /// The state before; `null` for the first one.
    #[schema(value_type = Option<TripState>)]
    from: Option<String>,
    /// The state after.
    #[schema(value_type = TripState)]
    to: String,
    /// When (domain time).
    at: DomainTime,
    /// Who did it.
    #[schema(value_type = ActorKind)]
    actor: String,
    /// Details of this step.
    #[schema(value_type = EventData)]
    data: Value,
}

/// Details of a step. `command` is always there; other members depend on it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document: the details are stored as they are")]
struct EventData {
    /// What was done.
    #[schema(value_type = TripCommand)]
    command: String,
    /// The price that was promised, of the first step.
    #[schema(nullable = false)]
    price: Option<Money>,
    /// The offer that the step is about.
    #[schema(nullable = false)]
    offer_id: Option<OfferId>,
    /// When that offer expires (domain time).
    #[schema(nullable = false)]
    expires_at: Option<DomainTime>,
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
    json!({"trip_id": trip.id, "trip": DriverTrip::from(trip)})
}

/// What a driver's stream says of an offer.
pub fn offer_news(offer: &Offer, trip: &Trip) -> Value {
    json!({"trip_id": offer.trip_id, "offer": OfferBody::new(offer, trip)})
}

/// A trip as the driver's profile and stream show it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriverTrip {
    /// The trip.
    id: TripId,
    /// Where it stands.
    #[schema(value_type = TripState)]
    state: &'static str,
    /// Where the ride starts.
    pickup: Position,
    /// Where it ends.
    dropoff: Position,
}

impl From<&Trip> for DriverTrip {
    fn from(trip: &Trip) -> Self {
        Self { id: trip.id, state: trip.state.as_str(), pickup: trip.pickup, dropoff: trip.dropoff }
    }
}
