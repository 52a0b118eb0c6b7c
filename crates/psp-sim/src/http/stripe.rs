//! Stripe's routes, under `/v1`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::connection;
use super::shared::{Credentials, Shared, app_data, respond, unrecognized};
use crate::api_error::ApiError;
use crate::catalog::PageQuery;
use crate::fault_kinds::FaultStep;
use crate::params::Params;
use crate::provider::Provider;
use crate::render;
use crate::request::{Request, Target};
use crate::response::{Reply, Response};
use crate::store::State;

/// The longest body: enough for 50 percent-encoded metadata entries of full length.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// The longest idempotency key, as with Stripe.
const KEY_CHARS_MAX: usize = 255;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");

pub fn routes(config: &mut web::ServiceConfig) {
    let v1 = web::scope("/v1")
        .wrap(from_fn(authenticate))
        .route("/payment_intents", web::post().to(create))
        .route("/payment_intents", web::get().to(list_intents))
        .route("/payment_intents/{id}", web::get().to(get_intent))
        .route("/payment_intents/{id}/confirm", web::post().to(confirm))
        .route("/payment_intents/{id}/capture", web::post().to(capture))
        .route("/payment_intents/{id}/cancel", web::post().to(cancel))
        .route("/refunds", web::post().to(refund))
        .route("/refunds", web::get().to(list_refunds))
        .route("/refunds/{id}", web::get().to(get_refund))
        .route("/disputes", web::get().to(list_disputes))
        .default_service(web::to(unrecognized));
    config.service(v1);
}

/// Checks the credentials and the version of a request, and adds the protocol's headers to its response.
async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let provider = app_data::<Shared>(&request);
    let id = RequestId(provider.random.id("req"));
    let echoed = [IDEMPOTENCY_KEY, STRIPE_VERSION].map(|name| (request.headers().get(&name).cloned(), name));
    request.extensions_mut().insert(id.clone());
    let version = request.headers().get(&STRIPE_VERSION).map(|version| version.to_str().unwrap_or_default());
    let refused = if !app_data::<web::Data<Credentials>>(&request).accepts(&request) {
        Some(ApiError::unauthorized())
    } else if !provider.accepts_version(version) {
        Some(ApiError::version(version))
    } else {
        None
    };
    let mut response = match refused {
        Some(error) => request.into_response(respond(error.into())),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    tracing::debug!(
        method = %response.request().method(),
        path = response.request().path(),
        status = response.status().as_u16(),
        request_id = id.0,
        "request answered"
    );
    let headers = response.headers_mut();
    for (value, name) in echoed {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    Ok(response)
}

#[derive(Clone)]
struct RequestId(String);

async fn create(provider: Shared, request: HttpRequest, body: web::Payload) -> HttpResponse {
    post(provider, request, body, Target::Create).await
}

async fn confirm(provider: Shared, request: HttpRequest, id: web::Path<String>, body: web::Payload) -> HttpResponse {
    post(provider, request, body, Target::Confirm(id.into_inner())).await
}

async fn capture(provider: Shared, request: HttpRequest, id: web::Path<String>, body: web::Payload) -> HttpResponse {
    post(provider, request, body, Target::Capture(id.into_inner())).await
}

async fn cancel(provider: Shared, request: HttpRequest, id: web::Path<String>, body: web::Payload) -> HttpResponse {
    post(provider, request, body, Target::Cancel(id.into_inner())).await
}

async fn refund(provider: Shared, request: HttpRequest, body: web::Payload) -> HttpResponse {
    post(provider, request, body, Target::Refund).await
}

async fn post(provider: Shared, http_request: HttpRequest, body: web::Payload, target: Target) -> HttpResponse {
    let request = match read(&http_request, body, target).await {
        Ok(request) => request,
        Err(error) => return respond(error.into()),
    };
    // In a task of its own, so that a client that disconnects does not cancel the request.
    let executed = tokio::spawn(provider.into_inner().execute(request)).await;
    let reply = executed.unwrap_or_else(|error| {
        tracing::error!(%error, "the task of a request failed");
        ApiError::internal().into()
    });
    send(reply, &http_request)
}

async fn read(request: &HttpRequest, body: web::Payload, target: Target) -> Result<Request, ApiError> {
    let key = match request.headers().get(&IDEMPOTENCY_KEY).map(HeaderValue::to_str) {
        None => None,
        Some(Ok(key)) if (1..=KEY_CHARS_MAX).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            let message = format!("An Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters.");
            return Err(ApiError::invalid(message));
        }
    };
    let body = match body.to_bytes_limited(BODY_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return Err(ApiError::invalid("The request's body could not be read.")),
        Err(_) => return Err(ApiError::body_too_long()),
    };
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !body.is_empty() && !content_type.starts_with("application/x-www-form-urlencoded") {
        let message = "Invalid request (check that your POST content type is application/x-www-form-urlencoded).";
        return Err(ApiError::invalid(message));
    }
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    Ok(Request { id, key, target, params: Params::parse(&body)? })
}

