//! The sandbox's addresses.

mod clock;
mod console;
mod live;
mod lives;
mod machines;
mod provider;
mod requests;
mod streets;
mod tokens;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{ResponseError, web};
use utoipa::OpenApi;

use crate::platform::http::Problem;
use crate::platform::http::strangers::{refuse_names, refuse_strangers};

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    tokens::token,
    clock::clock,
    clock::set_clock,
    requests::sql,
    lives::kill,
    lives::begin_anew,
    provider::faults,
    provider::plan,
    provider::heal,
    provider::view,
    provider::expire,
    live::live,
    machines::machines,
    streets::streets,
    streets::put_streets,
))]
pub struct Api;

/// The room's addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    let (get, post, put, delete) = (web::get, web::post, web::put, web::delete);
    let sandbox = web::scope("/v1/sandbox")
        .wrap(from_fn(guard))
        .service(web::resource("/tokens").route(post().to(tokens::token)))
        .service(web::resource("/clock").route(get().to(clock::clock)).route(post().to(clock::set_clock)))
        .service(web::resource("/requests/{trace_id}").route(get().to(requests::sql)))
        .service(web::resource("/kill").route(post().to(lives::kill)))
        .service(web::resource("/reset").route(post().to(lives::begin_anew)))
        .service(
            web::resource("/provider/faults")
                .route(get().to(provider::faults))
                .route(post().to(provider::plan))
                .route(delete().to(provider::heal)),
        )
        .service(web::resource("/provider/payment_intents/{payment_id}").route(get().to(provider::view)))
        .service(web::resource("/provider/payment_intents/{payment_id}/expire").route(post().to(provider::expire)))
        .service(web::resource("/streets").route(get().to(streets::streets)).route(put().to(streets::put_streets)))
        .service(web::resource("/live").route(get().to(live::live)))
        .service(web::resource("/machines").route(get().to(machines::machines)));
    config.service(sandbox).configure(console::configure);
}

/// Other people's pages must not play with a sandbox on somebody's machine: nobody needs a token here.
async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let headers = request.headers();
    match refuse_strangers(headers).and_then(|()| refuse_names(headers)) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(error) => Ok(request.into_response(Problem::from(error).error_response())),
    }
}
