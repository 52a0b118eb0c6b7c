//! The driver's profile and availability.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::db::Conn;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::{Drivers, HttpResult, Request};
use crate::platform::ids::DriverId;
use crate::platform::names::string_enum;
use crate::platform::text::{Lines, check_text, text_schemas};
use crate::supply::commands::Vehicle;
use crate::supply::store::Driver;
use crate::supply::{self, LastKnown, Supply};
use crate::trips::commands::{self, NewAvailability, Stamp};
use crate::trips::offer::OfferStatus;
use crate::trips::views::{DriverTrip, OfferBody};
use crate::trips::{store, worker};

string_enum! {
    /// Whether a driver gets offers.
    enum Availability {
        /// The driver gets offers.
        Online = "online",
        /// The driver gets no offers.
        Offline = "offline",
    }
}

/// The profile of a driver.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileBody {
    /// The id.
    id: DriverId,
    /// The name shown to riders.
    #[schema(min_length = 1, max_length = 80, example = "Ada")]
    name: String,
    /// The class of the car. The driver gets offers for trips of this class.
    class: VehicleClass,
    /// The car's number plate.
    #[schema(min_length = 1, max_length = 16, example = "T642113C")]
    plate: String,
    /// Whether the driver gets offers.
    availability: Availability,
    /// The active trip; `null` if there is none.
    trip: Option<DriverTrip>,
    /// The pending offer; `null` if there is none.
    offer: Option<OfferBody>,
    /// The last position; `null` if this process has none.
    position: Option<Position>,
}

/// Returns the driver's pending offer and active trip.
pub(super) async fn current_work(conn: &mut Conn, driver: DriverId) -> Result<(Option<OfferBody>, Option<DriverTrip>)> {
    let Some(engagement) = store::engagement(conn, driver).await? else { return Ok((None, None)) };
    let Some(trip) = store::find(conn, engagement.trip_id).await? else { return Ok((None, None)) };
    if engagement.is_ride {
        return Ok((None, Some(DriverTrip::from(&trip))));
    }
    let offer =
        store::find_offer(conn, engagement.offer_id).await?.filter(|offer| offer.status == OfferStatus::Pending);
    Ok((offer.map(|offer| OfferBody::new(&offer, &trip)), None))
}

type Found = (Driver, Option<OfferBody>, Option<DriverTrip>);

async fn find(conn: &mut Conn, id: DriverId) -> Result<Found> {
    let driver = supply::store::find(conn, id).await?.ok_or_else(|| {
        Refusal::new(
            Code::NotFound,
            "The driver has no profile. Create it: PUT /v1/drivers/me/availability with name, class and plate.",
        )
    })?;
    let (offer, trip) = current_work(conn, id).await?;
    Ok((driver, offer, trip))
}

fn profile((driver, offer, trip): Found, known: Option<LastKnown>) -> ProfileBody {
    ProfileBody {
        id: driver.id,
        name: driver.name,
        class: driver.class,
        plate: driver.plate,
        availability: if driver.available { Availability::Online } else { Availability::Offline },
        trip,
        offer,
        position: known.map(|known| known.position),
    }
}

/// Get the driver's profile
///
/// Includes the active trip and the pending offer. It has no `ETag`, because position and offer change without a version. A driver
/// without a profile gets a 404.
#[utoipa::path(get, path = "/v1/drivers/me", tag = "drivers", operation_id = "get_profile", security(("driver" = [])),
    responses((status = 200, description = "The profile", body = ProfileBody)))]
pub(super) async fn me(request: Request<Drivers>, supply: web::Data<Supply>) -> HttpResult {
    let Some(id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let found = request.platform.db.read(id, |conn, id| Box::pin(find(conn, *id))).await?;
    Ok(HttpResponse::Ok().json(profile(found, supply.position(id))))
}

/// The longest name and the longest number plate, characters.
const NAME_CHARS_MAX: usize = 80;
const PLATE_CHARS_MAX: usize = 16;

text_schemas! {
    DriverName: NAME_CHARS_MAX, Lines::One, "A name of one line, at least one character of it visible.";
    NumberPlate: PLATE_CHARS_MAX, Lines::One, "A number plate of one line, at least one character of it visible.";
}

/// The availability to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AvailabilityRequest {
    /// `true` for online, `false` for offline.
    available: bool,
    /// The name shown to riders. Required the first time; kept if absent.
    #[schema(value_type = Option<DriverName>)]
    name: Option<String>,
    /// The class of the car. Required the first time; kept if absent.
    class: Option<VehicleClass>,
    /// The car's number plate. Required the first time; kept if absent.
    #[schema(value_type = Option<NumberPlate>)]
    plate: Option<String>,
}

/// Go online or offline
///
/// The first request must have name, class and plate; later ones keep them. Going offline withdraws a pending offer in the same
/// transaction, and is refused during a trip. A driver who sends no position for 15 minutes and has no trip is taken offline; this request
/// brings them back. A repeat changes nothing, so the request needs no idempotency key.
#[utoipa::path(put, path = "/v1/drivers/me/availability", tag = "drivers", operation_id = "set_availability",
    security(("driver" = [])), request_body = AvailabilityRequest,
    responses((status = 200, description = "The profile", body = ProfileBody)))]
pub(super) async fn availability(request: Request<Drivers>, supply: web::Data<Supply>) -> HttpResult {
    let Some(driver_id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let body: AvailabilityRequest = request.json()?;
    for (field, text, chars_max) in [("name", &body.name, NAME_CHARS_MAX), ("plate", &body.plate, PLATE_CHARS_MAX)] {
        text.as_deref().map_or(Ok(()), |text| check_text(field, text, chars_max, Lines::One))?;
    }
    let vehicle = Vehicle { name: body.name, class: body.class, plate: body.plate };
    let new = NewAvailability { driver_id, available: body.available, vehicle, stamp: Stamp::new(&request.platform) };
    let found = request
        .platform
        .db
        .transaction(new, |tx, new| {
            Box::pin(async move {
                commands::set_availability(tx, new).await?;
                find(tx, new.driver_id).await
            })
        })
        .await?;
    // The index would sync soon, but the driver's first position may follow this response at once.
    let supply = supply.into_inner();
    if let Err(error) = worker::index::sync(&request.platform, &supply).await {
        tracing::warn!(%error, "the index is not synced yet; its worker retries");
    }
    Ok(HttpResponse::Ok().json(profile(found, supply.position(driver_id))))
}
