//! `GET /v1/ops/audit`, for operators only.

use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::{AuditReport, Auditor};
use crate::platform::http::{HttpResult, Operators, Request};

/// The module's part of the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(paths(audit))]
pub struct Api;

/// Adds the routes. They need a [`web::Data`] of the [`Auditor`].
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/v1/ops/audit").route(web::get().to(audit)));
}

/// Audit the service
///
/// Checks the nine invariants on live data in one snapshot, then compares our records with the provider's, and the driver index with the
/// database. An audit reads every trip and all of the provider's records, and audits run one at a time: request one after a change or every few minutes.
#[utoipa::path(get, path = "/v1/ops/audit", tag = "ops", operation_id = "get_audit", security(("ops" = [])),
    responses((status = 200, description = "The report; `clean` is the result", body = AuditReport)))]
async fn audit(_request: Request<Operators>, auditor: web::Data<Auditor>) -> HttpResult {
    Ok(HttpResponse::Ok().json(auditor.run(None).await?))
}
