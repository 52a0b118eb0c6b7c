//! Ask for a trip, and look at trips.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::geo::Position;
use crate::platform::auth::{Caller, Role};
use crate::platform::class::VehicleClass;
use crate::platform::db::Conn;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader};
use crate::platform::http::{Participants, Reply, Request, Riders};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{DriverId, Id, QuoteId, TripId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use crate::supply::{self, Supply};
use crate::trips::commands::{self, NewTrip, Stamp};
use crate::trips::machine::{State, Trip};
use crate::trips::store::{self, Whose};
use crate::trips::views::{TripBody, TripState, Viewer};

/// What a trip is asked for with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TripRequest {
    /// An unexpired quote; it is used up.
    quote_id: QuoteId,
    /// The provider's name for the way to pay, like `pm_card_visa`. Never the number of a card: it is refused.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z][!-~]*$", example = "pm_card_visa")]
    payment_method: String,
}

/// Ask for a ride
///
/// Uses up a quote. The trip is `requested` when this answers: its payment is authorised first, then a driver is looked for; follow both
/// on the trip's events. A rider has one trip under way at a time, and a quote makes one trip: of two requests that race for either, one
/// wins, and the other is told so. A repeat under the same key gets the same trip, however often it comes.
#[utoipa::path(post, path = "/v1/trips", tag = "trips", operation_id = "request_trip", security(("rider" = [])),
    request_body = TripRequest, params(KeyHeader),
    responses((status = 201, description = "The trip, requested", body = TripBody)))]
pub(super) async fn request(request: Request<Riders>) -> Reply {
    request
        .command(
            |request| {
                let Some(rider_id) = request.caller().rider() else { unreachable!("the audience is riders") };
                let body: TripRequest = request.json()?;
                check_payment_method(&body.payment_method)?;
                let platform = &request.platform;
                let now = platform.clock.machine();
                Ok(NewTrip {
                    id: platform.dice.id(now),
                    payment_id: platform.dice.id(now),
                    rider_id,
                    quote_id: body.quote_id,
                    payment_method: body.payment_method,
                    pin: platform.dice.pin(),
                    stamp: Stamp::new(platform),
                })
            },
            |tx, new| Box::pin(commands::request(tx, new)),
            |trip| Answer::created(&TripBody::new(trip, Viewer::Rider), format!("/v1/trips/{}", trip.id), trip.version),
        )
        .await
}

/// A name starts with a letter. What starts with a digit may be the number on a card, which must not get into our books.
pub(super) fn check_payment_method(method: &str) -> Result<()> {
    let is_name = method.starts_with(|first: char| first.is_ascii_alphabetic());
    if is_name && method.len() <= 255 && method.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let detail = "must be a name like `pm_card_visa`: 1 to 255 visible ASCII characters, a letter first";
    Err(Refusal::new(Code::InvalidRequest, format!("`payment_method` {detail}."))
        .field("/payment_method", detail)
        .into())
}

/// Which trips.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// `next_cursor` of the page before; absent for the first one.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
    /// Only trips in this state.
    #[param(value_type = Option<TripState>)]
    state: Option<String>,
}

/// List your trips
///
/// Newest first: a rider's, or those that a driver drives or drove; operators see everybody's. Pages are stable: a trip that is made
/// meanwhile moves nothing.
#[utoipa::path(get, path = "/v1/trips", tag = "trips", operation_id = "list_trips", security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page of trips", body = Page<TripBody>)))]
pub(super) async fn list(request: Request<Participants>) -> Reply {
    let query: ListQuery = request.query()?;
    let page = PageQuery { cursor: query.cursor, limit: query.limit }.read()?;
    let state = query.state.as_deref().map(parse_state).transpose()?;
    let caller = request.caller();
    let input = (whose(caller), state, page);
    let trips = request
        .platform
        .db
        .read(input, |conn, (whose, state, page)| Box::pin(store::list(conn, *whose, *state, *page)))
        .await?;
    Ok(HttpResponse::Ok().json(render_page(trips, page, caller)))
}

fn render_page(trips: Vec<Trip>, request: PageRequest, caller: Caller) -> Page<TripBody> {
    let page = Page::new(trips, request, |trip| trip.id.uuid());
    let viewer = viewer(caller);
    Page { items: page.items.iter().map(|trip| TripBody::new(trip, viewer)).collect(), next_cursor: page.next_cursor }
}

