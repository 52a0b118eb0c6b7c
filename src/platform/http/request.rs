//! A request as handlers see it: the caller, the parameters, the idempotency key.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::audience::Audience;
use super::json;
use super::problem::Problem;
use crate::platform::Platform;
use crate::platform::auth::{Caller, Role, VerifiedToken};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::idempotency::{self, CommandResponse, Key, KeyLookup, StoredResponse};
use crate::platform::ids::Id;

/// The maximum size of a body, bytes, except for batches of positions.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The header `Idempotency-Key`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::command` reads the header itself")]
pub struct KeyHeader {
    /// 1 to 255 visible ASCII characters, new for each request. Repeat a request with its key: for 24 hours it gets the same response.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "6f1c0a52-8c1f-4a57-9a3e-0d5f4c1c2b7e"
    )]
    key: String,
}

/// The header `If-Match`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::if_match` reads the header itself")]
pub struct VersionHeader {
    /// The `ETag` that the resource must still have; otherwise the response is 412. `*`, or no header, skips the check.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[0-9]{1,18}")$"#, example = "\"3\"")]
    version: Option<String>,
}

/// The header `If-None-Match`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::respond` reads the header itself")]
pub struct KnownVersionHeader {
    /// The `ETag` that you have; 304 without a body if it is still the current one.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    version: Option<String>,
}

/// The header `Last-Event-ID`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "streams read the header themselves")]
pub struct LastEventHeader {
    /// The `id` of the last event received. The stream resumes after it. Browsers send the header when they reconnect.
    #[param(rename = "Last-Event-ID", pattern = "^[0-9]{1,18}$", example = "4")]
    last: Option<String>,
}

/// The body of a command without fields: empty, or an empty object.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct NoFields {}

/// An authenticated request of one of the audience's roles, with its whole body.
#[derive(Debug)]
pub struct Request<A> {
    /// The platform.
    pub platform: Platform,
    /// The actix request.
    pub http: HttpRequest,
    /// The raw body.
    pub body: Bytes,
    caller: Option<Caller>,
    audience: PhantomData<A>,
}

impl<A: Audience> FromRequest for Request<A> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (http, mut payload) = (http.clone(), payload.take());
        Box::pin(async move {
            let platform = platform(&http);
            let caller = if A::ROLES.is_empty() { None } else { Some(admit(&platform, &http, A::ROLES)?.caller) };
            let body = Bytes::from_request(&http, &mut payload).await.map_err(body_problem)?;
            Ok(Self { platform, http, body, caller, audience: PhantomData })
        })
    }
}

pub(super) fn platform(http: &HttpRequest) -> Platform {
    match http.app_data::<web::Data<Platform>>() {
        Some(platform) => platform.get_ref().clone(),
        None => unreachable!("startup gives every worker the platform"),
    }
}

/// Authenticates, checks the role and counts against the rate limit.
pub(super) fn admit(platform: &Platform, http: &HttpRequest, roles: &[Role]) -> Result<VerifiedToken> {
    let authorization = http.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = platform.tokens.authenticate(authorization, platform.clock.machine())?;
    let caller = token.caller;
    let status = platform.limits.check(caller);
    http.extensions_mut().insert(status);
    if let Some(seconds) = status.retry_after_s {
        return Err(Refusal::new(
            Code::RateLimited,
            format!("You exceeded {} requests per second. Wait {seconds} s.", status.per_second),
        )
        .retry_after(seconds)
        .into());
    }
    if roles.contains(&caller.role) {
        return Ok(token);
    }
    let allowed: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    Err(Refusal::new(
        Code::Forbidden,
        format!(
            "The operation requires the role {}; the token's role is {}.",
            allowed.join(" or "),
            caller.role.as_str()
        ),
    )
    .into())
}

fn body_problem(error: actix_web::Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => Refusal::new(
            Code::BodyTooLarge,
            format!("The body must not exceed {BODY_BYTES_MAX} bytes. Split the request."),
        )
        .into(),
        _ => Refusal::new(Code::Malformed, "The body ended before its declared length.").into(),
    }
}

