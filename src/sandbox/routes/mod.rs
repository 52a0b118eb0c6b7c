//! The sandbox's addresses.

mod clock;
mod console;
mod live;
mod machines;
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
    live::live,
    machines::machines,
    streets::streets,
    streets::put_streets,
))]
pub struct Api;

/// The room's addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    let (get, post, put) = (web::get, web::post, web::put);
    config
        .service(web::resource("/v1/sandbox/tokens").route(post().to(tokens::token)))
        .service(web::resource("/v1/sandbox/clock").route(get().to(clock::clock)).route(post().to(clock::set_clock)))
        .service(
            web::resource("/v1/sandbox/streets")
                .route(get().to(streets::streets))
                .route(put().to(streets::put_streets)),
        )
        .service(web::resource("/v1/sandbox/live").route(get().to(live::live)))
        .service(web::resource("/v1/sandbox/machines").route(get().to(machines::machines)))
        .configure(console::configure);
}
