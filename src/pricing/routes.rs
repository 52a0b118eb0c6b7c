//! `POST /v1/quotes`.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, NewQuote};
use super::store::Quote;
use crate::geo::Position;
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::http::{Reply, Request, Riders};
use crate::platform::ids::QuoteId;
use crate::platform::money::Money;

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(quote))]
pub struct Api;

/// The room's addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/quotes").route(web::post().to(quote)));
}

/// Where to, and in what.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuoteRequest {
    /// Where the ride starts.
    pickup: Position,
    /// Where it ends. Too far to drive is a 422.
    dropoff: Position,
    /// The class of car; `standard` if absent.
    #[serde(default = "standard")]
    #[schema(default = "standard")]
    class: VehicleClass,
}

fn standard() -> VehicleClass {
    VehicleClass::Standard
}

/// A price, promised until it expires or a trip uses it up.
#[derive(Debug, Serialize, ToSchema)]
struct QuoteBody {
    /// The quote: give it to `POST /v1/trips`.
    id: QuoteId,
    /// What the ride will cost, waiting beyond 120 s apart.
    price: Money,
    /// The factor that demand puts on the price, with two decimals.
    #[schema(pattern = r"^[0-9]+\.[0-9]{2}$", example = "1.00")]
    surge: String,
    /// Length of the drive, metres.
    #[schema(minimum = 0)]
    distance_m: i64,
    /// Time of the drive, seconds.
    #[schema(minimum = 0)]
    duration_s: i64,
    /// The class of car that is priced.
    class: VehicleClass,
    /// Where the ride starts.
    pickup: Position,
    /// Where it ends.
    dropoff: Position,
    /// The promise ends here: two minutes after it was made (domain time).
    expires_at: DomainTime,
}

impl From<&Quote> for QuoteBody {
    fn from(quote: &Quote) -> Self {
        Self {
            id: quote.id,
            price: quote.price(),
            surge: format!("{}.{:02}", quote.surge_bp / 10_000, quote.surge_bp % 10_000 / 100),
            distance_m: quote.leg.distance_m,
            duration_s: quote.leg.duration_s,
            class: quote.class,
            pickup: quote.pickup,
            dropoff: quote.dropoff,
            expires_at: quote.expires_at,
        }
    }
}

/// Ask what a ride would cost
///
/// The price is promised for two minutes of domain time and makes one trip. Nothing is reserved by asking, so it needs no key: asking
/// twice makes two quotes, and the one that is not used expires.
#[utoipa::path(post, path = "/v1/quotes", tag = "quotes", operation_id = "create_quote", security(("rider" = [])),
    request_body = QuoteRequest,
    responses((status = 201, description = "The price, promised", body = QuoteBody)))]
async fn quote(request: Request<Riders>) -> Reply {
    let Some(rider_id) = request.caller().rider() else { unreachable!("the audience is riders") };
    let body: QuoteRequest = request.json()?;
    let platform = &request.platform;
    let new = NewQuote {
        id: platform.dice.id(platform.clock.machine()),
        rider_id,
        class: body.class,
        pickup: body.pickup,
        dropoff: body.dropoff,
        now: platform.clock.domain(),
    };
    let quote = platform.db.transaction(new, |tx, new| Box::pin(commands::quote(tx, new))).await?;
    Ok(HttpResponse::Created().json(QuoteBody::from(&quote)))
}