impl<A: Audience> Request<A> {
    /// The caller.
    ///
    /// # Panics
    /// For the audience [`Public`], which is not authenticated.
    pub fn caller(&self) -> Caller {
        self.caller.unwrap_or_else(|| unreachable!("an audience with roles has a caller"))
    }

    /// The id in the path parameter `name`.
    ///
    /// # Errors
    /// 400 that names the expected prefix.
    pub fn id<T: Id + std::str::FromStr<Err = crate::platform::ids::InvalidId>>(&self, name: &str) -> Result<T> {
        parse_id(self.http.match_info().query(name), name)
    }

    /// The body, which must be a JSON object.
    ///
    /// # Errors
    /// 415, and as [`json::read_object`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        self.must_be_json()?;
        json::read_object(&self.body)
    }

    /// The body, which must be a JSON array.
    ///
    /// # Errors
    /// 415, and as [`json::read`].
    pub fn json_array<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        self.must_be_json()?;
        json::read(&self.body)
    }

    fn must_be_json(&self) -> Result<()> {
        let kind = content_type(self.http.headers());
        if kind.is_some_and(|kind| kind == "application/json" || kind.ends_with("+json")) {
            return Ok(());
        }
        let detail = "Send the body as JSON, with `Content-Type: application/json`.";
        Err(Refusal::new(Code::UnsupportedMediaType, detail).into())
    }

    /// The body of a command that has no fields: nothing, or an empty object.
    ///
    /// # Errors
    /// As [`Request::json`].
    pub fn no_fields(&self) -> Result<()> {
        if self.body.is_empty() { Ok(()) } else { self.json::<NoFields>().map(|NoFields {}| ()) }
    }

    /// The query string.
    ///
    /// # Errors
    /// 400 that names the parameter, where serde names it.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        let deserializer = serde_urlencoded::Deserializer::new(form_pairs(self.http.query_string()));
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let field = json::field_error(error.path(), error.inner());
            let name = field.pointer.trim_start_matches('/').to_owned();
            Refusal::new(Code::Malformed, format!("The query is invalid: {}.", field.detail))
                .field(name, field.detail)
                .into()
        })
    }

    /// The version that `If-Match` demands; `None` for `*` or no header.
    ///
    /// # Errors
    /// 400 if it is not an `ETag` of this service.
    pub fn if_match(&self) -> Result<Option<i64>> {
        let Some(value) = self.http.headers().get(header::IF_MATCH) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        if text == "*" {
            return Ok(None);
        }
        let invalid = || Refusal::new(Code::Malformed, "`If-Match` must be the `ETag` of an earlier response, or `*`.");
        Ok(Some(version_of(text).ok_or_else(invalid)?))
    }

    /// Runs a command under its idempotency key. First it validates and looks up the key; then `parse` reads the rest of the
    /// request; then `build` runs in one transaction with the key, and `render` makes the response that is stored and sent.
    ///
    /// # Errors
    /// The problem of the step that failed.
    pub async fn command<I, T>(
        self,
        parse: impl FnOnce(&Self) -> Result<I>,
        build: impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
        render: impl Fn(&T) -> Result<StoredResponse> + Send + Sync + 'static,
    ) -> Result<HttpResponse, Problem>
    where
        I: Send + Sync + 'static,
        T: Send + Sync + 'static,
    {
        let header = self.http.headers().get("idempotency-key").map(|value| value.as_bytes());
        let fingerprint = idempotency::fingerprint(
            self.http.method().as_str(),
            self.http.path(),
            self.http.query_string(),
            &self.body,
        );
        let key = Key::new(self.caller(), header, fingerprint)?;
        let now = self.platform.clock.machine();
        let key_id = self.platform.random.uuid(now);
        match idempotency::look_up(&self.platform.db, &self.platform.key_locks, key, key_id, now).await? {
            KeyLookup::Replay(response) => Ok(send(response, true)),
            KeyLookup::Unused(execution) => {
                let input = parse(&self)?;
                match execution.run(input, build, render).await? {
                    CommandResponse::Executed(response) => Ok(send(response, false)),
                    CommandResponse::Replayed(response) => Ok(send(response, true)),
                }
            }
        }
    }

    /// Responds to a GET of one resource: 304 if the caller has this version.
    pub fn respond<T: Serialize>(&self, resource: &T, version: i64) -> HttpResponse {
        let tag = format!("\"{version}\"");
        let known = self.http.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let is_tag = |one: &str| one == "*" || one.trim_start_matches("W/") == tag;
        let is_known = known.is_some_and(|known| known.split(',').map(str::trim).any(is_tag));
        if is_known {
            return HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish();
        }
        HttpResponse::Ok().insert_header((header::ETAG, tag)).json(resource)
    }
}

