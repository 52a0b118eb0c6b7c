//! What a request asked of the database.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::Refusal;
use crate::platform::http::{Everybody, Reply, Request};
use crate::sandbox::Sandbox;
use crate::sandbox::recorder::Recorded;

/// The requests of one trace.
#[derive(Debug, Serialize, ToSchema)]
struct Trace {
    /// The trace id that was asked for.
    #[schema(max_length = 255, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: String,
    /// The last requests that came under it, the oldest first.
    #[schema(max_items = 20)]
    requests: Vec<Recorded>,
}

/// Look at a request's SQL
///
/// Each statement that the request made, in order, BEGIN and COMMIT included, with its time and rows; never the values. The trace id is in
/// the answer's `Trace-Id` header. Of the last 1,000 requests, the last 20 of the trace; positions, metrics and the sandbox's own are not
/// kept.
#[utoipa::path(get, path = "/v1/sandbox/requests/{trace_id}", tag = "sandbox", operation_id = "get_request_sql", security(()),
    params(("trace_id" = String, Path, description = "The answer's `Trace-Id` header", min_length = 1, max_length = 255,
            pattern = "^[0-9A-Za-z-]+$", example = "4bf92f3577b34da6a3ce929d0e0e4736")),
    responses((status = 200, description = "The requests", body = Trace)))]
pub(super) async fn sql(request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    let trace_id = request.http.match_info().query("trace_id").to_owned();
    let requests = sandbox.recorder.find(&trace_id);
    if requests.is_empty() {
        return Err(Refusal::not_found("request among the last ones").into());
    }
    Ok(HttpResponse::Ok().json(Trace { trace_id, requests }))
}
