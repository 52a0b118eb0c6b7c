//! The commands of a ride.

use actix_web::web;
use serde::Deserialize;
use utoipa::ToSchema;

use super::actor;
use super::trips::viewer;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{Audience, KeyHeader, VersionHeader};
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
/// As the rider: free before the assignment, within 120 s after it, and when the driver is silent; else for a fee. As the driver:
/// another one is looked for.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/cancel", tag = "trips", operation_id = "cancel_trip",
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn cancel(request: Request<RidersAndDrivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Cancel)).await
}

/// Be at the pickup
///
/// Within 150 m, by the last position sent.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/arrive", tag = "trips", operation_id = "arrive_at_pickup",
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn arrive(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Arrive)).await
}

/// What the rider tells the driver at the car.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartRequest {
    /// Four digits.
    #[schema(pattern = "^[0-9]{4}$")]
    pin: String,
}

/// Start the ride
///
/// With the rider's PIN. After five wrong ones an operator has to help.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/start", tag = "trips", operation_id = "start_trip",
    request_body = StartRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
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
/// The fare is final, and its capture is due.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/complete", tag = "trips", operation_id = "complete_trip",
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn complete(request: Request<DriversAndOperators>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::Complete)).await
}

/// Report that the rider did not come
///
/// 300 s after the arrival, for a fee.
#[utoipa::path(post, path = "/v1/trips/{trip_id}/no_show", tag = "trips", operation_id = "report_no_show",
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
pub(super) async fn no_show(request: Request<Drivers>, supply: web::Data<Supply>) -> Reply {
    deed(request, supply, |request| request.no_fields().map(|()| Deed::NoShow)).await
}

/// What an aborted trip costs.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortRequest {
    /// Nothing if absent; at most what was authorised.
    charge: Option<Money>,
}

/// End a trip as an operator
#[utoipa::path(post, path = "/v1/trips/{trip_id}/abort", tag = "ops", operation_id = "abort_trip",
    request_body = AbortRequest,
    params(("trip_id" = TripId, Path, description = "The trip"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The trip", body = TripBody)))]
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
#[utoipa::path(post, path = "/v1/trips/{trip_id}/pin/reset", tag = "ops",
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
