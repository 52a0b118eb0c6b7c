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

use actix_web::web;
use utoipa::OpenApi;

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
    config
        .service(web::resource("/v1/sandbox/tokens").route(post().to(tokens::token)))
        .service(web::resource("/v1/sandbox/clock").route(get().to(clock::clock)).route(post().to(clock::set_clock)))
        .service(web::resource("/v1/sandbox/requests/{trace_id}").route(get().to(requests::sql)))
        .service(web::resource("/v1/sandbox/kill").route(post().to(lives::kill)))
        .service(web::resource("/v1/sandbox/reset").route(post().to(lives::begin_anew)))
        .service(
            web::resource("/v1/sandbox/provider/faults")
                .route(get().to(provider::faults))
                .route(post().to(provider::plan))
                .route(delete().to(provider::heal)),
        )
        .service(web::resource("/v1/sandbox/provider/payment_intents/{payment_id}").route(get().to(provider::view)))
        .service(
            web::resource("/v1/sandbox/provider/payment_intents/{payment_id}/expire")
                .route(post().to(provider::expire)),
        )
        .service(
            web::resource("/v1/sandbox/streets")
                .route(get().to(streets::streets))
                .route(put().to(streets::put_streets)),
        )
        .service(web::resource("/v1/sandbox/live").route(get().to(live::live)))
        .service(web::resource("/v1/sandbox/machines").route(get().to(machines::machines)))
        .configure(console::configure);
}
