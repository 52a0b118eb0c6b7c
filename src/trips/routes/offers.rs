//! The driver's offers.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::db::Conn;
use crate::platform::error::{Error, Refusal, Result};
use crate::platform::http::request::{KeyHeader, NoFields};
use crate::platform::http::{Drivers, DriversAndOperators, HttpResult, Request};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::{DriverId, Id, OfferId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use crate::trips::commands::{self, Stamp};
use crate::trips::offer::Offer;
use crate::trips::state_machine::Trip;
use crate::trips::store;
use crate::trips::views::{OfferBody, TripBody, Viewer};

/// List the driver's offers
///
/// Returns the offers made to the driver, newest first, with any status.
#[utoipa::path(get, path = "/v1/offers", tag = "offers", operation_id = "list_offers", security(("driver" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of offers", body = Page<OfferBody>)))]
pub(super) async fn list(request: Request<Drivers>) -> HttpResult {
    let Some(driver) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let page = request.query::<PageQuery>()?.read()?;
    let offers = request
        .platform
        .db
        .read((driver, page), |conn, (driver, page)| Box::pin(with_trips(conn, *driver, *page)))
        .await?;
    let page = Page::new(offers, page, |(offer, _)| offer.id.uuid());
    let items = page.items.iter().map(|(offer, trip)| OfferBody::new(offer, trip)).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Get an offer
///
/// For the driver it was made to and for operators, with any status; a 404 for other drivers.
#[utoipa::path(get, path = "/v1/offers/{offer_id}", tag = "offers", operation_id = "get_offer",
    security(("driver" = []), ("ops" = [])),
    params(("offer_id" = OfferId, Path, description = "The offer")),
    responses((status = 200, description = "The offer", body = OfferBody)))]
pub(super) async fn get(request: Request<DriversAndOperators>) -> HttpResult {
    let input = (request.id::<OfferId>("offer_id")?, request.caller().driver());
    let found = request.platform.db.read(input, |conn, (id, driver)| {
        Box::pin(async move {
            let offer = store::find_offer(conn, *id).await?;
            let offer = offer.filter(|offer| driver.is_none_or(|driver| driver == offer.driver_id));
            let offer = offer.ok_or_else(|| Refusal::not_found("offer"))?;
            with_trip(conn, offer).await
        })
    });
    let (offer, trip) = found.await?;
    Ok(HttpResponse::Ok().json(OfferBody::new(&offer, &trip)))
}

async fn with_trip(conn: &mut Conn, offer: Offer) -> Result<(Offer, Trip)> {
    let trip = store::find(conn, offer.trip_id).await?;
    let trip = trip.ok_or_else(|| Error::Bug(format!("{} has no trip", offer.id)))?;
    Ok((offer, trip))
}

async fn with_trips(conn: &mut Conn, driver: DriverId, page: PageRequest) -> Result<Vec<(Offer, Trip)>> {
    let mut found = Vec::new();
    for offer in store::offers_of(conn, driver, page).await? {
        found.push(with_trip(conn, offer).await?);
    }
    Ok(found)
}

/// An accepted offer and its trip.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedBody {
    /// The offer, accepted.
    offer: OfferBody,
    /// The trip right after the accept.
    trip: TripBody,
}

/// A declined offer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeclinedBody {
    /// The offer, declined.
    offer: OfferBody,
}

fn answer(request: &Request<Drivers>) -> Result<commands::OfferResponse> {
    let Some(driver_id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    request.no_fields()?;
    Ok(commands::OfferResponse {
        offer_id: request.id::<OfferId>("offer_id")?,
        driver_id,
        stamp: Stamp::new(&request.platform),
    })
}

/// Accept an offer
///
/// Possible for 15 s. An expired or withdrawn offer is a 410; a trip assigned to another driver is a 409. If the rider cancels at the
/// same time, one request wins and the other gets an error. A repeated accept returns the accepted offer, with any idempotency key.
#[utoipa::path(post, path = "/v1/offers/{offer_id}/accept", tag = "offers", operation_id = "accept_offer",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("offer_id" = OfferId, Path, description = "The offer"), KeyHeader),
    responses((status = 200, description = "The offer, accepted, and the trip, assigned", body = AcceptedBody)))]
pub(super) async fn accept(request: Request<Drivers>) -> HttpResult {
    request
        .command(
            answer,
            |tx, input| Box::pin(commands::accept(tx, input)),
            |(offer, trip)| {
                let body =
                    AcceptedBody { offer: OfferBody::new(offer, trip), trip: TripBody::new(trip, Viewer::Other) };
                StoredResponse::ok(&body, trip.version)
            },
        )
        .await
}

/// Decline an offer
///
/// The search resumes at once, and the driver gets no other offer for this trip. An offer without an answer has the same effect after
/// 15 s.
#[utoipa::path(post, path = "/v1/offers/{offer_id}/decline", tag = "offers", operation_id = "decline_offer",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("offer_id" = OfferId, Path, description = "The offer"), KeyHeader),
    responses((status = 200, description = "The offer, declined", body = DeclinedBody)))]
pub(super) async fn decline(request: Request<Drivers>) -> HttpResult {
    request
        .command(
            answer,
            |tx, input| Box::pin(commands::decline(tx, input)),
            |(offer, trip)| StoredResponse::ok(&DeclinedBody { offer: OfferBody::new(offer, trip) }, trip.version),
        )
        .await
}
