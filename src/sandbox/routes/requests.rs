//! The SQL of a request.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::error::Refusal;
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::Sandbox;
use crate::sandbox::sql_recorder::RecordedRequest;

/// The requests of one trace.
#[derive(Debug, Serialize, ToSchema)]
struct Trace {
    /// The trace id.
    #[schema(max_length = 255, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: String,
    /// The newest requests and worker runs of the trace, the oldest first.
    #[schema(max_items = 40)]
    requests: Vec<RecordedRequest>,
}

/// Get the SQL of a request
///
/// Each statement of the request in order, BEGIN and COMMIT included, with its duration and row counts; never the values. Take the trace id
/// from the response's `Trace-Id` header. The worker runs that the request caused have its trace too, as far as each is about one trip. The
/// service records its last 1,000 requests and its last 1,000 such runs, and returns the last 20 of each of a trace. It does not
/// record positions, metrics and sandbox requests.
#[utoipa::path(get, path = "/v1/sandbox/requests/{trace_id}", tag = "sandbox", operation_id = "get_request_sql", security(()),
    params(("trace_id" = String, Path, description = "The response's `Trace-Id` header", min_length = 1, max_length = 255,
            pattern = "^[0-9A-Za-z-]+$", example = "4bf92f3577b34da6a3ce929d0e0e4736")),
    responses((status = 200, description = "The requests", body = Trace)))]
pub(super) async fn sql(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let trace_id = request.http.match_info().query("trace_id").to_owned();
    let requests = sandbox.sql_recorder.find(&trace_id);
    if requests.is_empty() {
        return Err(Refusal::not_found("request among the recorded ones").into());
    }
    Ok(HttpResponse::Ok().json(Trace { trace_id, requests }))
}
