//! Liveness and readiness.

use std::time::Duration;

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::{Code, Refusal};
use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::names::string_enum;
use crate::platform::schema;

/// The maximum duration of the readiness check.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

string_enum! {
    /// Always `alive`: a process that is not alive does not answer.
    pub(super) enum LivenessStatus {
        Alive = "alive",
    }
    /// Always `ready`: a process that is not ready answers 503.
    pub(super) enum ReadinessStatus {
        Ready = "ready",
    }
}

/// The liveness of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Liveness {
    /// The status.
    status: LivenessStatus,
}

/// The readiness of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// The status.
    status: ReadinessStatus,
    /// Whether this process is the matcher: it keeps the driver index and runs dispatch.
    matcher: bool,
}

/// Liveness probe
///
/// Checks the process only. It stays healthy while the database is down, because a restart would not help.
#[utoipa::path(get, path = "/healthz", tag = "health", operation_id = "get_liveness", security(()),
    responses((status = 200, description = "Alive", body = Liveness)))]
pub(super) async fn healthz(_request: Request<Public>) -> HttpResult {
    Ok(HttpResponse::Ok().json(Liveness { status: LivenessStatus::Alive }))
}

/// Readiness probe
///
/// Checks that the database answers within a second, that its schema is current, and that the process is not shutting down. `matcher` says
/// whether this process takes positions: one process at a time does.
#[utoipa::path(get, path = "/readyz", tag = "health", operation_id = "get_readiness", security(()),
    responses((status = 200, description = "Ready", body = Readiness)))]
pub(super) async fn readyz(request: Request<Public>) -> HttpResult {
    let platform = &request.platform;
    let is_current = platform.db.read((), |conn, ()| Box::pin(schema::is_current(conn)));
    match tokio::time::timeout(READY_TIMEOUT, is_current).await {
        Ok(Ok(true)) if !platform.shutdown.is_cancelled() => {
            let matcher = platform.leadership.epoch().is_some();
            Ok(HttpResponse::Ok().json(Readiness { status: ReadinessStatus::Ready, matcher }))
        }
        _ => {
            let detail =
                "Not ready: the database does not answer, its schema is outdated, or the process is shutting down.";
            Err(Refusal::new(Code::Unavailable, detail).retry_after(1).into())
        }
    }
}
