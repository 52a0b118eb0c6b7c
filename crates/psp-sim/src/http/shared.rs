//! What all routes share: the credentials, the application data and the form of a response.

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::{Choice, ConstantTimeEq};

use crate::api_error::ApiError;
use crate::provider::Provider;
use crate::response::Response;

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const ORIGINAL_REQUEST: HeaderName = HeaderName::from_static("original-request");
const STRIPE_SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");

/// The provider, as application data.
pub type Shared = web::Data<Provider>;

/// The accepted values of `Authorization`.
pub struct Credentials([String; 2]);

impl Credentials {
    /// The values for a secret key: bearer token, and user name of basic authentication.
    pub fn new(secret_key: &str) -> Self {
        let basic = BASE64_STANDARD.encode(format!("{secret_key}:"));
        Self([format!("Bearer {secret_key}"), format!("Basic {basic}")])
    }

    /// Whether the request carries one of the values. Compares in constant time.
    pub fn accepts(&self, request: &ServiceRequest) -> bool {
        let sent = request.headers().get(AUTHORIZATION).map_or(&[][..], HeaderValue::as_bytes);
        let matches = self.0.iter().map(|known| known.as_bytes().ct_eq(sent));
        matches.fold(Choice::from(0), |any, this| any | this).into()
    }
}

/// The application data that `start` has set.
pub fn app_data<T: 'static>(request: &ServiceRequest) -> &T {
    request.app_data::<T>().expect("`start` sets it")
}

/// Responds to an unknown URL.
pub async fn unrecognized(request: HttpRequest) -> HttpResponse {
    respond(ApiError::unrecognized(request.method().as_str(), request.path()).into())
}

/// Converts to an HTTP response.
pub fn respond(response: Response) -> HttpResponse {
    let status = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut http = HttpResponse::build(status);
    http.content_type("application/json");
    if let Some(original) = response.replay_of {
        http.insert_header((IDEMPOTENT_REPLAYED, "true")).insert_header((ORIGINAL_REQUEST, original));
    }
    if let Some(seconds) = response.retry_after_s {
        http.insert_header((RETRY_AFTER, seconds));
    }
    match response.status {
        // It is stored under its key: a retry gets the same response.
        500 => drop(http.insert_header((STRIPE_SHOULD_RETRY, "false"))),
        409 => drop(http.insert_header((STRIPE_SHOULD_RETRY, "true"))),
        _ => {}
    }
    http.body(response.body)
}