async fn get_intent(provider: Shared, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    get(&provider, &request, (FaultStep::Get, Some(&id)), |state, params| {
        // Browsers send it instead of the secret key.
        params.ignore(&["client_secret"]);
        let missing = || ApiError::no_such(404, "payment_intent", &id, "intent");
        state.records.intents().get(&id).map(|intent| render::payment_intent(intent)).ok_or_else(missing)
    })
    .await
}

async fn list_intents(provider: Shared, request: HttpRequest) -> HttpResponse {
    get(&provider, &request, (FaultStep::List, None), |state, params| {
        let page = state.records.intents().page(&PageQuery::take(params)?, |_| true)?;
        let data = page.items.iter().map(|intent| render::payment_intent(intent)).collect();
        Ok(render::list("/v1/payment_intents", data, page.has_more))
    })
    .await
}

async fn get_refund(provider: Shared, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    get(&provider, &request, (FaultStep::Get, Some(&id)), |state, _| {
        let missing = || ApiError::no_such(404, "refund", &id, "refund");
        state.records.refunds().get(&id).map(|refund| render::refund(refund)).ok_or_else(missing)
    })
    .await
}

async fn list_refunds(provider: Shared, request: HttpRequest) -> HttpResponse {
    get(&provider, &request, (FaultStep::List, None), |state, params| {
        let intent = params.text("payment_intent")?;
        let of_intent = |id: &str| intent.as_ref().is_none_or(|intent| intent == id);
        let page =
            state.records.refunds().page(&PageQuery::take(params)?, |refund| of_intent(&refund.payment_intent))?;
        let data = page.items.iter().map(|refund| render::refund(refund)).collect();
        Ok(render::list("/v1/refunds", data, page.has_more))
    })
    .await
}

async fn list_disputes(provider: Shared, request: HttpRequest) -> HttpResponse {
    get(&provider, &request, (FaultStep::List, None), |state, params| {
        let intent = params.text("payment_intent")?;
        let of_intent = |id: &str| intent.as_ref().is_none_or(|intent| intent == id);
        let page =
            state.records.disputes().page(&PageQuery::take(params)?, |dispute| of_intent(&dispute.payment_intent))?;
        let data = page.items.iter().map(|dispute| render::dispute(dispute)).collect();
        Ok(render::list("/v1/disputes", data, page.has_more))
    })
    .await
}

/// Responds to a query when everything that it saw is on the disk. `subject` is the step, and the id of the object.
async fn get(
    provider: &Provider,
    request: &HttpRequest,
    subject: (FaultStep, Option<&str>),
    look_up: impl FnOnce(&mut State, &mut Params) -> Result<Value, ApiError>,
) -> HttpResponse {
    let mut params = match Params::parse(request.query_string().as_bytes()) {
        Ok(params) => params,
        Err(error) => return respond(error.into()),
    };
    let (step, id) = subject;
    let mut faults = provider.draw_faults((step, id.or(params.peek("payment_intent"))), &params, None);
    if let Some(reply) = faults.before().await {
        return send(reply, request);
    }
    let found = provider.look_up(|state| {
        let found = look_up(state, &mut params)?;
        params.finish()?;
        Ok(found)
    });
    let response = match found.await {
        Ok(object) => Response::ok(object.to_string()),
        Err(error) => error.into(),
    };
    send(faults.after(response).await, request)
}

/// Sends a reply on the connection of the request.
fn send(reply: Reply, request: &HttpRequest) -> HttpResponse {
    match reply {
        Reply::Response(response) => respond(response),
        Reply::CloseConnection => {
            connection::close(request);
            respond(ApiError::internal().into())
        }
    }
}
