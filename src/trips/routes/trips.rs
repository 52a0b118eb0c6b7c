//! Request, list and read trips.

use std::sync::{Arc, OnceLock};

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::demand::Demand;
use crate::geo::{Eta, EtaSource, Position, Router};
use crate::platform::auth::{Caller, Role};
use crate::platform::class::VehicleClass;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader};
use crate::platform::http::{HttpResult, Participants, Request, Riders};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::{DriverId, Id, QuoteId, TripId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use crate::supply::{self, Supply};
use crate::trips::commands::{self, NewTrip, Stamp};
use crate::trips::eta;
use crate::trips::state_machine::{State, Trip};
use crate::trips::store::{self, TripScope};
use crate::trips::views::{TripBody, Viewer};

/// A request for a ride.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TripRequest {
    /// An unexpired quote, which the trip redeems.
    quote_id: QuoteId,
    /// The provider's name of the payment method, such as `pm_card_visa`. A card number is refused.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z][!-~]*$", example = "pm_card_visa")]
    payment_method: String,
}

/// Request a ride
///
/// Redeems a quote. The trip is `requested` at first: its payment is authorized, then the search for a driver starts; the trip's events
/// show both. A rider has one active trip, and a quote makes one trip: of two concurrent requests for either, one wins and the other gets
/// a 409. A repeat with the same idempotency key returns the same trip.
#[utoipa::path(post, path = "/v1/trips", tag = "trips", operation_id = "request_trip", security(("rider" = [])),
    request_body = TripRequest, params(KeyHeader),
    responses((status = 201, description = "The trip, requested", body = TripBody)))]
pub(super) async fn request(request: Request<Riders>, demand: web::Data<Demand>) -> HttpResult {
    // Set when the command has run, and not when an earlier response is repeated: each trip counts once.
    let requested = Arc::new(OnceLock::new());
    let executed = Arc::clone(&requested);
    let response = request
        .command(
            |request| {
                let Some(rider_id) = request.caller().rider() else { unreachable!("the audience is riders") };
                let body: TripRequest = request.json()?;
                check_payment_method(&body.payment_method)?;
                let platform = &request.platform;
                let now = platform.clock.machine();
                Ok(NewTrip {
                    id: platform.random.id(now),
                    payment_id: platform.random.id(now),
                    rider_id,
                    quote_id: body.quote_id,
                    payment_method: body.payment_method,
                    pin: platform.random.pin(),
                    pickup_within: platform.pickup_within,
                    stamp: Stamp::new(platform),
                })
            },
            |tx, new| Box::pin(commands::request(tx, new)),
            move |trip| {
                let _first = requested.set((trip.rider_id, trip.pickup, trip.requested_at));
                StoredResponse::created(
                    &TripBody::new(trip, Viewer::Rider),
                    format!("/v1/trips/{}", trip.id),
                    trip.version,
                )
            },
        )
        .await?;
    if let Some((rider, pickup, at)) = executed.get() {
        demand.record(*rider, *pickup, *at);
    }
    Ok(response)
}

/// Checks that a payment method is a name. One that starts with a digit may be a card number, which must never be stored.
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

/// The page and filter of a list of trips.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// `next_cursor` of the previous page; absent for the first page.
    #[param(pattern = "^c[0-9a-f]{32}$")]
    cursor: Option<String>,
    /// Items on the page, 1 to 100; 20 if absent.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u8>,
    /// Only trips in this state.
    #[param(value_type = Option<State>)]
    state: Option<String>,
}

/// List trips
///
/// Newest first: a rider's, those a driver was assigned to, or all for operators. New trips do not shift the pages.
#[utoipa::path(get, path = "/v1/trips", tag = "trips", operation_id = "list_trips", security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(ListQuery),
    responses((status = 200, description = "A page of trips", body = Page<TripBody>)))]
