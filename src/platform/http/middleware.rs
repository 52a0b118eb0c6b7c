//! The middleware of every request: a trace id, a log line, metrics, rate-limit headers, and a problem document for every error,
//! actix's own errors and panics included.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, VARY};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};
use futures_util::FutureExt;
use tracing::Instrument;

use super::accept::Negotiated;
use super::head::with_head;
use super::problem::{INTERNAL_DETAIL, Problem};
use crate::platform::clock::Stopwatch;
use crate::platform::error::{Code, Refusal};
use crate::platform::limits::RateLimitStatus;
use crate::platform::telemetry::{self, Context};
use crate::platform::{Platform, metrics};

/// Observes a request; see the module.
///
/// # Errors
/// Errors that actix turns into a response itself.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(platform) = request.app_data::<web::Data<Platform>>().map(|data| data.get_ref().clone()) else {
        unreachable!("startup gives every worker the platform")
    };
    let context = context_of(&request, &platform);
    let method = request.method().as_str().to_owned();
    let span = telemetry::span(&context);
    let watch = Stopwatch::start();

    let handled = AssertUnwindSafe(next.call(request)).catch_unwind();
    let response = telemetry::in_context(Some(context.clone()), async {
        match handled.await {
            Ok(Ok(response)) => Ok(finish(response.map_into_boxed_body())),
            Ok(Err(error)) => Err(error),
            Err(_panic) => {
                tracing::error!("a handler panicked");
                let problem = Problem::from(Refusal::new(Code::Internal, INTERNAL_DETAIL));
                Err(actix_web::error::InternalError::from_response("panic", problem.error_response()).into())
            }
        }
    })
    .instrument(span.clone())
    .await;

    let (route, status) = match &response {
        Ok(response) => {
            let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
            (route, response.status().as_u16())
        }
        Err(error) => ("unmatched".to_owned(), error.as_response_error().status_code().as_u16()),
    };
    let seconds = watch.elapsed().as_secs_f64();
    let label = metrics::method_label(&method);
    platform.metrics.http_requests.with_label_values(&[label, &route, &status.to_string()]).inc();
    platform.metrics.http_latency.with_label_values(&[label, &route]).observe(seconds);
    span.in_scope(|| tracing::debug!(method, route, status, ms = seconds * 1000.0, "responded"));
    response
}

fn context_of(request: &ServiceRequest, platform: &Platform) -> Context {
    // Several values are invalid, like a malformed one.
    let mut given = request.headers().get_all("traceparent");
    let given = given.next().filter(|_| given.next().is_none());
    let trace_id = given
        .and_then(|value| value.to_str().ok())
        .and_then(telemetry::parse_traceparent)
        .map_or_else(|| platform.random.uuid(platform.clock.machine()).simple().to_string(), str::to_owned);
    Context::new(trace_id, request.path())
}

/// Adds the headers of every response, and replaces actix's own errors by problem documents.
fn finish(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let verdict = response.request().extensions().get::<RateLimitStatus>().copied();
    let is_negotiated = response.request().extensions().get::<Negotiated>().is_some();
    let mut response = if is_bare_error(&response) { with_problem(response) } else { response };
    let headers = response.headers_mut();
    if let Some(trace_id) = telemetry::trace_id() {
        set(headers, "trace-id", &trace_id);
    }
    if let Some(verdict) = verdict {
        let reset = verdict.retry_after_s.unwrap_or(1);
        set(headers, "ratelimit-policy", &format!("\"caller\";q={};w=1", verdict.per_second));
        set(headers, "ratelimit", &format!("\"caller\";r={};t={reset}", verdict.remaining));
    }
    // Every response to a caller depends on who the caller is.
    let reasons = [(is_negotiated, "Accept"), (verdict.is_some(), "Authorization")];
    let own = headers.get(VARY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let fields = reasons.iter().filter(|(varies, _)| *varies).map(|(_, field)| (*field).to_owned()).chain(own);
    let fields: Vec<_> = fields.collect();
    if !fields.is_empty() {
        set(headers, "vary", &fields.join(", "));
    }
    announce_close(&mut response);
    response
}

/// Says that the connection is closed after a request that offered another protocol and got a plain response: actix closes it, and a
/// client that does not know might send its next request into the closing connection.
fn announce_close(response: &mut ServiceResponse<BoxBody>) {
    let offered = response.request().head().connection_type() == ConnectionType::Upgrade;
    if offered && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
}

fn is_bare_error(response: &ServiceResponse<BoxBody>) -> bool {
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
    (status.is_client_error() || status.is_server_error()) && !is_problem
}

fn with_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let allow = response.headers().get(ALLOW).and_then(|value| value.to_str().ok()).map(with_head);
    let refusal = match response.status() {
        StatusCode::NOT_FOUND => {
            Refusal::new(Code::NotFound, "No operation has this path. /docs lists the operations.")
        }
        StatusCode::METHOD_NOT_ALLOWED => Refusal::new(
            Code::MethodNotAllowed,
            format!("This path supports {}.", allow.as_deref().unwrap_or("other methods")),
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Refusal::new(Code::BodyTooLarge, "The body exceeds the limit. Split the request.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Refusal::new(Code::UnsupportedMediaType, "Send the body as JSON, with `Content-Type: application/json`.")
        }
        status if status.is_client_error() => Refusal::new(Code::Malformed, "The request cannot be parsed."),
        _ => Refusal::new(Code::Internal, INTERNAL_DETAIL),
    };
    let body = Problem::from(refusal).allowing(allow).error_response();
    response.into_response(body.map_into_boxed_body())
}

fn set(headers: &mut actix_web::http::header::HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}
