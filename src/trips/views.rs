//! Trips, offers and their events as JSON. Pure: values in, bodies out.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::offer::{Offer, OfferStatus};
use super::state_machine::{ActorKind, CommandKind, State, Trip};
use super::store::TripEvent;
use crate::geo::{Eta, EtaSource, Position};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, OfferId, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;
use crate::pricing::driver_share;

/// A trip.
#[derive(Debug, Serialize, ToSchema)]
pub struct TripBody {
    /// The id.
    id: TripId,
    /// The state.
    state: State,
    /// Grows by one with every event. The `ETag` starts with it.
    #[schema(minimum = 1)]
    version: i64,
    /// The rider.
    rider_id: RiderId,
    /// The driver, from the assignment on; `null` before it, and after the driver was unassigned.
    driver_id: Option<DriverId>,
    /// The requested class of car.
    class: VehicleClass,
    /// The start of the ride.
    pickup: Position,
    /// The end of the ride.
    dropoff: Position,
    /// How long the car still drives: to the pickup, and then to the end of the ride; seconds. Only from `GET /v1/trips/{trip_id}`, while the
    /// car is on its way and its position is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    eta_s: Option<i64>,
    /// What `eta_s` was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    eta_source: Option<EtaSource>,
    /// The redeemed quote.
    quote_id: QuoteId,
    /// The price, fixed by the quote.
    price: Money,
    /// Four digits that the rider tells the driver at the pickup. Only the rider gets them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9]{4}$")]
    pin: Option<String>,
    /// The payment of the fare.
    payment_id: PaymentId,
    /// The amount charged to the rider; `null` until the trip is over.
    fare: Option<Money>,
    /// The number of offers so far.
    #[schema(minimum = 0, maximum = 20)]
    offers_made: i16,
    /// The kind of caller that cancelled or aborted the trip; `null` otherwise.
    cancelled_by: Option<ActorKind>,
    /// When the trip was requested (domain time).
    requested_at: DomainTime,
    /// When a driver was assigned (domain time); `null` before.
    assigned_at: Option<DomainTime>,
    /// When the driver arrived at the pickup (domain time); `null` before.
    arrived_at: Option<DomainTime>,
    /// When the ride started (domain time); `null` before.
    started_at: Option<DomainTime>,
    /// When the trip ended, in any way (domain time); `null` before.
    ended_at: Option<DomainTime>,
}

/// Returns the outbox event of a changed trip. It has only ids, number and state, because it may be read much later.
pub fn trip_changed_payload(trip: &Trip, at: DomainTime) -> Value {
    json!({
        "at": at,
        "trip_id": trip.id,
        "rider_id": trip.rider_id,
        "driver_id": trip.driver_id,
        "seq": trip.version,
        "state": trip.state,
    })
}

/// The reader of a trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Viewer {
    /// Its rider, including the PIN.
    Rider,
    /// Its driver or an operator, without the PIN.
    Other,
}

impl TripBody {
    /// Renders a trip for `viewer`.
    pub fn new(trip: &Trip, viewer: Viewer) -> Self {
        Self {
            id: trip.id,
            state: trip.state,
            version: trip.version,
            rider_id: trip.rider_id,
            driver_id: trip.driver_id,
            class: trip.class,
            pickup: trip.pickup,
            dropoff: trip.dropoff,
            eta_s: None,
            eta_source: None,
            quote_id: trip.quote_id,
            price: trip.price,
            pin: (viewer == Viewer::Rider).then(|| trip.pin.clone()),
            payment_id: trip.payment_id,
            fare: trip.total.map(|total| Money::new(total, trip.price.currency)),
            offers_made: trip.offers_made,
            cancelled_by: trip.cancelled_by,
            requested_at: trip.requested_at,
            assigned_at: trip.assigned_at,
            arrived_at: trip.arrived_at,
            started_at: trip.started_at,
            ended_at: trip.ended_at,
        }
    }

    /// Adds how long the car still drives.
    pub fn with_eta(self, eta: Option<Eta>) -> Self {
        Self { eta_s: eta.map(Eta::seconds), eta_source: eta.map(|eta| eta.source), ..self }
    }
}

