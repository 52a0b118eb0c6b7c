//! Death, and a new beginning.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::{Code, Refusal};
use crate::platform::http::problem::Document;
use crate::platform::http::{Everybody, Reply, Request};
use crate::sandbox::store::Forgotten;
use crate::sandbox::{Sandbox, reset, supervisor};
use crate::supply::Supply;

/// A death that is under way.
#[derive(Debug, Serialize, ToSchema)]
struct Killed {
    /// Names the process that dies; the next one has another name.
    process: String,
}

/// Kill the service
///
/// With SIGKILL, sent by the supervisor in a few milliseconds: whatever is under way then is cut off where it is. The service is
/// started again at once, and is back within a second or two.
#[utoipa::path(post, path = "/v1/sandbox/kill", tag = "sandbox", operation_id = "kill_service", security(()),
    responses((status = 202, description = "It will be dead in a moment", body = Killed),
        (status = 409, description = "Nobody would start it again", body = Document)))]
pub(super) async fn kill(request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    request.no_fields()?;
    if !sandbox.is_supervised {
        let detail = "Nobody would start this process again. Run `ridematch demo`, which does.";
        return Err(Refusal::new(Code::NotSupervised, detail).into());
    }
    supervisor::ask_to_be_killed()?;
    Ok(HttpResponse::Accepted().json(Killed { process: request.platform.process.clone() }))
}

/// Begin anew
///
/// Every trip, payment, posting, key, driver and webhook is forgotten, here and at the payment provider, so that both books are equal:
/// empty. The clock goes on. Drivers who are still there come online again with their next position.
#[utoipa::path(post, path = "/v1/sandbox/reset", tag = "sandbox", operation_id = "reset_sandbox", security(()),
    responses((status = 200, description = "What was forgotten", body = Forgotten),
        (status = 409, description = "The provider is no simulator on this machine", body = Document),
        (status = 503, description = "The provider or the database does not answer", body = Document)))]
pub(super) async fn begin_anew(
    request: Request<Everybody>,
    supply: web::Data<Supply>,
    sandbox: web::Data<Sandbox>,
) -> Reply {
    request.no_fields()?;
    Ok(HttpResponse::Ok().json(reset::everything(&request.platform, &supply, &sandbox).await?))
}
