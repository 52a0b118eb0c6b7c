//! The routes of trips, offers and drivers.

mod drivers;
mod offers;
mod receipt;
mod ride;
mod stream;
mod streams;
mod tip;
mod trips;

use actix_web::web;
use utoipa::OpenApi;

use super::commands::Actor;
use crate::platform::auth::{Caller, Role};

/// The OpenAPI document of these routes.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    trips::request,
    trips::list,
    trips::get,
    trips::driver,
    receipt::receipt,
    streams::trip_events,
    ride::cancel,
    ride::arrive,
    ride::start,
    ride::complete,
    ride::no_show,
    ride::abort,
    ride::reset_pin,
    tip::tip,
    offers::list,
    offers::get,
    offers::accept,
    offers::decline,
    drivers::me,
    drivers::availability,
    streams::driver_events,
    stream::driver_stream,
))]
pub struct Api;

/// Registers the routes.
pub fn configure(config: &mut web::ServiceConfig) {
    let post = web::post;
    config
        .service(web::resource("/v1/trips").route(web::get().to(trips::list)).route(post().to(trips::request)))
        .service(web::resource("/v1/trips/{trip_id}").route(web::get().to(trips::get)))
        .service(web::resource("/v1/trips/{trip_id}/driver").route(web::get().to(trips::driver)))
        .service(web::resource("/v1/trips/{trip_id}/receipt").route(web::get().to(receipt::receipt)))
        .service(web::resource("/v1/trips/{trip_id}/events").route(web::get().to(streams::trip_events)))
        .service(web::resource("/v1/trips/{trip_id}/cancel").route(post().to(ride::cancel)))
        .service(web::resource("/v1/trips/{trip_id}/arrive").route(post().to(ride::arrive)))
        .service(web::resource("/v1/trips/{trip_id}/start").route(post().to(ride::start)))
        .service(web::resource("/v1/trips/{trip_id}/complete").route(post().to(ride::complete)))
        .service(web::resource("/v1/trips/{trip_id}/no_show").route(post().to(ride::no_show)))
        .service(web::resource("/v1/trips/{trip_id}/abort").route(post().to(ride::abort)))
        .service(web::resource("/v1/trips/{trip_id}/tip").route(post().to(tip::tip)))
        .service(web::resource("/v1/trips/{trip_id}/pin/reset").route(post().to(ride::reset_pin)))
        .service(web::resource("/v1/offers").route(web::get().to(offers::list)))
        .service(web::resource("/v1/offers/{offer_id}").route(web::get().to(offers::get)))
        .service(web::resource("/v1/offers/{offer_id}/accept").route(post().to(offers::accept)))
        .service(web::resource("/v1/offers/{offer_id}/decline").route(post().to(offers::decline)))
        .service(web::resource("/v1/drivers/me").route(web::get().to(drivers::me)))
        .service(web::resource("/v1/drivers/me/availability").route(web::put().to(drivers::availability)))
        .service(web::resource("/v1/drivers/me/events").route(web::get().to(streams::driver_events)))
        .service(web::resource("/v1/drivers/me/stream").route(web::get().to(stream::driver_stream)));
}

/// Returns the caller as the actor of a command.
fn actor(caller: Caller) -> Actor {
    match caller.role {
        Role::Rider => Actor::Rider(caller.subject.into()),
        Role::Driver => Actor::Driver(caller.subject.into()),
        Role::Gateway | Role::Ops => Actor::Ops(caller.subject),
    }
}
