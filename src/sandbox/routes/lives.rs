//! Death, and a new beginning.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::{Code, Refusal};
use crate::platform::http::request::NoFields;
use crate::platform::http::{Everybody, Reply, Request};
use crate::sandbox::store::Forgotten;
use crate::sandbox::{Sandbox, reset, supervisor};
use crate::supply::Supply;

/// A death that is under way.
#[derive(Debug, Serialize, ToSchema)]
struct Killed {
    /// Names the process that dies; the next one has another name.
    #[schema(max_length = 64, example = "3f6c1b52")]
    process: String,
}

/// Kill the service
///
/// With SIGKILL, sent by the supervisor in a few milliseconds: whatever is under way then is cut off where it is. The service is started
/// again at once, and is back within a second or two. Look at a trip before and after: nothing that was committed is lost.
#[utoipa::path(post, path = "/v1/sandbox/kill", tag = "sandbox", operation_id = "kill_service", security(()),
    request_body = Option<NoFields>, responses((status = 202, description = "It will be dead in a moment", body = Killed)))]
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
    request_body = Option<NoFields>, responses((status = 200, description = "What was forgotten", body = Forgotten)))]
pub(super) async fn begin_anew(
    request: Request<Everybody>,
    supply: web::Data<Supply>,
    sandbox: web::Data<Sandbox>,
) -> Reply {
    request.no_fields()?;
    Ok(HttpResponse::Ok().json(reset::everything(&request.platform, &supply, &sandbox).await?))
}
