//! The commands of a ride.

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::actor;
use super::trips::viewer;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{Audience, KeyHeader, NoFields, VersionHeader};
use crate::platform::http::{Drivers, DriversAndOperators, Operators, Reply, Request, RidersAndDrivers};
use crate::platform::idempotency::Answer;
use crate::platform::ids::TripId;
use crate::platform::money::Money;
use crate::pricing::model::CURRENCY;
use crate::supply::Supply;
use crate::trips::commands::{self, Act, Deed, Facts, Stamp};
use crate::trips::store;
use crate::trips::views::TripBody;

/// Does a deed to the trip in the path.
async fn deed<A: Audience>(
    request: Request<A>,
    supply: web::Data<Supply>,
    deed: impl FnOnce(&Request<A>) -> Result<Deed>,
) -> Reply {
    let id = request.id::<TripId>("trip_id");
    let viewer = viewer(request.caller());
    let facts = match &id {
        Ok(id) => facts(&request, &supply, *id).await?,
        Err(_) => Facts::default(),
    };
    request
        .command(
            |request| {
                Ok(Act {
                    trip_id: id?,
                    by: actor(request.caller()),
                    deed: deed(request)?,
                    if_match: request.if_match()?,
                    facts,
                    stamp: Stamp::new(&request.platform),
                })
            },
            |tx, act| Box::pin(commands::act(tx, act)),
            move |trip| Answer::ok(&TripBody::new(trip, viewer), trip.version),
        )
        .await
}

/// What memory knows about the trip's driver, fresher than the database.
async fn facts<A: Audience>(request: &Request<A>, supply: &Supply, trip: TripId) -> Result<Facts> {
    let driver = match request.caller().driver() {
        Some(driver) => Some(driver),
        None => request
            .platform
            .db
            .read(trip, |conn, id| Box::pin(store::find(conn, *id)))
            .await?
            .and_then(|trip| trip.driver_id),
    };
    let known = driver.and_then(|driver| supply.position(driver));
    Ok(Facts { position: known.map(|known| known.position), heard_at: known.map(|known| known.received_at) })
}

/// Call a trip off
///
/// As the rider: free before the assignment, within 120 s after it, and when the driver has been silent for 180 s; else for a fee. As the
/// driver: the search goes on without you, and the fourth time a trip loses its driver it ends. When an accept comes at the same moment,
/// one of the two is first, and the other is answered by the state that it finds. A repeat of your last step changes nothing.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/cancel", tag = "trips", operation_id = "cancel_trip",
    security(("rider" = []), ("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, called off or searching again", body = TripBody)))]
pub(super) async fn cancel(request: Request<RidersAndDrivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Cancel)).await
}

/// Be at the pickup
///
/// Within 150 m of it, by the last position that you sent: send one first. From here on the rider has 300 s to come.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/arrive", tag = "trips", operation_id = "arrive_at_pickup",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, arrived", body = TripBody)))]
pub(super) async fn arrive(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Arrive)).await
}

/// What the rider tells the driver at the car.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRequest {
    /// The PIN: four digits.
    #[schema(pattern = "^[0-9]{4}$", example = "4207")]
    pin: String,
}

/// Start the ride
///
/// With the four digits that the rider tells you: so nobody gets into the wrong car. A wrong PIN is counted although it is refused, and
/// uses up no key; after five of them the trip is locked, and an operator has to reset it.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/start", tag = "trips", operation_id = "start_trip",
    security(("driver" = [])), request_body = StartRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, in progress", body = TripBody)))]
pub(super) async fn start(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| {
        let StartRequest { pin } = request.json()?;
        if pin.len() == 4 && pin.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Deed::Start { pin });
        }
        let detail = "must be four digits";
        Err(Refusal::new(Code::InvalidRequest, format!("`pin` {detail}.")).field("/pin", detail).into())
    })
    .await
}

/// End the ride
///
/// The fare is final: the promised price, and the waiting beyond 120 s. Its capture is due, and happens after this answers; the receipt
/// shows what became of it. Operators may do it in a driver's place.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/complete", tag = "trips", operation_id = "complete_trip",
    security(("driver" = []), ("ops" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, completed", body = TripBody)))]
pub(super) async fn complete(request: Request<DriversAndOperators>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Complete)).await
}

/// Report that the rider did not come
///
/// From 300 s after the arrival on, for a fee that the rider pays. Before that it is refused, with the seconds that are left.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/no_show", tag = "trips", operation_id = "report_no_show",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, over without a ride", body = TripBody)))]
pub(super) async fn no_show(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::NoShow)).await
}

/// What an aborted trip costs.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortRequest {
    /// What the rider pays, in the currency of the price; nothing if absent, at most what was authorised.
    charge: Option<Money>,
}

/// End a trip as an operator
///
/// For a trip with a driver that cannot end as it should. It costs the rider nothing, unless `charge` says otherwise: at most what was
/// authorised.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/abort", tag = "ops", operation_id = "abort_trip",
    security(("ops" = [])), request_body = Option<AbortRequest>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip, aborted", body = TripBody)))]
pub(super) async fn abort(request: Request<Operators>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| {
        let body = if request.body.is_empty() { AbortRequest::default() } else { request.json()? };
        match body.charge {
            Some(charge) if charge.currency != CURRENCY => {
                let detail = format!("must be {CURRENCY}");
                Err(Refusal::new(Code::InvalidRequest, format!("The currency {detail}."))
                    .field("/charge/currency", detail)
                    .into())
            }
            charge => Ok(Deed::Abort { charge: charge.map(|charge| charge.amount) }),
        }
    })
    .await
}

/// Forget the wrong PINs of a trip
///
/// After five of them the driver cannot start the ride any more, and calls. The PIN stays the same: only the count is forgotten.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/pin/reset", tag = "ops", operation_id = "reset_pin",
    security(("ops" = [])), request_body = Option<NoFields>,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn reset_pin(request: Request<Operators>) -> Reply {
    let viewer = viewer(request.caller());
    request
        .command(
            |request| {
                request.no_fields()?;
                Ok((request.id::<TripId>("trip_id")?, request.if_match()?))
            },
            |tx, input| Box::pin(commands::reset_pin(tx, input)),
            move |trip| Answer::ok(&TripBody::new(trip, viewer), trip.version),
        )
        .await
}
