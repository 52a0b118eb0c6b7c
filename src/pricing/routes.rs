//! `POST /v1/quotes`.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, NewQuote};
use super::store::Quote;
use crate::demand::Demand;
use crate::demand::views::SurgeBody;
use crate::geo::{EtaSource, Position, Router};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::error::Error;
use crate::platform::http::{HttpResult, Request, Riders};
use crate::platform::ids::QuoteId;
use crate::platform::money::Money;

/// The OpenAPI document of these routes.
#[derive(Debug, OpenApi)]
#[openapi(paths(quote))]
pub struct Api;

/// Registers the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/quotes").route(web::post().to(quote)));
}

/// A drive to be quoted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuoteRequest {
    /// The start of the ride.
    pickup: Position,
    /// The end of the ride. Too long a drive is a 422.
    dropoff: Position,
    /// The class of car. Defaults to `standard`.
    #[serde(default = "standard")]
    #[schema(default = "standard")]
    class: VehicleClass,
}

fn standard() -> VehicleClass {
    VehicleClass::Standard
}

/// A price, valid until it expires or a trip redeems it.
#[derive(Debug, Serialize, ToSchema)]
struct QuoteBody {
    /// The id, for `POST /v1/trips`.
    id: QuoteId,
    /// The price of the ride, without waiting over 120 s.
    price: Money,
    /// The surge at the pickup. The price keeps it, whatever comes later.
    surge: SurgeBody,
    /// The length of the drive, meters.
    #[schema(minimum = 0)]
    distance_m: i64,
    /// The duration of the drive, seconds.
    #[schema(minimum = 0)]
    duration_s: i64,
    /// What length and duration were computed from.
    eta_source: EtaSource,
    /// The class of car.
    class: VehicleClass,
    /// The start of the ride.
    pickup: Position,
    /// The end of the ride.
    dropoff: Position,
    /// When the quote expires, two minutes after it was made (domain time).
    expires_at: DomainTime,
}

impl From<&Quote> for QuoteBody {
    fn from(quote: &Quote) -> Self {
        Self {
            id: quote.id,
            price: quote.price(),
            surge: quote.surge.clone().into(),
            distance_m: quote.leg.distance_m,
            duration_s: quote.leg.duration_s,
            eta_source: quote.eta_source,
            class: quote.class,
            pickup: quote.pickup,
            dropoff: quote.dropoff,
            expires_at: quote.expires_at,
        }
    }
}

/// Quote a ride
///
/// Length and duration are those of the fastest drive along the streets, if the service has a map of them. The price is valid for two minutes
/// of domain time and for one trip. It includes the surge at the pickup, and says why. A quote reserves nothing, so the request needs no
/// idempotency key: a
/// repeat makes a second quote, and the unused one expires.
#[utoipa::path(post, path = "/v1/quotes", tag = "quotes", operation_id = "create_quote", security(("rider" = [])),
    request_body = QuoteRequest,
    responses((status = 201, description = "The quote", body = QuoteBody)))]
async fn quote(request: Request<Riders>, router: web::Data<Router>, demand: web::Data<Demand>) -> HttpResult {
    let Some(rider_id) = request.caller().rider() else { unreachable!("the audience is riders") };
    let body: QuoteRequest = request.json()?;
    let platform = &request.platform;
    let (map, pickup, dropoff) = (router.map(), body.pickup, body.dropoff);
    // On a large map, a long drive computes for milliseconds.
    let drive = web::block(move || map.drive(pickup, dropoff)).await.map_err(|error| Error::Bug(error.to_string()))?;
    platform.metrics.drives.with_label_values(&[drive.source.as_str()]).inc();
    let new = NewQuote {
        id: platform.random.id(platform.clock.machine()),
        rider_id,
        class: body.class,
        pickup,
        dropoff,
        drive,
        surge: demand.surge_at(pickup, &platform.clock),
        now: platform.clock.domain(),
    };
    let quote = platform.db.transaction(new, |tx, new| Box::pin(commands::quote(tx, new))).await?;
    Ok(HttpResponse::Created().json(QuoteBody::from(&quote)))
}
