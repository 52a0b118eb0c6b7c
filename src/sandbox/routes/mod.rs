//! The sandbox's routes.

mod audits;
mod book;
mod clock;
pub(crate) mod console;
mod live;
mod objects;
pub(crate) mod openapi;
mod process;
mod provider;
mod rehearsal;
mod requests;
mod route;
mod state_machines;
mod streets;
mod timeline;
mod tokens;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{ResponseError, web};
use utoipa::OpenApi;

pub use rehearsal::serve_partners;

use crate::platform::http::Problem;
use crate::platform::http::origin_check::{check_host, check_origin};

/// The sandbox's part of the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    tokens::create,
    audits::latest,
    clock::clock,
    clock::set_clock,
    requests::sql,
    timeline::timeline,
    objects::object,
    process::kill,
    process::reset,
    provider::faults,
    provider::plan,
    provider::clear,
    provider::view,
    provider::expire,
    live::live,
    state_machines::list,
    streets::streets,
    streets::put_streets,
    route::route,
), tags((name = "sandbox", description = "Tokens, clock, faults and reset for the demo. Not part of the production build.")))]
pub struct Api;

/// Registers the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    let (get, post, put, delete) = (web::get, web::post, web::put, web::delete);
    let sandbox = web::scope("/v1/sandbox")
        .wrap(from_fn(guard))
        .service(web::resource("/tokens").route(post().to(tokens::create)))
        .service(web::resource("/audit").route(get().to(audits::latest)))
        .service(web::resource("/clock").route(get().to(clock::clock)).route(post().to(clock::set_clock)))
        .service(web::resource("/requests/{trace_id}").route(get().to(requests::sql)))
        .service(web::resource("/timeline/{id}").route(get().to(timeline::timeline)))
        .service(web::resource("/objects/{id}").route(get().to(objects::object)))
        .service(web::resource("/kill").route(post().to(process::kill)))
        .service(web::resource("/reset").route(post().to(process::reset)))
        .service(
            web::resource("/provider/faults")
                .route(get().to(provider::faults))
                .route(post().to(provider::plan))
                .route(delete().to(provider::clear)),
        )
        .service(web::resource("/provider/payment_intents/{payment_id}").route(get().to(provider::view)))
        .service(web::resource("/provider/payment_intents/{payment_id}/expire").route(post().to(provider::expire)))
        .service(web::resource("/streets").route(get().to(streets::streets)).route(put().to(streets::put_streets)))
        .service(web::resource("/route").route(get().to(route::route)))
        .service(web::resource("/live").route(get().to(live::live)))
        .service(web::resource("/state_machines").route(get().to(state_machines::list)));
    config.service(sandbox).configure(console::configure).configure(book::configure).configure(rehearsal::configure);
}

/// Refuses requests from pages of other sites, because these routes need no token.
async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let headers = request.headers();
    match check_origin(headers).and_then(|()| check_host(headers)) {
        Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(error) => Ok(request.into_response(Problem::from(error).error_response())),
    }
}
