//! `GET /v1/ops/audit`, for operators only.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

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

/// What to audit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Whether to audit only the trips of the last eight days, and what the provider has from then.
    #[serde(default)]
    recent: bool,
}

/// Audit the service
///
/// Checks the nine invariants on live data, compares our records with the provider's, and the driver index with the database. An audit reads
/// every trip and all of the provider's records, two thousand trips at a time; with `recent=true` those of the last eight days, which does
/// not grow with the history. Audits run one at a time: request a recent one every few minutes, and a whole one after a change.
#[utoipa::path(get, path = "/v1/ops/audit", tag = "ops", operation_id = "get_audit", security(("ops" = [])), params(AuditQuery),
    responses((status = 200, description = "The report; `clean` is the result", body = AuditReport)))]
async fn audit(request: Request<Operators>, auditor: web::Data<Auditor>) -> HttpResult {
    let AuditQuery { recent } = request.query()?;
    let report = if recent { auditor.run_recent(None).await } else { auditor.run(None).await };
    Ok(HttpResponse::Ok().json(report?))
}
