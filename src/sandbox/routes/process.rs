//! The process: kill it, or reset its data.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::demand::Demand;
use crate::platform::error::{Code, Refusal};
use crate::platform::http::request::NoFields;
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::store::ResetSummary;
use crate::sandbox::{Sandbox, reset as reset_all, supervisor};
use crate::supply::Supply;

/// A process about to be killed.
#[derive(Debug, Serialize, ToSchema)]
struct Killed {
    /// The name of the process; its successor has another.
    #[schema(max_length = 64, example = "3f6c1b52")]
    process: String,
}

/// Kill the service
///
/// The supervisor sends SIGKILL within milliseconds, so that running requests and transactions are cut off, and restarts the service
/// within two seconds. Compare a trip before and after: nothing that was committed is lost.
#[utoipa::path(post, path = "/v1/sandbox/kill", tag = "sandbox", operation_id = "kill_service", security(()),
    request_body = Option<NoFields>, responses((status = 202, description = "The process is about to be killed", body = Killed)))]
pub(super) async fn kill(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    request.no_fields()?;
    if !sandbox.is_supervised {
        let detail = "No supervisor would restart this process. Run `ridematch demo`, which has one.";
        return Err(Refusal::new(Code::NotSupervised, detail).into());
    }
    supervisor::request_kill()?;
    Ok(HttpResponse::Accepted().json(Killed { process: request.platform.process.clone() }))
}

/// Reset the sandbox
///
/// Deletes every trip, payment, posting, key, driver and webhook, here and at the payment provider. The clock keeps its time. Drivers have
/// to go online again.
#[utoipa::path(post, path = "/v1/sandbox/reset", tag = "sandbox", operation_id = "reset_sandbox", security(()),
    request_body = Option<NoFields>, responses((status = 200, description = "What was deleted", body = ResetSummary)))]
pub(super) async fn reset(
    request: Request<Public>,
    supply: web::Data<Supply>,
    demand: web::Data<Demand>,
    sandbox: web::Data<Sandbox>,
) -> HttpResult {
    request.no_fields()?;
    let platform = request.platform.clone();
    // A task of its own, so that a reset whose caller hangs up is not left half done.
    let reset = async move { reset_all::run(&platform, (&supply, &demand), &sandbox).await };
    Ok(HttpResponse::Ok().json(request.platform.db.task(reset).await?))
}
