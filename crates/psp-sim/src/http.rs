//! The protocol's routes, under `/v1`.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use subtle::{Choice, ConstantTimeEq};

use crate::answer::{Answer, Reply};
use crate::errors::ApiError;
use crate::faults::Step;
use crate::operations::{Request, Target};
use crate::params::Params;
use crate::provider::{Provider, State};
use crate::shelf::PageQuery;
use crate::{connection, control, render};

/// The longest body: 50 metadata entries of full length, percent-encoded, and some more.
const BODY_BYTES_MAX: usize = 128 * 1024;
/// The longest idempotency key, as Stripe has it.
const KEY_CHARS_MAX: usize = 255;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const ORIGINAL_REQUEST: HeaderName = HeaderName::from_static("original-request");
const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");

/// The provider, as routes get it.
pub type Shared = web::Data<Provider>;

/// The values of `Authorization` that open the door.
pub struct Credentials([String; 2]);

impl Credentials {
    /// Those of a secret key: as a bearer token, and as the user name of basic authentication.
    pub fn of(secret_key: &str) -> Self {
        let basic = BASE64_STANDARD.encode(format!("{secret_key}:"));
        Self([format!("Bearer {secret_key}"), format!("Basic {basic}")])
    }

    /// Compares in constant time.
    pub fn admit(&self, request: &ServiceRequest) -> bool {
        let shown = request.headers().get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let matches = self.0.iter().map(|known| known.as_bytes().ct_eq(shown));
        matches.fold(Choice::from(0), |any, this| any | this).into()
    }
}

/// Adds the routes. Needs a [`Provider`] and [`Credentials`] as application data.
pub fn routes(config: &mut web::ServiceConfig) {
    let v1 = web::scope("/v1")
        .wrap(from_fn(envelope))
        .route("/payment_intents", web::post().to(create))
        .route("/payment_intents", web::get().to(list_intents))
        .route("/payment_intents/{id}", web::get().to(get_intent))
        .route("/payment_intents/{id}/confirm", web::post().to(confirm))
        .route("/payment_intents/{id}/capture", web::post().to(capture))
        .route("/payment_intents/{id}/cancel", web::post().to(cancel))
        .route("/refunds", web::post().to(refund))
        .route("/refunds", web::get().to(list_refunds))
        .route("/refunds/{id}", web::get().to(get_refund))
        .default_service(web::to(unrecognized));
    config.service(v1).configure(control::routes).default_service(web::to(unrecognized));
}

/// What every request under `/v1` has in common: credentials before, and the protocol's headers after.
async fn envelope(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let provider = app_data::<Shared>(&request);
    let id = RequestId(provider.dice.id("req"));
    let echoed = [IDEMPOTENCY_KEY, STRIPE_VERSION].map(|name| (request.headers().get(&name).cloned(), name));
    request.extensions_mut().insert(id.clone());
    let mut response = if app_data::<web::Data<Credentials>>(&request).admit(&request) {
        next.call(request).await?.map_into_boxed_body()
    } else {
        request.into_response(respond(ApiError::unauthorized().into()))
    };
    tracing::debug!(
        method = %response.request().method(),
        path = response.request().path(),
        status = response.status().as_u16(),
        request_id = id.0,
        "answered"
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

/// What `start` gave to the routes.
pub fn app_data<T: 'static>(request: &ServiceRequest) -> &T {
    request.app_data::<T>().expect("`start` sets it")
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
    // In a task of its own: a caller that hangs up cancels nothing.
    let executed = tokio::spawn(provider.into_inner().execute(request)).await;
    let reply = executed.unwrap_or_else(|error| {
        tracing::error!(%error, "a request's task failed");
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
    get(&provider, &request, (Step::Get, Some(&id)), |state, params| {
        // What a browser would show instead of the secret key; of no use here, and harmless.
        params.ignore(&["client_secret"]);
        let missing = || ApiError::no_such(404, "payment_intent", &id, "intent");
        state.books.intents().get(&id).map(|intent| render::payment_intent(intent)).ok_or_else(missing)
    })
    .await
}

async fn list_intents(provider: Shared, request: HttpRequest) -> HttpResponse {
    get(&provider, &request, (Step::List, None), |state, params| {
        let page = state.books.intents().page(&PageQuery::take(params)?, |_| true)?;
        let data = page.items.iter().map(|intent| render::payment_intent(intent)).collect();
        Ok(render::list("/v1/payment_intents", data, page.has_more))
    })
    .await
}

async fn get_refund(provider: Shared, request: HttpRequest, id: web::Path<String>) -> HttpResponse {
    get(&provider, &request, (Step::Get, Some(&id)), |state, _| {
        let missing = || ApiError::no_such(404, "refund", &id, "refund");
        state.books.refunds().get(&id).map(|refund| render::refund(refund)).ok_or_else(missing)
    })
    .await
}

async fn list_refunds(provider: Shared, request: HttpRequest) -> HttpResponse {
    get(&provider, &request, (Step::List, None), |state, params| {
        let intent = params.text("payment_intent")?;
        let of_intent = |id: &str| intent.as_ref().is_none_or(|intent| intent == id);
        let page = state.books.refunds().page(&PageQuery::take(params)?, |refund| of_intent(&refund.payment_intent))?;
        let data = page.items.iter().map(|refund| render::refund(refund)).collect();
        Ok(render::list("/v1/refunds", data, page.has_more))
    })
    .await
}

/// Answers a look-up, when what it saw is on the disk. `subject` is the step, and the id of what is looked up.
async fn get(
    provider: &Provider,
    request: &HttpRequest,
    subject: (Step, Option<&str>),
    look_up: impl FnOnce(&mut State, &mut Params) -> Result<Value, ApiError>,
) -> HttpResponse {
    let mut params = match Params::parse(request.query_string().as_bytes()) {
        Ok(params) => params,
        Err(error) => return respond(error.into()),
    };
    let (step, id) = subject;
    let mut weather = provider.forecast((step, id.or(params.peek("payment_intent"))), &params, None);
    if let Some(reply) = weather.before().await {
        return send(reply, request);
    }
    let found = provider.look_up(|state| {
        let found = look_up(state, &mut params)?;
        params.finish()?;
        Ok(found)
    });
    let answer = match found.await {
        Ok(object) => Answer::ok(object.to_string()),
        Err(error) => error.into(),
    };
    send(weather.after(answer).await, request)
}

/// Answers where nothing is.
pub async fn unrecognized(request: HttpRequest) -> HttpResponse {
    respond(ApiError::unrecognized(request.method().as_str(), request.path()).into())
}

/// Sends a reply by the connection that the request came by.
fn send(reply: Reply, request: &HttpRequest) -> HttpResponse {
    match reply {
        Reply::Answer(answer) => respond(answer),
        Reply::Silence => {
            connection::close(request);
            respond(ApiError::internal().into())
        }
    }
}

/// An answer as a response.
pub fn respond(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.content_type("application/json");
    if let Some(original) = answer.replay_of {
        response.insert_header((IDEMPOTENT_REPLAYED, "true")).insert_header((ORIGINAL_REQUEST, original));
    }
    if let Some(seconds) = answer.retry_after_s {
        response.insert_header((RETRY_AFTER, seconds));
    }
    match answer.status {
        // It is stored under its key: the same request would get the same answer.
        500 => drop(response.insert_header((STRIPE_SHOULD_RETRY, "false"))),
        409 => drop(response.insert_header((STRIPE_SHOULD_RETRY, "true"))),
        _ => {}
    }
    response.body(answer.body)
}
