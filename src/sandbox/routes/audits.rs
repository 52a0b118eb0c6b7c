//! The latest audit.

use actix_web::{HttpResponse, web};

use crate::audit::AuditReport;
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::Audits;

/// Get the latest audit
///
/// The report of `GET /v1/ops/audit?recent=true`, at most two minutes old, and without a token: while this is requested, the service
/// audits itself every few seconds, or as often as the size of its records allows, for all viewers at once. `checked_at` is the time of the report. The pages show it in their header.
#[utoipa::path(get, path = "/v1/sandbox/audit", tag = "sandbox", operation_id = "get_latest_audit", security(()),
    responses((status = 200, description = "The report; `clean` is the result", body = AuditReport)))]
pub(super) async fn latest(_request: Request<Public>, audits: web::Data<Audits>) -> HttpResult {
    Ok(HttpResponse::Ok().json(audits.latest().await?))
}