fn parse_state(name: &str) -> Result<State> {
    State::parse(name).ok_or_else(|| {
        let known: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
        let detail = format!("must be one of {}", known.join(", "));
        Refusal::new(Code::InvalidRequest, format!("`state` {detail}.")).field("state", detail).into()
    })
}

/// Look at a trip
///
/// For its rider, its driver and operators; for others it does not exist. The `ETag` is its version: with `If-None-Match` nothing is sent
/// that you have, and with `If-Match` a command is refused when the trip has moved on.
#[utoipa::path(get, path = "/v1/trips/{trip_id}", tag = "trips", operation_id = "get_trip",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip"), KnownVersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn get(request: Request<Participants>) -> Reply {
    let trip = visible_trip(&request).await?;
    Ok(request.respond(&TripBody::new(&trip, viewer(request.caller())), trip.version))
}

/// The car that is coming.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ComingDriver {
    /// The driver.
    driver_id: DriverId,
    /// What to call them.
    #[schema(min_length = 1, max_length = 80, example = "Ada")]
    name: String,
    /// The car's number plate.
    #[schema(min_length = 1, max_length = 16, example = "T642113C")]
    plate: String,
    /// The class of the car.
    class: VehicleClass,
    /// Where they were last; `null` while this process does not know.
    position: Option<Position>,
    /// How old that position is, milliseconds of domain time; `null` without one.
    #[schema(minimum = 0)]
    position_age_ms: Option<i64>,
}

/// See the car that is coming
///
/// From the assignment to the end of the ride; before and after it is a 404 that names the trip's state.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/driver", tag = "trips", operation_id = "get_trip_driver",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "Driver and car", body = ComingDriver)))]
pub(super) async fn driver(request: Request<Participants>, supply: web::Data<Supply>) -> Reply {
    let trip = visible_trip(&request).await?;
    let (Some(driver_id), true) = (trip.driver_id, trip.state.has_driver()) else {
        let refusal =
            Refusal::new(Code::NotFound, format!("No driver is bound to the trip: it is {}.", trip.state.as_str()));
        return Err(refusal.with("state", trip.state.as_str()).into());
    };
    let driver = request.platform.db.read(driver_id, |conn, id| Box::pin(supply::store::find(conn, *id))).await?;
    let driver = driver.ok_or_else(|| Refusal::not_found("driver"))?;
    let known = supply.position(driver_id);
    let now = request.platform.clock.domain();
    Ok(HttpResponse::Ok().json(ComingDriver {
        driver_id,
        name: driver.name,
        plate: driver.plate,
        class: driver.class,
        position: known.map(|known| known.position),
        position_age_ms: known.map(|known| known.age(now).num_milliseconds()),
    }))
}

/// The trip in the path, if the caller may see it.
pub(super) async fn visible_trip(request: &Request<Participants>) -> Result<Trip> {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    request.platform.db.read(input, |conn, (id, caller)| Box::pin(visible(conn, *id, *caller))).await
}

/// Reads a trip, if the caller may see it.
pub(super) async fn visible(conn: &mut Conn, id: TripId, caller: Caller) -> Result<Trip> {
    let trip = store::find(conn, id).await?;
    trip.filter(|trip| may_see(trip, caller)).ok_or_else(|| Refusal::not_found("trip").into())
}

/// Whether a trip exists for the caller.
pub fn may_see(trip: &Trip, caller: Caller) -> bool {
    match caller.role {
        Role::Rider => caller.rider() == Some(trip.rider_id),
        Role::Driver => trip.driver_id.is_some() && caller.driver() == trip.driver_id,
        Role::Ops => true,
        Role::Gateway => false,
    }
}

/// How the caller sees a trip.
pub(super) fn viewer(caller: Caller) -> Viewer {
    if caller.role == Role::Rider { Viewer::Rider } else { Viewer::Other }
}

fn whose(caller: Caller) -> Whose {
    match caller.role {
        Role::Rider => Whose::Rider(caller.subject.into()),
        Role::Driver => Whose::Driver(caller.subject.into()),
        Role::Gateway | Role::Ops => Whose::Everybody,
    }
}
