//! `GET /v1/ops/audit`, the ledger, reconciliation and decisions about money: for operators only.

mod ledger;
mod reconciliation;
mod resolve;

use actix_web::{HttpResponse, web};
use utoipa::OpenApi;

use super::audit::Auditor;
use super::report::Report;
use crate::platform::error::{Code, Refusal};
use crate::platform::http::{Operators, Reply, Request};

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    audit,
    ledger::ledger,
    ledger::postings,
    reconciliation::overview,
    reconciliation::findings,
    reconciliation::finding,
    reconciliation::resolve,
    reconciliation::runs,
    reconciliation::run,
    reconciliation::ask,
    resolve::payment,
    resolve::refund,
))]
pub struct Api;

/// The room's addresses. They need a [`web::Data`] of the [`Auditor`].
pub fn configure(config: &mut web::ServiceConfig) {
    let (get, post) = (web::get, web::post);
    config
        .service(web::resource("/v1/ops/audit").route(get().to(audit)))
        .service(web::resource("/v1/ops/ledger").route(get().to(ledger::ledger)))
        .service(web::resource("/v1/ops/ledger/postings").route(get().to(ledger::postings)))
        .service(web::resource("/v1/ops/reconciliation").route(get().to(reconciliation::overview)))
        .service(web::resource("/v1/ops/reconciliation/findings").route(get().to(reconciliation::findings)))
        .service(web::resource("/v1/ops/reconciliation/findings/{finding_id}").route(get().to(reconciliation::finding)))
        .service(
            web::resource("/v1/ops/reconciliation/findings/{finding_id}/resolve")
                .route(post().to(reconciliation::resolve)),
        )
        .service(
            web::resource("/v1/ops/reconciliation/runs")
                .route(get().to(reconciliation::runs))
                .route(post().to(reconciliation::ask)),
        )
        .service(web::resource("/v1/ops/reconciliation/runs/{run_id}").route(get().to(reconciliation::run)))
        .service(web::resource("/v1/ops/payments/{payment_id}/resolve").route(post().to(resolve::payment)))
        .service(web::resource("/v1/ops/refunds/{refund_id}/resolve").route(post().to(resolve::refund)));
}

/// Is everything as it must be?
///
/// Checks the nine invariants on live data, in one snapshot, and then against the provider's books. It reads everything there is and runs
/// one at a time: ask after a change or every few minutes, not every second.
#[utoipa::path(get, path = "/v1/ops/audit", tag = "ops", operation_id = "get_audit", security(("ops" = [])),
    responses((status = 200, description = "The report; `clean` is the answer", body = Report)))]
async fn audit(_request: Request<Operators>, auditor: web::Data<Auditor>) -> Reply {
    Ok(HttpResponse::Ok().json(auditor.run(None).await?))
}

/// The longest note of an operator, characters.
const NOTE_CHARS_MAX: usize = 500;

/// What an operator writes for whoever reads it later, without the space around it.
///
/// # Errors
/// 422 if nothing is left of it, it is too long, or has a NUL, which PostgreSQL keeps in no text.
fn note(text: &str) -> Result<String, Refusal> {
    let note = text.trim();
    if (1..=NOTE_CHARS_MAX).contains(&note.chars().count()) && !note.contains('\0') {
        return Ok(note.to_owned());
    }
    let detail = format!("must have 1 to {NOTE_CHARS_MAX} characters");
    Err(Refusal::new(Code::InvalidRequest, format!("`note` {detail}.")).field("/note", detail))
}