/// An offer of a trip to a driver.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferBody {
    /// The id.
    id: OfferId,
    /// The offered trip. A 404 to the driver until they accept.
    trip_id: TripId,
    /// The status.
    status: OfferStatus,
    /// The start of the ride.
    pickup: Position,
    /// The end of the ride.
    dropoff: Position,
    /// The requested class of car.
    class: VehicleClass,
    /// The driver's earnings, without the waiting charge.
    fare: Money,
    /// Great-circle distance from the driver to the pickup, meters.
    #[schema(minimum = 0)]
    distance_to_pickup_m: i64,
    /// The drive from the driver to the pickup when the offer was made, seconds.
    #[schema(minimum = 0)]
    pickup_eta_s: i64,
    /// What the drive was computed from.
    eta_source: EtaSource,
    /// When the offer was made (domain time).
    created_at: DomainTime,
    /// The deadline to answer, 15 s after the offer was made (domain time).
    expires_at: DomainTime,
    /// The reason of the withdrawal; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, max_length = 64, example = "rider_cancelled")]
    withdrawn_because: Option<String>,
}

impl OfferBody {
    /// Renders an offer with the trip data that its driver needs.
    pub fn new(offer: &Offer, trip: &Trip) -> Self {
        Self {
            id: offer.id,
            trip_id: offer.trip_id,
            status: offer.status,
            pickup: trip.pickup,
            dropoff: trip.dropoff,
            class: trip.class,
            fare: Money::new(driver_share(trip.price.amount), trip.price.currency),
            distance_to_pickup_m: offer.pickup_distance_m,
            pickup_eta_s: offer.pickup_eta_s,
            eta_source: offer.eta_source,
            created_at: offer.created_at,
            expires_at: offer.expires_at,
            withdrawn_because: offer.withdrawn_because.clone(),
        }
    }
}

/// An event of a trip, in its history and on its stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventBody {
    /// 1, 2, 3 … without gaps.
    #[schema(minimum = 1)]
    seq: i64,
    /// `trip.` and the new state.
    #[schema(pattern = "^trip\\.[a-z_]+$", example = "trip.searching")]
    r#type: String,
    /// The state before; `null` for the first event.
    from: Option<State>,
    /// The state after.
    to: State,
    /// When it happened (domain time).
    at: DomainTime,
    /// The kind of caller.
    actor: ActorKind,
    /// Details of the event.
    #[schema(value_type = EventData)]
    data: Value,
}

/// Details of an event. `command` is always present; other members depend on it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; the details are stored as JSON")]
struct EventData {
    /// The command.
    command: CommandKind,
    /// The price, of the first event.
    #[schema(nullable = false)]
    price: Option<Money>,
    /// The offer.
    #[schema(nullable = false)]
    offer_id: Option<OfferId>,
    /// The deadline of the offer (domain time).
    #[schema(nullable = false)]
    expires_at: Option<DomainTime>,
}

impl From<TripEvent> for EventBody {
    fn from(event: TripEvent) -> Self {
        Self {
            seq: event.seq,
            r#type: format!("trip.{}", event.to),
            from: event.from,
            to: event.to,
            at: event.at,
            actor: event.actor,
            data: event.data,
        }
    }
}

impl EventBody {
    /// Returns the number of the event.
    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// Returns the type of the event.
    pub fn kind(&self) -> &str {
        &self.r#type
    }

    /// Returns whether the trip is over with this event.
    pub fn is_last(&self) -> bool {
        self.to.is_over()
    }
}

/// Returns the data of a driver event about a trip.
pub fn driver_trip_payload(trip: &Trip) -> Value {
    json!({"trip_id": trip.id, "trip": DriverTrip::from(trip)})
}

/// Returns a driver event about an offer.
pub fn offer_payload(offer: &Offer, trip: &Trip) -> Value {
    json!({"trip_id": offer.trip_id, "offer": OfferBody::new(offer, trip)})
}

/// A trip in a driver's profile and on their stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriverTrip {
    /// The id.
    id: TripId,
    /// The state.
    state: State,
    /// The start of the ride.
    pickup: Position,
    /// The end of the ride.
    dropoff: Position,
}

impl From<&Trip> for DriverTrip {
    fn from(trip: &Trip) -> Self {
        Self { id: trip.id, state: trip.state, pickup: trip.pickup, dropoff: trip.dropoff }
    }
}
