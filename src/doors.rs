//! The doors that belong to no room: liveness, readiness, metrics, the document, its explorer, and the pages of problems.

mod explorer;
mod page;
mod problems;

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::{Content, Ref, Response};

use self::page::Page;
use crate::platform::error::{Code, Error, Refusal};
use crate::platform::http::problem::Document;
use crate::platform::http::{Everybody, Reply, Request};
use crate::platform::schema;
use crate::supply::Supply;
use crate::{dispatch, ops, payments, pricing, sandbox, supply, trips, webhooks};

/// Readiness that takes longer than this is none.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ridematch",
        description = "A ride-matching service to learn from: nearest drivers, trips, and money that survives.\n\n\
            Every POST that changes trips, offers or money carries an `Idempotency-Key`; keys are remembered for 24 hours. \
            Errors are problem documents (RFC 9457). Times are RFC 3339 in UTC, money is in minor units, lengths in metres, \
            durations in seconds.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    paths(healthz, readyz),
    components(schemas(Document)),
    modifiers(&BearerToken),
    security(("bearer" = [])),
    tags(
        (name = "quotes", description = "What a ride would cost."),
        (name = "trips", description = "A ride from request to receipt."),
        (name = "drivers", description = "Being a driver: availability, positions, offers."),
        (name = "payments", description = "The money of a trip."),
        (name = "ops", description = "For operators: the ledger, differences, the audit."),
        (name = "webhooks", description = "For operators: who is told what happens here."),
        (name = "sandbox", description = "Tokens for everybody and a clock that can be set; not in production."),
        (name = "health", description = "For whoever runs the service."),
    ),
)]
struct Api;

struct BearerToken;

impl utoipa::Modify for BearerToken {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        document
            .components
            .get_or_insert_with(Default::default)
            .add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The published document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Api::openapi();
    for part in [
        pricing::routes::Api::openapi(),
        trips::routes::Api::openapi(),
        supply::routes::Api::openapi(),
        dispatch::routes::Api::openapi(),
        payments::routes::Api::openapi(),
        ops::routes::Api::openapi(),
        webhooks::routes::Api::openapi(),
        sandbox::routes::Api::openapi(),
    ] {
        document.merge(part);
    }
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), refused().into());
        }
    }
    document
}

/// Every operation may be refused, or fail, and always says so in the same form.
fn refused() -> Response {
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    Response::builder().description("Refused, or failed").content("application/problem+json", problem).build()
}

/// The addresses.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").route(web::get().to(healthz)))
        .service(web::resource("/readyz").route(web::get().to(readyz)))
        .service(web::resource("/metrics").route(web::get().to(metrics)))
        .service(web::resource("/openapi.json").route(web::get().to(openapi)))
        .service(web::resource("/").route(web::get().to(home)))
        .configure(explorer::configure)
        .configure(problems::configure);
}

/// Is it alive?
///
/// Looks at nothing but itself: a database that is down is no reason to kill the process.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "get_liveness", security(()),
    responses((status = 200, description = "Alive")))]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "alive"}))
}

/// Is it ready?
///
/// The database answers and is up to date.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "Ready"), (status = 503, description = "Not ready")))]
async fn readyz(request: Request<Everybody>) -> Reply {
    let platform = &request.platform;
    let current = platform.db.read((), |conn, ()| Box::pin(schema::is_current(conn)));
    match tokio::time::timeout(READY_TIMEOUT, current).await {
        Ok(Ok(true)) if !platform.shutdown.is_cancelled() => {
            let is_matcher = platform.leadership.epoch().is_some();
            Ok(HttpResponse::Ok().json(json!({"status": "ready", "matcher": is_matcher})))
        }
        _ => Err(Refusal::new(Code::Unavailable, "The database does not answer, or is not up to date.")
            .retry_after(1)
            .into()),
    }
}

async fn metrics(request: Request<Everybody>, supply: web::Data<Supply>) -> Reply {
    let platform = &request.platform;
    let (online, free) = supply.counts();
    for (state, count) in [("online", online), ("free", free)] {
        platform.metrics.drivers.with_label_values(&[state]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    if let Err(error) = ops::gauges(platform).await {
        tracing::warn!(%error, "some gauges are stale");
    }
    if let Err(error) = payments::webhooks::inbox::gauges(platform).await {
        tracing::warn!(%error, "the gauges of the provider's events are stale");
    }
    if let Err(error) = webhooks::worker::gauges(platform).await {
        tracing::warn!(%error, "the gauges of the webhooks are stale");
    }
    let text = platform.metrics.render()?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text))
}

/// The published document, written once: it never changes while the program runs.
async fn openapi() -> Reply {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text,
        None => {
            let text = document().to_json().map_err(|error| Error::Bug(format!("the document: {error}")))?;
            TEXT.get_or_init(|| text)
        }
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(text.as_str()))
}

/// What a service without the sandbox has at its root; in the sandbox the console is there.
async fn home(http: HttpRequest) -> HttpResponse {
    let links = [
        ("/docs/", "Explore the API"),
        ("/openapi.json", "Its document"),
        ("/problems", "Every error, explained"),
        ("/metrics", "Metrics"),
    ];
    let lines: String = links.iter().map(|(address, text)| format!("- [{text}]({address})\n")).collect();
    let markdown = format!("# ridematch\n\nA ride-matching service to learn from.\n\n{lines}");
    Page { title: "Home", markdown, json: json!({"links": links.map(|(address, _)| address)}) }.send(&http)
}
