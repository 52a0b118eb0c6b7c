//! A driver's own profile and availability.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::db::Conn;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::names::published;
use crate::platform::http::{Drivers, Reply, Request};
use crate::platform::ids::{DriverId, Id};
use crate::supply::commands::Vehicle;
use crate::supply::store::Driver;
use crate::supply::{self, LastKnown, Supply};
use crate::trips::commands::{self, NewAvailability, Stamp};
use crate::trips::offer::Status;
use crate::trips::views::{DriverTrip, OfferBody};
use crate::trips::{store, worker};

published! {
    /// Whether a driver takes rides: `online`, offers may come; `offline`, none do.
    Availability = ["online", "offline"];
}

/// A driver as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProfileBody {
    /// The driver.
    id: DriverId,
    /// What riders are told to call them.
    #[schema(min_length = 1, max_length = 80, example = "Ada")]
    name: String,
    /// The class of their car: they are asked for trips of this class.
    class: VehicleClass,
    /// The car's number plate.
    #[schema(min_length = 1, max_length = 16, example = "T642113C")]
    plate: String,
    /// Whether offers may come.
    #[schema(value_type = Availability)]
    availability: &'static str,
    /// The trip that they are on; `null` if they are on none.
    trip: Option<DriverTrip>,
    /// The offer that waits for an answer; `null` if none does.
    offer: Option<OfferBody>,
    /// The last position that arrived; `null` if this process knows of none.
    position: Option<Position>,
}

/// What a driver is doing: the pending offer, and the trip under way.
pub(super) async fn doing(conn: &mut Conn, driver: DriverId) -> Result<(Option<OfferBody>, Option<DriverTrip>)> {
    let Some(engagement) = store::engagement(conn, driver).await? else { return Ok((None, None)) };
    let Some(trip) = store::find(conn, engagement.trip_id).await? else { return Ok((None, None)) };
    if engagement.is_ride {
        return Ok((None, Some(DriverTrip::from(&trip))));
    }
    let offer = store::find_offer(conn, engagement.offer_id).await?.filter(|offer| offer.status == Status::Pending);
    Ok((offer.map(|offer| OfferBody::new(&offer, &trip)), None))
}

type Found = (Driver, Option<OfferBody>, Option<DriverTrip>);

async fn find(conn: &mut Conn, id: DriverId) -> Result<Found> {
    let driver = supply::store::find(conn, id).await?.ok_or_else(|| {
        Refusal::new(
            Code::NotFound,
            "You have never been online. PUT /v1/drivers/me/availability with name, class and plate.",
        )
    })?;
    let (offer, trip) = doing(conn, id).await?;
    Ok((driver, offer, trip))
}

fn profile((driver, offer, trip): Found, known: Option<LastKnown>) -> ProfileBody {
    ProfileBody {
        id: driver.id,
        name: driver.name,
        class: driver.class,
        plate: driver.plate,
        availability: if driver.available { "online" } else { "offline" },
        trip,
        offer,
        position: known.map(|known| known.position),
    }
}

/// See your profile
///
/// With the trip that you are on, and the offer that waits for your answer. It has no `ETag`: position and offer come and go between its
/// versions. Who has never been online has none.
#[utoipa::path(get, path = "/v1/drivers/me", tag = "drivers", operation_id = "get_profile", security(("driver" = [])),
    responses((status = 200, description = "The profile", body = ProfileBody)))]
pub(super) async fn me(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    let Some(id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let found = request.platform.db.read(id, |conn, id| Box::pin(find(conn, *id))).await?;
    Ok(HttpResponse::Ok().json(profile(found, supply.position(id))))
}

/// Whether a driver takes rides.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AvailabilityRequest {
    /// `true`: online, offers may come; `false`: offline.
    available: bool,
    /// What riders are told to call you; no control characters. Needed the first time, and kept if absent.
    #[schema(min_length = 1, max_length = 80, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: Option<String>,
    /// The class of your car. Needed the first time, and kept if absent.
    class: Option<VehicleClass>,
    /// Your car's number plate; no control characters. Needed the first time, and kept if absent.
    #[schema(min_length = 1, max_length = 16, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    plate: Option<String>,
}

/// Go online or offline
///
/// The first time you say name, class and plate; later they are kept. Going offline takes a pending offer back in the same transaction, so
/// nobody waits for your answer; on a trip it is refused. It is a PUT, and a repeat changes nothing: it needs no key.
#[utoipa::path(put, path = "/v1/drivers/me/availability", tag = "drivers", operation_id = "set_availability",
    security(("driver" = [])), request_body = AvailabilityRequest,
    responses((status = 200, description = "The profile", body = ProfileBody)))]
pub(super) async fn availability(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    let Some(driver_id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let body: AvailabilityRequest = request.json()?;
    check_text("name", body.name.as_deref(), 80)?;
    check_text("plate", body.plate.as_deref(), 16)?;
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
    // The index hears of it anyway; but the driver's first position may follow this answer at once.
    if request.platform.leadership.epoch().is_some() {
        worker::tell_index(&request.platform, &supply, vec![driver_id.uuid()]).await?;
    }
    Ok(HttpResponse::Ok().json(profile(found, supply.position(driver_id))))
}

fn check_text(field: &str, text: Option<&str>, chars_max: usize) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let fits = (1..=chars_max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    let detail = format!("must be 1 to {chars_max} characters, none of them a control character");
    Err(Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(format!("/{field}"), detail).into())
}
