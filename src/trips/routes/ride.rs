//! The commands to a trip.

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::actor;
use super::trips::viewer;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, NoFields, VersionHeader};
use crate::platform::http::{Audience, Drivers, DriversAndOperators, HttpResult, Operators, Request, RidersAndDrivers};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::pricing::model::CURRENCY;
use crate::supply::{KnownPosition, Supply, known_position};
use crate::trips::commands::{self, CommandRequest, Stamp, TripCommand};
use crate::trips::store;
use crate::trips::views::TripBody;

/// Executes a command to the trip in the path.
async fn execute<A: Audience>(
    request: Request<A>,
    known: Option<KnownPosition>,
    command: impl FnOnce(&Request<A>) -> Result<TripCommand>,
) -> HttpResult {
    let viewer = viewer(request.caller());
    request
        .command(
            |request| {
                Ok(CommandRequest {
                    trip_id: request.id::<TripId>("trip_id")?,
                    actor: actor(request.caller()),
                    command: command(request)?,
                    if_match: request.if_match()?,
                    known,
                    stamp: Stamp::new(&request.platform),
                })
            },
            |tx, request| Box::pin(commands::execute(tx, request)),
            move |trip| StoredResponse::ok(&TripBody::new(trip, viewer), trip.version),
        )
        .await
}

/// Returns what is known of the position of the trip's driver; `None` without a driver.
async fn known_of_driver<A: Audience>(request: &Request<A>, supply: &Supply) -> Result<Option<KnownPosition>> {
    // A malformed id is refused later, after the key.
    let Ok(trip) = request.id::<TripId>("trip_id") else { return Ok(None) };
    let platform = &request.platform;
    let driver = match request.caller().driver() {
        Some(driver) => Some(driver),
        None => {
            let trip = platform.db.read(trip, |conn, id| Box::pin(store::find(conn, *id))).await?;
            trip.and_then(|trip| trip.driver_id)
        }
    };
    match driver {
        Some(driver) => Ok(Some(known_position(platform, supply, driver).await?)),
        None => Ok(None),
    }
}

/// Cancel a trip
///
/// For the rider: free before the assignment, for 120 s after it, and if the driver sent no position for 180 s; otherwise for a fee. For
/// the driver: the driver is unassigned and the search starts again; the fourth time, the trip ends. If an accept comes at the same time,
/// one request wins and the other finds its result. A repeat of the caller's last command changes nothing.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/cancel", tag = "trips", operation_id = "cancel_trip",
    security(("rider" = []), ("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, cancelled, or searching again", body = TripBody)))]
pub(super) async fn cancel(request: Request<RidersAndDrivers>, supply: web::Data<Supply>) -> HttpResult {
    let known = known_of_driver(&request, &supply).await?;
    execute(request, known, |request| request.no_fields().map(|()| TripCommand::Cancel)).await
}

/// Arrive at the pickup
///
/// The driver's last position must be within 150 m of the pickup, and at most 30 s old. The rider then has 300 s to come. A process that
/// is not the matcher knows positions some seconds late: where that could matter, it answers 503 `not_the_matcher`.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/arrive", tag = "trips", operation_id = "arrive_at_pickup",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, arrived", body = TripBody)))]
pub(super) async fn arrive(request: Request<Drivers>, supply: web::Data<Supply>) -> HttpResult {
    let known = known_of_driver(&request, &supply).await?;
    execute(request, known, |request| request.no_fields().map(|()| TripCommand::Arrive)).await
}

/// The PIN of the rider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRequest {
    /// The PIN: four digits.
    #[schema(pattern = "^[0-9]{4}$", example = "4207")]
    pin: String,
}

/// Start the ride
///
/// Needs the rider's PIN, so that no rider gets into the wrong car. A wrong PIN is refused but counted, and does not use the idempotency
/// key. Five wrong PINs lock the start until an operator resets them.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/start", tag = "trips", operation_id = "start_trip",
    security(("driver" = [])), request_body = StartRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, in progress", body = TripBody)))]
pub(super) async fn start(request: Request<Drivers>) -> HttpResult {
    execute(request, None, |request| {
        let StartRequest { pin } = request.json()?;
        if pin.len() == 4 && pin.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(TripCommand::Start { pin });
        }
        let detail = "must be four digits";
        Err(Refusal::new(Code::InvalidRequest, format!("`pin` {detail}.")).field("/pin", detail).into())
    })
    .await
}

/// Complete the ride
///
/// The fare is the quoted price plus waiting over 120 s. It is captured after the response; the receipt shows the result. Operators may
/// complete a ride for a driver.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/complete", tag = "trips", operation_id = "complete_trip",
    security(("driver" = []), ("ops" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, completed", body = TripBody)))]
pub(super) async fn complete(request: Request<DriversAndOperators>) -> HttpResult {
    execute(request, None, |request| request.no_fields().map(|()| TripCommand::Complete)).await
}

/// Report a no-show
///
/// Possible from 300 s after the arrival; the rider pays a fee. An earlier report is refused with the seconds left.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/no_show", tag = "trips", operation_id = "report_no_show",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, over without a ride", body = TripBody)))]
pub(super) async fn no_show(request: Request<Drivers>) -> HttpResult {
    execute(request, None, |request| request.no_fields().map(|()| TripCommand::NoShow)).await
}

/// The charge for an aborted trip.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortRequest {
    /// The charge, in the currency of the price, at most the authorized amount. Absent for none.
    charge: Option<Money>,
}

/// Abort a trip
///
/// For a trip with a driver that cannot end normally. The rider pays nothing, or `charge`, which is at most the authorized amount.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/abort", tag = "ops", operation_id = "abort_trip",
    security(("ops" = [])), request_body = Option<AbortRequest>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, aborted", body = TripBody)))]
pub(super) async fn abort(request: Request<Operators>) -> HttpResult {
    execute(request, None, |request| {
        let body = if request.body.is_empty() { AbortRequest::default() } else { request.json()? };
        match body.charge {
            Some(charge) if charge.currency != CURRENCY => {
                let detail = format!("must be {CURRENCY}");
                Err(Refusal::new(Code::InvalidRequest, format!("The currency {detail}."))
                    .field("/charge/currency", detail)
                    .into())
            }
            charge => Ok(TripCommand::Abort { charge: charge.map(|charge| charge.amount) }),
        }
    })
    .await
}

/// Reset the wrong PINs of a trip
///
/// Five wrong PINs lock the start. The reset sets the count to zero; the PIN stays the same.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/pin/reset", tag = "ops", operation_id = "reset_pin",
    security(("ops" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn reset_pin(request: Request<Operators>) -> HttpResult {
    let viewer = viewer(request.caller());
    request
        .command(
            |request| {
                request.no_fields()?;
                Ok((request.id::<TripId>("trip_id")?, request.if_match()?))
            },
            |tx, input| Box::pin(commands::reset_pin(tx, input)),
            move |trip| StoredResponse::ok(&TripBody::new(trip, viewer), trip.version),
        )
        .await
}