pub(super) async fn list(request: Request<Participants>) -> HttpResult {
    let query: ListQuery = request.query()?;
    let page = PageQuery { cursor: query.cursor, limit: query.limit }.read()?;
    let state = query.state.as_deref().map(parse_state).transpose()?;
    let caller = request.caller();
    let input = (scope(caller), state, page);
    let trips = request
        .platform
        .db
        .read(input, |conn, (scope, state, page)| Box::pin(store::list(conn, *scope, *state, *page)))
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

/// Get a trip
///
/// For its rider, its driver and operators; a 404 for other callers. The `ETag` starts with its version and is another for the rider, who
/// also sees the PIN, and after each change of `eta_s`. `If-None-Match` gives a 304 for a known one, and `If-Match` on a command refuses a changed trip.
#[utoipa::path(get, path = "/v1/trips/{trip_id}", tag = "trips", operation_id = "get_trip",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip"), KnownVersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn get(
    request: Request<Participants>,
    supply: web::Data<Supply>,
    router: web::Data<Router>,
) -> HttpResult {
    let trip = visible_trip(&request).await?;
    let known = eta::recent_position(&request.platform, &supply, &trip).await?;
    let eta = eta::current(&request.platform, &router, &trip, known).await?;
    request.respond(&TripBody::new(&trip, viewer(request.caller())).with_eta(eta), trip.version)
}

/// The driver assigned to a trip, and their car.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AssignedDriver {
    /// The driver.
    driver_id: DriverId,
    /// The name shown to the rider.
    #[schema(min_length = 1, max_length = 80, example = "Ada")]
    name: String,
    /// The car's number plate.
    #[schema(min_length = 1, max_length = 16, example = "T642113C")]
    plate: String,
    /// The class of the car.
    class: VehicleClass,
    /// The last position; `null` if there is none of the last 180 s.
    position: Option<Position>,
    /// The age of the position, milliseconds of domain time; `null` without one.
    #[schema(minimum = 0, maximum = 180_000)]
    position_age_ms: Option<i64>,
    /// How long the car still drives, seconds: to the pickup, and then to the end of the ride; `null` at the pickup, and without a position.
    #[schema(minimum = 0)]
    eta_s: Option<i64>,
    /// What `eta_s` was computed from; `null` without it.
    eta_source: Option<EtaSource>,
}

/// Get the trip's driver
///
/// From the assignment to the end of the ride. Before and after, it is a 404 with the trip's state.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/driver", tag = "trips", operation_id = "get_trip_driver",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "Driver and car", body = AssignedDriver)))]
pub(super) async fn driver(
    request: Request<Participants>,
    supply: web::Data<Supply>,
    router: web::Data<Router>,
) -> HttpResult {
    let trip = visible_trip(&request).await?;
    let (Some(driver_id), true) = (trip.driver_id, trip.state.has_driver()) else {
        let refusal = Refusal::new(
            Code::NotFound,
            format!("The trip has no driver now: it is {}.", trip.state.as_str().replace('_', " ")),
        );
        return Err(refusal.with("state", trip.state.as_str()).into());
    };
    let driver = request.platform.db.read(driver_id, |conn, id| Box::pin(supply::store::find(conn, *id))).await?;
    let driver = driver.ok_or_else(|| Refusal::not_found("driver"))?;
    let now = request.platform.clock.domain();
    let known = eta::recent_position(&request.platform, &supply, &trip).await?;
    let eta = eta::current(&request.platform, &router, &trip, known).await?;
    Ok(HttpResponse::Ok().json(AssignedDriver {
        driver_id,
        name: driver.name,
        plate: driver.plate,
        class: driver.class,
        position: known.map(|known| known.position),
        position_age_ms: known.map(|known| known.age(now).num_milliseconds()),
        eta_s: eta.map(Eta::seconds),
        eta_source: eta.map(|eta| eta.source),
    }))
}

/// Returns the trip in the path.
///
/// # Errors
/// 404 if the caller may not see it.
pub(super) async fn visible_trip(request: &Request<Participants>) -> Result<Trip> {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    request.platform.db.read(input, |conn, (id, caller)| Box::pin(store::find_visible(conn, *id, *caller))).await
}

/// Returns which fields of a trip the caller may see.
pub(super) fn viewer(caller: Caller) -> Viewer {
    if caller.role == Role::Rider { Viewer::Rider } else { Viewer::Other }
}

fn scope(caller: Caller) -> TripScope {
    match caller.role {
        Role::Rider => TripScope::Rider(caller.subject.into()),
        Role::Driver => TripScope::Driver(caller.subject.into()),
        Role::Gateway | Role::Ops => TripScope::All,
    }
}
