//! The control door under `/sim`: bad days, books, and what only a provider can do by itself. Needs the secret key, but
//! for the health check; speaks JSON.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::accounts::Snapshot;
use crate::books::Line;
use crate::errors::ApiError;
use crate::faults::Fault;
use crate::http::{Credentials, Shared, app_data, respond, unrecognized};
use crate::mailbox::Event;
use crate::params::Params;
use crate::plan::{FAULTS_MAX, Seeds};
use crate::provider::JournalBroken;

/// The longest body: a plan of [`FAULTS_MAX`] faults with every field.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Adds the routes.
pub fn routes(config: &mut web::ServiceConfig) {
    let open = web::resource("/sim/health").route(web::get().to(health)).default_service(web::to(unrecognized));
    let locked = web::scope("/sim")
        .wrap(from_fn(admit))
        .route("/faults", web::get().to(show_faults))
        .route("/faults", web::put().to(plan_faults))
        .route("/faults", web::delete().to(heal))
        .route("/books", web::get().to(books))
        .route("/books", web::delete().to(begin_anew))
        .route("/payment_intents/{id}/expire", web::post().to(expire))
        .route("/events", web::get().to(events))
        .route("/events/{id}/resend", web::post().to(resend))
        .route("/webhooks/flush", web::post().to(flush))
        .default_service(web::to(unrecognized));
    config.service(open).service(locked);
}

async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if app_data::<web::Data<Credentials>>(&request).admit(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(respond(ApiError::unauthorized().into())))
}

async fn health(provider: Shared) -> HttpResponse {
    match provider.transact(|_| ()).await {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(broken) => HttpResponse::InternalServerError().json(json!({ "status": broken.to_string() })),
    }
}

/// The whole books, or what there is of one payment.
async fn books(provider: Shared, request: HttpRequest) -> HttpResponse {
    let wanted = match payment_intent(&request) {
        Ok(wanted) => wanted,
        Err(error) => return respond(error.into()),
    };
    match provider.transact(|state| Snapshot::of(&state.books, wanted.as_deref())).await {
        Ok(snapshot) => HttpResponse::Ok().json(snapshot.shown()),
        Err(JournalBroken) => respond(ApiError::internal().into()),
    }
}

/// Forgets every payment, refund, key and event.
async fn begin_anew(provider: Shared) -> HttpResponse {
    let line = Line { begins_anew: true, ..Line::default() };
    match provider.transact(|state| state.post(&line)).await {
        Ok(()) => HttpResponse::Ok().json(json!({ "forgotten": true })),
        Err(JournalBroken) => respond(ApiError::internal().into()),
    }
}

/// The payment that the query names, if it names one.
fn payment_intent(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut params = Params::parse(request.query_string().as_bytes())?;
    let payment_intent = params.text("payment_intent")?;
    params.finish()?;
    Ok(payment_intent)
}

async fn show_faults(provider: Shared) -> HttpResponse {
    HttpResponse::Ok().json(provider.bad_days.plan().shown())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFaults {
    faults: Vec<Fault>,
    /// The provider's own unless told.
    seed: Option<u64>,
    /// For the faults of webhooks; `seed` unless told.
    webhook_seed: Option<u64>,
}

async fn plan_faults(provider: Shared, body: web::Payload) -> HttpResponse {
    let body = match body.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return respond(ApiError::invalid("The request's body could not be read.").into()),
        Err(_) => return respond(ApiError::body_too_long().into()),
    };
    match read_plan(&body) {
        Ok(PlanFaults { faults, seed, webhook_seed }) => {
            let seeds = seed
                .or(webhook_seed)
                .map(|other| Seeds { seed: seed.unwrap_or(other), webhook_seed: webhook_seed.unwrap_or(other) });
            provider.bad_days.replace(faults, seeds);
            show_faults(provider).await
        }
        Err(error) => respond(error.into()),
    }
}

fn read_plan(body: &[u8]) -> Result<PlanFaults, ApiError> {
    let plan: PlanFaults =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid(error.to_string()).param("faults"))?;
    if plan.faults.len() > FAULTS_MAX {
        return Err(ApiError::invalid(format!("A plan has at most {FAULTS_MAX} faults.")).param("faults"));
    }
    for (place, fault) in plan.faults.iter().enumerate() {
        fault.check().map_err(|(field, message)| {
            ApiError::invalid(format!("Invalid {field}: {message}.")).param(&format!("faults[{place}][{field}]"))
        })?;
    }
    Ok(plan)
}

async fn heal(provider: Shared) -> HttpResponse {
    provider.bad_days.heal();
    show_faults(provider).await
}

async fn expire(provider: Shared, id: web::Path<String>) -> HttpResponse {
    respond(provider.expire(&id).await)
}

/// How many events are shown at most.
const EVENTS_SHOWN_MAX: usize = 1_000;

/// The events of one payment, or of all: those that wait, the newest first, then the others.
async fn events(provider: Shared, request: HttpRequest) -> HttpResponse {
    let wanted = match payment_intent(&request) {
        Ok(wanted) => wanted,
        Err(error) => return respond(error.into()),
    };
    let found = provider.look_up(|state| {
        let shown = |(event, is_pending): (&Arc<Event>, bool)| {
            let Event { id, kind, payment_intent, .. } = event.as_ref();
            json!({ "id": id, "type": kind, "payment_intent": payment_intent, "pending": is_pending })
        };
        let events = state.books.events();
        let pending = events.pending().rev().map(|event| (event, true));
        let all = pending.chain(events.settled().rev().map(|event| (event, false)));
        let wanted = all.filter(|(event, _)| wanted.as_ref().is_none_or(|wanted| *wanted == event.payment_intent));
        Ok(json!({ "events": wanted.take(EVENTS_SHOWN_MAX).map(shown).collect::<Vec<_>>() }))
    });
    match found.await {
        Ok(events) => HttpResponse::Ok().json(events),
        Err(error) => respond(error.into()),
    }
}

async fn resend(provider: Shared, id: web::Path<String>) -> HttpResponse {
    let waits_again = provider.look_up(|state| {
        if !state.books.events().knows(&id) {
            return Err(ApiError::no_such(404, "event", &id, "id"));
        }
        state.post(&Line { resent_event: Some(id.clone()), ..Line::default() });
        Ok(())
    });
    match waits_again.await {
        Ok(()) => {
            provider.news.notify_one();
            HttpResponse::Ok().json(json!({ "id": *id, "pending": true }))
        }
        Err(error) => respond(error.into()),
    }
}

async fn flush(provider: Shared) -> HttpResponse {
    provider.bad_days.flush();
    match provider.transact(|state| state.books.events().pending().len()).await {
        Ok(pending) => HttpResponse::Ok().json(json!({ "events_pending": pending })),
        Err(JournalBroken) => respond(ApiError::internal().into()),
    }
}
