//! A driver's offers.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::db::Conn;
use crate::platform::error::{Error, Result};
use crate::platform::http::request::{KeyHeader, NoFields};
use crate::platform::http::{Drivers, Reply, Request};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{DriverId, Id, OfferId};
use crate::platform::page::{Page, PageQuery, PageRequest};
use crate::trips::commands::{self, Stamp};
use crate::trips::machine::Trip;
use crate::trips::offer::Offer;
use crate::trips::store;
use crate::trips::views::{OfferBody, TripBody, Viewer};

/// List your offers
///
/// Newest first, the pending one and all that were answered, have expired or were taken back.
#[utoipa::path(get, path = "/v1/offers", tag = "drivers", operation_id = "list_offers", security(("driver" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of offers", body = Page<OfferBody>)))]
pub(super) async fn list(request: Request<Drivers>) -> Reply {
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

async fn with_trips(conn: &mut Conn, driver: DriverId, page: PageRequest) -> Result<Vec<(Offer, Trip)>> {
    let mut found = Vec::new();
    for offer in store::offers_of(conn, driver, page).await? {
        let trip = store::find(conn, offer.trip_id).await?;
        let trip = trip.ok_or_else(|| Error::Bug(format!("{} has no trip", offer.id)))?;
        found.push((offer, trip));
    }
    Ok(found)
}

/// An offer, and the trip that came of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AcceptedBody {
    /// The offer, accepted.
    offer: OfferBody,
    /// The trip as it was right after the accept.
    trip: TripBody,
}

/// An offer after the answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeclinedBody {
    /// The offer, declined.
    offer: OfferBody,
}

fn answer(request: &Request<Drivers>) -> Result<commands::Answer> {
    let Some(driver_id) = request.caller().driver() else { unreachable!("the audience is drivers") };
    request.no_fields()?;
    Ok(commands::Answer {
        offer_id: request.id::<OfferId>("offer_id")?,
        driver_id,
        stamp: Stamp::new(&request.platform),
    })
}

/// Take the trip
///
/// Within the 15 seconds that the offer lives. Too late is a 410, whether the clock or somebody else ended it; a trip that went to another
/// driver is a 409. When the rider cancels at the same moment, one of the two is first and the other is told. Repeating an accept is
/// harmless, under any key: the trip is yours already.
#[utoipa::path(post, path = "/v1/offers/{offer_id}/accept", tag = "drivers", operation_id = "accept_offer",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("offer_id" = OfferId, Path, description = "The offer"), KeyHeader),
    responses((status = 200, description = "The offer, accepted, and the trip, assigned", body = AcceptedBody)))]
pub(super) async fn accept(request: Request<Drivers>) -> Reply {
    request
        .command(
            answer,
            |tx, input| Box::pin(commands::accept(tx, input)),
            |(offer, trip)| {
                let body =
                    AcceptedBody { offer: OfferBody::new(offer, trip), trip: TripBody::new(trip, Viewer::Other) };
                Answer::ok(&body, trip.version)
            },
        )
        .await
}

/// Let the trip go
///
/// You will not be asked for it again, and the search goes on at once. Saying nothing for 15 seconds comes to the same, later.
#[utoipa::path(post, path = "/v1/offers/{offer_id}/decline", tag = "drivers", operation_id = "decline_offer",
    security(("driver" = [])), request_body = Option<NoFields>,
    params(("offer_id" = OfferId, Path, description = "The offer"), KeyHeader),
    responses((status = 200, description = "The offer, declined", body = DeclinedBody)))]
pub(super) async fn decline(request: Request<Drivers>) -> Reply {
    request
        .command(
            answer,
            |tx, input| Box::pin(commands::decline(tx, input)),
            |(offer, trip)| Answer::ok(&DeclinedBody { offer: OfferBody::new(offer, trip) }, trip.version),
        )
        .await
}