/// Parses the id in the parameter `name`.
///
/// # Errors
/// 400 that names the expected prefix.
pub fn parse_id<T: Id + std::str::FromStr<Err = crate::platform::ids::InvalidId>>(text: &str, name: &str) -> Result<T> {
    text.parse().map_err(|error: crate::platform::ids::InvalidId| {
        Refusal::new(Code::InvalidId, format!("`{name}`: {error}.")).field(name, error.to_string()).into()
    })
}

/// The longest note of an operator, characters.
const NOTE_CHARS_MAX: usize = 500;

/// Reads an operator's note from the field `/note`, and trims it.
///
/// # Errors
/// 422 if it is empty, too long, or has a NUL character, which PostgreSQL does not store.
pub fn parse_note(text: &str) -> Result<String, Refusal> {
    let note = text.trim();
    if (1..=NOTE_CHARS_MAX).contains(&note.chars().count()) && !note.contains('\0') {
        return Ok(note.to_owned());
    }
    let detail = format!("must have 1 to {NOTE_CHARS_MAX} characters");
    Err(Refusal::new(Code::InvalidRequest, format!("`note` {detail}.")).field("/note", detail))
}

/// The version in an `ETag`: `"3"`, or `W/"3"` after a proxy compressed the response.
fn version_of(tag: &str) -> Option<i64> {
    read_number(tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?)
}

/// Parses a number in a header: at most 18 digits, as published, so that it fits an `i64`.
pub fn read_number(text: &str) -> Option<i64> {
    let is_number = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next()?.trim().to_ascii_lowercase())
}

fn send(stored: StoredResponse, replayed: bool) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(stored.status);
    let mut response = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in stored.headers {
        response.insert_header((name, value));
    }
    if replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    response.content_type("application/json").body(stored.body)
}

impl StoredResponse {
    /// 200 with the resource, and its version as `ETag`.
    ///
    /// # Errors
    /// If the resource cannot be serialized.
    pub fn ok<T: Serialize>(resource: &T, version: i64) -> Result<Self> {
        Self::new(200, resource)?.header("ETag", format!("\"{version}\""))
    }

    /// 201 with the resource, its location, and its version as `ETag`.
    ///
    /// # Errors
    /// If the resource cannot be serialized.
    pub fn created<T: Serialize>(resource: &T, location: String, version: i64) -> Result<Self> {
        Self::new(201, resource)?.header("Location", location)?.header("ETag", format!("\"{version}\""))
    }

    fn new<T: Serialize>(status: u16, resource: &T) -> Result<Self> {
        let body =
            serde_json::to_vec(resource).map_err(|error| crate::platform::error::Error::Bug(error.to_string()))?;
        Ok(Self { status, headers: Vec::new(), body })
    }

    #[expect(clippy::unnecessary_wraps, reason = "reads as a chain")]
    fn header(mut self, name: &str, value: String) -> Result<Self> {
        self.headers.push((name.to_owned(), value));
        Ok(self)
    }
}
