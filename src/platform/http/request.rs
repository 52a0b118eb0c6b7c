//! A request as handlers see it: the caller, the parameters, the idempotency key.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use futures_util::future::{BoxFuture, LocalBoxFuture};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::audience::Audience;
use super::conditional::{self, is_known, tag};
use super::problem::Problem;
use super::stream_permit::StreamPermit;
use super::{body, json};
use crate::platform::Platform;
use crate::platform::auth::{Caller, Role, VerifiedToken};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Error, IfMatch, Refusal, Result};
use crate::platform::idempotency::{self, CommandResponse, Key, KeyLookup, StoredResponse};
use crate::platform::ids::Id;
use crate::platform::text::{Lines, NOTE_CHARS_MAX, check_text};

pub use super::body::BODY_BYTES_MAX;
pub use super::conditional::{KnownVersionHeader, VersionHeader, read_number};

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
    token: Option<VerifiedToken>,
    audience: PhantomData<A>,
}

impl<A: Audience> FromRequest for Request<A> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(http: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (http, mut payload) = (http.clone(), payload.take());
        Box::pin(async move {
            let platform = platform(&http);
            let token = if A::ROLES.is_empty() { None } else { Some(admit(&platform, &http, A::ROLES)?) };
            let body = body::read(&http, &mut payload).await?;
            Ok(Self { platform, http, body, token, audience: PhantomData })
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

impl<A: Audience> Request<A> {
    /// The caller.
    ///
    /// # Panics
    /// For the audience [`Public`], which is not authenticated.
    pub fn caller(&self) -> Caller {
        self.token.map_or_else(|| unreachable!("an audience with roles has a caller"), |token| token.caller)
    }

    /// Returns the permit for a stream as the response.
    ///
    /// # Errors
    /// As [`StreamPermit::acquire`].
    pub fn stream_permit(&self) -> Result<StreamPermit> {
        StreamPermit::acquire(&self.platform, self.token)
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
        body::check_json(self.http.headers())?;
        json::read_object(&self.body)
    }

    /// The body, which must be a JSON array.
    ///
    /// # Errors
    /// 415, and as [`json::read`].
    pub fn json_array<T: DeserializeOwned>(&self) -> Result<Vec<T>> {
        body::check_json(self.http.headers())?;
        json::read(&self.body)
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

    /// Checks that the raw body has no content coding.
    ///
    /// # Errors
    /// 415
    pub fn check_coding(&self) -> Result<()> {
        Ok(body::check_coding(self.http.headers())?)
    }

    /// The versions that `If-Match` names.
    ///
    /// # Errors
    /// 400 if it has no entity tag.
    pub fn if_match(&self) -> Result<IfMatch> {
        Ok(conditional::if_match(&self.http)?)
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

    /// Responds to a GET of one resource: 304 if the caller has this representation.
    ///
    /// # Errors
    /// If the resource cannot be serialized.
    pub fn respond<T: Serialize>(&self, resource: &T, version: i64) -> Result<HttpResponse, Problem> {
        let body = to_json(resource)?;
        let tag = tag(version, &body);
        if is_known(&self.http, &tag) {
            return Ok(HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish());
        }
        Ok(HttpResponse::Ok().insert_header((header::ETAG, tag)).content_type("application/json").body(body))
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

/// Reads an operator's note from the field `/note`, and trims it.
///
/// # Errors
/// As [`check_text`].
pub fn parse_note(text: &str) -> Result<String, Refusal> {
    let note = text.trim();
    check_text("note", note, NOTE_CHARS_MAX, Lines::Many)?;
    Ok(note.to_owned())
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
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
    /// 200 with the resource, and its `ETag`.
    ///
    /// # Errors
    /// If the resource cannot be serialized.
    pub fn ok<T: Serialize>(resource: &T, version: i64) -> Result<Self> {
        Self::new(200, resource, version)
    }

    /// 201 with the resource, its location, and its `ETag`.
    ///
    /// # Errors
    /// If the resource cannot be serialized.
    pub fn created<T: Serialize>(resource: &T, location: String, version: i64) -> Result<Self> {
        let mut created = Self::new(201, resource, version)?;
        created.headers.push(("Location".to_owned(), location));
        Ok(created)
    }

    fn new<T: Serialize>(status: u16, resource: &T, version: i64) -> Result<Self> {
        let body = to_json(resource)?;
        Ok(Self { status, headers: vec![("ETag".to_owned(), tag(version, &body))], body })
    }
}

fn to_json<T: Serialize>(resource: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(resource).map_err(|error| Error::Bug(error.to_string()))
}
