//! The control door under `/sim`: bad days, books, and what only a provider can do by itself. Needs the secret key, but
//! for the health check; speaks JSON.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::accounts::Snapshot;
use crate::errors::ApiError;
use crate::faults::Fault;
use crate::http::{Credentials, Shared, app_data, respond, unrecognized};
use crate::plan::FAULTS_MAX;
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
        .route("/payment_intents/{id}/expire", web::post().to(expire))
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

async fn books(provider: Shared) -> HttpResponse {
    match provider.transact(|state| Snapshot::of(&state.books)).await {
        Ok(snapshot) => HttpResponse::Ok().json(snapshot.shown()),
        Err(JournalBroken) => respond(ApiError::internal().into()),
    }
}

async fn show_faults(provider: Shared) -> HttpResponse {
    HttpResponse::Ok().json(provider.plan().shown())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanFaults {
    faults: Vec<Fault>,
    /// The provider's own unless told.
    seed: Option<u64>,
}

async fn plan_faults(provider: Shared, body: web::Payload) -> HttpResponse {
    let body = match body.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return respond(ApiError::invalid("The request's body could not be read.").into()),
        Err(_) => return respond(ApiError::body_too_long().into()),
    };
    match read_plan(&body) {
        Ok(PlanFaults { faults, seed }) => {
            provider.replace_plan(faults, seed);
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
    provider.heal();
    show_faults(provider).await
}

async fn expire(provider: Shared, id: web::Path<String>) -> HttpResponse {
    let expired = provider.expire(&id).await;
    provider.news.notify_one();
    respond(expired)
}
