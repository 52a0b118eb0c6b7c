//! What belongs to the API as a whole: the OpenAPI document, the explorer, the error pages, health and metrics.

mod error_pages;
mod explorer;
mod health;
mod metrics;
pub mod openapi;
mod page;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use utoipa::OpenApi;

use self::page::Page;

/// The module's part of the published document.
#[derive(OpenApi)]
#[openapi(paths(health::healthz, health::readyz))]
pub struct Api;

/// Adds the module's routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .configure(configure_health)
        .service(web::resource("/openapi.json").route(web::get().to(openapi::openapi_json)))
        .service(web::resource("/").route(web::get().to(home)))
        .configure(crate::platform::http::shell::configure)
        .configure(explorer::configure)
        .configure(error_pages::configure);
}

/// Adds the routes of the administrative listener, which is not for the service's callers.
pub fn configure_admin(config: &mut web::ServiceConfig) {
    config.configure(configure_health).configure(configure_metrics);
}

/// Adds `/metrics`.
pub fn configure_metrics(config: &mut web::ServiceConfig) {
    config.service(web::resource("/metrics").route(web::get().to(metrics::metrics)));
}

/// Adds the style sheet of pages of text, for a listener without the other routes.
#[cfg(feature = "sandbox")]
pub fn configure_style(config: &mut web::ServiceConfig) {
    config.configure(error_pages::configure_style);
}

fn configure_health(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/healthz").route(web::get().to(health::healthz)))
        .service(web::resource("/readyz").route(web::get().to(health::readyz)));
}

/// The page at `/`. With the console, its front page replaces it.
async fn home(http: HttpRequest) -> HttpResponse {
    let links = [("/docs/", "API explorer"), ("/openapi.json", "OpenAPI document"), ("/problems", "Error codes")];
    let lines: String = links.iter().map(|(path, text)| format!("- [{text}]({path})\n")).collect();
    let markdown = format!("# ridematch\n\nA ride-matching service to learn from.\n\n{lines}");
    Page { title: "Home", markdown, json: json!({"links": links.map(|(path, _)| path)}) }.send(&http)
}
