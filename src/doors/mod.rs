//! The doors that belong to no room: liveness, readiness, metrics, the explorer of the document, and the pages of problems.

mod explorer;
mod page;
mod problems;

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

use self::page::Page;
use crate::document::document;
use crate::platform::error::{Code, Error, Refusal};
use crate::platform::http::names::published;
use crate::platform::http::{Everybody, Reply, Request};
use crate::platform::schema;
use crate::supply::Supply;
use crate::{ops, payments, webhooks};

/// Readiness that takes longer than this is none.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// The hall's part of the published document.
#[derive(OpenApi)]
#[openapi(paths(healthz, readyz))]
pub struct Api;

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

published! {
    /// Always `alive`: who is not does not answer.
    LivenessStatus = ["alive"];
    /// Always `ready`: who is not answers 503.
    ReadinessStatus = ["ready"];
}

/// It answers.
#[derive(Debug, Serialize, ToSchema)]
struct Liveness {
    /// That it does.
    #[schema(value_type = LivenessStatus)]
    status: &'static str,
}

/// It can serve requests.
#[derive(Debug, Serialize, ToSchema)]
struct Readiness {
    /// That it can.
    #[schema(value_type = ReadinessStatus)]
    status: &'static str,
    /// Whether this process owns the positions and matches.
    matcher: bool,
}

/// Is it alive?
///
/// Looks at nothing but itself: a database that is down is no reason to kill the process.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "get_liveness", security(()),
    responses((status = 200, description = "Alive", body = Liveness)))]
async fn healthz(_request: Request<Everybody>) -> Reply {
    Ok(HttpResponse::Ok().json(Liveness { status: "alive" }))
}

/// Is it ready?
///
/// The database answers within a second and is up to date, and nothing is being shut down. One process at a time is the matcher: positions
/// go to it.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "Ready", body = Readiness)))]
async fn readyz(request: Request<Everybody>) -> Reply {
    let platform = &request.platform;
    let current = platform.db.read((), |conn, ()| Box::pin(schema::is_current(conn)));
    match tokio::time::timeout(READY_TIMEOUT, current).await {
        Ok(Ok(true)) if !platform.shutdown.is_cancelled() => {
            let is_matcher = platform.leadership.epoch().is_some();
            Ok(HttpResponse::Ok().json(Readiness { status: "ready", matcher: is_matcher }))
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
