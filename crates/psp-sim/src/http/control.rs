//! The control interface under `/sim`, in JSON: faults, state, expiry and events. Needs the secret key, except for the
//! health check.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::shared::{Credentials, Shared, app_data, respond, unrecognized};
use crate::api_error::ApiError;
use crate::event_queue::Event;
use crate::fault_plan::{FAULTS_MAX, Seeds};
use crate::faults::Fault;
use crate::model::DisputeStatus;
use crate::params::Params;
use crate::records::JournalLine;
use crate::state_view::StateSnapshot;
use crate::store::JournalFailed;

/// The longest body: a plan of [`FAULTS_MAX`] faults with every field.
const BODY_BYTES_MAX: usize = 64 * 1024;

pub fn routes(config: &mut web::ServiceConfig) {
    let health = web::resource("/sim/health").route(web::get().to(health)).default_service(web::to(unrecognized));
    let control = web::scope("/sim")
        .wrap(from_fn(authenticate))
        .route("/faults", web::get().to(show_faults))
        .route("/faults", web::put().to(plan_faults))
        .route("/faults", web::delete().to(clear_faults))
        .route("/state", web::get().to(show_state))
        .route("/state", web::delete().to(reset_state))
        .route("/payment_intents/{id}/expire", web::post().to(expire))
        .route("/payment_intents/{id}/dispute", web::post().to(dispute))
        .route("/refunds/{id}/fail", web::post().to(fail_refund))
        .route("/events", web::get().to(events))
        .route("/events/{id}/resend", web::post().to(resend))
        .route("/webhooks/flush", web::post().to(flush))
        .default_service(web::to(unrecognized));
    config.service(health).service(control);
}

async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if app_data::<web::Data<Credentials>>(&request).accepts(&request) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    Ok(request.into_response(respond(ApiError::unauthorized().into())))
}

async fn health(provider: Shared) -> HttpResponse {
    match provider.store.transact(|_| ()).await {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ok" })),
        Err(broken) => HttpResponse::InternalServerError().json(json!({ "status": broken.to_string() })),
    }
}

async fn show_state(provider: Shared, request: HttpRequest) -> HttpResponse {
    let wanted = match payment_intent(&request) {
        Ok(wanted) => wanted,
        Err(error) => return respond(error.into()),
    };
    match provider.store.transact(|state| StateSnapshot::of(&state.records, wanted.as_deref())).await {
        Ok(snapshot) => HttpResponse::Ok().json(snapshot.view()),
        Err(JournalFailed) => respond(ApiError::internal().into()),
    }
}

/// Removes every payment, refund, idempotency key and event.
async fn reset_state(provider: Shared) -> HttpResponse {
    let line = JournalLine { reset: true, ..JournalLine::default() };
    match provider.store.transact(|state| state.apply(&line)).await {
        Ok(()) => HttpResponse::Ok().json(json!({ "reset": true })),
        Err(JournalFailed) => respond(ApiError::internal().into()),
    }
}

/// The payment intent in the query, if any.
fn payment_intent(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut params = Params::parse(request.query_string().as_bytes())?;
    let payment_intent = params.text("payment_intent")?;
    params.finish()?;
    Ok(payment_intent)
}

async fn show_faults(provider: Shared) -> HttpResponse {
    HttpResponse::Ok().json(provider.faults.plan().view())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanRequest {
    faults: Vec<Fault>,
    /// The seed of the simulator if absent.
    seed: Option<u64>,
    /// The seed for faults of webhooks; `seed` if absent.
    webhook_seed: Option<u64>,
}

async fn plan_faults(provider: Shared, body: web::Payload) -> HttpResponse {
    let body = match body.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return respond(ApiError::invalid("The request's body could not be read.").into()),
        Err(_) => return respond(ApiError::body_too_long().into()),
    };
    match parse_plan(&body) {
        Ok(PlanRequest { faults, seed, webhook_seed }) => {
            let seeds = seed
                .or(webhook_seed)
                .map(|other| Seeds { seed: seed.unwrap_or(other), webhook_seed: webhook_seed.unwrap_or(other) });
            provider.faults.replace(faults, seeds);
            show_faults(provider).await
        }
        Err(error) => respond(error.into()),
    }
}

fn parse_plan(body: &[u8]) -> Result<PlanRequest, ApiError> {
    let plan: PlanRequest =
        serde_json::from_slice(body).map_err(|error| ApiError::invalid(error.to_string()).param("faults"))?;
    if plan.faults.len() > FAULTS_MAX {
        return Err(ApiError::invalid(format!("A plan has at most {FAULTS_MAX} faults.")).param("faults"));
    }
    for (index, fault) in plan.faults.iter().enumerate() {
        fault.check().map_err(|(field, message)| {
            ApiError::invalid(format!("Invalid {field}: {message}.")).param(&format!("faults[{index}][{field}]"))
        })?;
    }
    Ok(plan)
}

async fn clear_faults(provider: Shared) -> HttpResponse {
    provider.faults.clear();
    show_faults(provider).await
}

async fn expire(provider: Shared, id: web::Path<String>) -> HttpResponse {
    respond(provider.expire(&id).await)
}

async fn fail_refund(provider: Shared, id: web::Path<String>) -> HttpResponse {
    respond(provider.fail_refund(&id).await)
}

/// Opens a dispute; with `status=won` or `status=lost` in the query, decides the open one.
async fn dispute(provider: Shared, id: web::Path<String>, request: HttpRequest) -> HttpResponse {
    let status = Params::parse(request.query_string().as_bytes()).and_then(|mut params| {
        let status = params.choice("status", &["won", "lost"])?;
        params.finish()?;
        Ok(match status.as_deref() {
            Some("won") => DisputeStatus::Won,
            Some(_) => DisputeStatus::Lost,
            None => DisputeStatus::NeedsResponse,
        })
    });
    match status {
        Ok(status) => respond(provider.dispute(&id, status).await),
        Err(error) => respond(error.into()),
    }
}

/// The most events in a response.
const EVENTS_SHOWN_MAX: usize = 1_000;

/// The events of one payment, or all: first the waiting, then the finished ones, each newest first.
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
        let events = state.records.events();
        let pending = events.pending().rev().map(|event| (event, true));
        let all = pending.chain(events.finished().rev().map(|event| (event, false)));
        let wanted = all.filter(|(event, _)| wanted.as_ref().is_none_or(|wanted| *wanted == event.payment_intent));
        Ok(json!({ "events": wanted.take(EVENTS_SHOWN_MAX).map(shown).collect::<Vec<_>>() }))
    });
    match found.await {
        Ok(events) => HttpResponse::Ok().json(events),
        Err(error) => respond(error.into()),
    }
}

async fn resend(provider: Shared, id: web::Path<String>) -> HttpResponse {
    let queued = provider.look_up(|state| {
        if !state.records.events().contains(&id) {
            return Err(ApiError::no_such(404, "event", &id, "id"));
        }
        state.apply(&JournalLine { resent_event: Some(id.clone()), ..JournalLine::default() });
        Ok(())
    });
    match queued.await {
        Ok(()) => {
            provider.events_ready.notify_one();
            HttpResponse::Ok().json(json!({ "id": *id, "pending": true }))
        }
        Err(error) => respond(error.into()),
    }
}

async fn flush(provider: Shared) -> HttpResponse {
    provider.faults.release_deliveries();
    match provider.store.transact(|state| state.records.events().pending().len()).await {
        Ok(pending) => HttpResponse::Ok().json(json!({ "events_pending": pending })),
        Err(JournalFailed) => respond(ApiError::internal().into()),
    }
}
