//! A request as the rooms see it: who asks, what for, under which key.

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

use super::json;
use super::problem::Problem;
use crate::platform::Platform;
use crate::platform::auth::{Caller, Pass, Role};
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::idempotency::{self, Answer, Answered, Entered, Key};
use crate::platform::ids::Id;

/// The longest body of a request that is not a batch of positions.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The roles that an operation is for.
pub trait Audience: 'static {
    /// Empty: no token is needed.
    const ROLES: &'static [Role];
}

macro_rules! audiences {
    ($($(#[$doc:meta])* $name:ident = [$($role:ident),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Audience for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),*];
        }
    )*};
}

audiences! {
    /// Anybody, with no token.
    Everybody = [];
    /// Riders.
    Riders = [Rider];
    /// Drivers.
    Drivers = [Driver];
    /// Device gateways.
    Gateways = [Gateway];
    /// Operators.
    Operators = [Ops];
    /// The two sides of a trip.
    RidersAndDrivers = [Rider, Driver];
    /// Drivers, and operators in their place.
    DriversAndOperators = [Driver, Ops];
    /// Riders, and operators who look over their shoulder.
    RidersAndOperators = [Rider, Ops];
    /// Everybody who may look at a trip.
    Participants = [Rider, Driver, Ops];
}

/// The key of a command, for the published document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::command` reads it from the bare request")]
pub struct KeyHeader {
    /// 1 to 255 visible ASCII characters of your own, new for each request; the same again for a repeat of the same request, which
    /// gets the same answer for 24 hours.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        example = "6f1c0a52-8c1f-4a57-9a3e-0d5f4c1c2b7e"
    )]
    key: String,
}

/// The version that a command is meant for, for the published document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::if_match` reads it from the bare request")]
pub struct VersionHeader {
    /// The `ETag` that the resource must still have: 412 if it has another one by now. `*` and absence demand nothing.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[0-9]{1,18}")$"#, example = "\"3\"")]
    version: Option<String>,
}

/// The version that the caller has, for the published document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`Request::respond` reads it from the bare request")]
pub struct KnownVersionHeader {
    /// The `ETag` that you have; 304 without a body if it is still the current one.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    version: Option<String>,
}

/// Where a stream goes on, for the published document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "streams read it from the bare request")]
pub struct LastEventHeader {
    /// The `id` of the last event of the stream that you have: it goes on with the next one. Browsers send it by themselves.
    #[param(rename = "Last-Event-ID", pattern = "^[0-9]{1,18}$", example = "4")]
    last: Option<String>,
}

/// The body of a command that has no fields: an empty object, or nothing at all.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct NoFields {}

/// An authenticated request of one of the audience's roles, its body read whole.
#[derive(Debug)]
pub struct Request<A> {
    /// The platform that serves it.
    pub platform: Platform,
    /// The bare request.
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
pub(super) fn admit(platform: &Platform, http: &HttpRequest, roles: &[Role]) -> Result<Pass> {
    let authorization = http.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let pass = platform.tokens.authenticate(authorization, platform.clock.machine())?;
    let caller = pass.caller;
    let verdict = platform.limits.check(caller);
    http.extensions_mut().insert(verdict);
    if let Some(seconds) = verdict.retry_after_s {
        return Err(Refusal::new(
            Code::RateLimited,
            format!("More than {} requests a second. Slow down.", verdict.per_second),
        )
        .retry_after(seconds)
        .into());
    }
    if roles.contains(&caller.role) {
        return Ok(pass);
    }
    let welcome: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    Err(Refusal::new(
        Code::Forbidden,
        format!("This is for the role {}; your token's role is {}.", welcome.join(" or "), caller.role.as_str()),
    )
    .into())
}

fn body_problem(error: actix_web::Error) -> Problem {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => {
            Refusal::new(Code::BodyTooLarge, format!("The body must not exceed {BODY_BYTES_MAX} bytes.")).into()
        }
        _ => Refusal::new(Code::Malformed, "The body ended before it was complete.").into(),
    }
}

impl<A: Audience> Request<A> {
    /// Who asks.
    ///
    /// # Panics
    /// For an audience of everybody, who has no name.
    pub fn caller(&self) -> Caller {
        self.caller.unwrap_or_else(|| unreachable!("an audience with roles has a caller"))
    }

    /// The id in the path.
    ///
    /// # Errors
    /// 400 that says which prefix was expected.
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
    /// 400 that names the parameter, where it can be told.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        let deserializer = serde_urlencoded::Deserializer::new(form_pairs(self.http.query_string()));
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let fault = json::at_fault(error.path(), error.inner());
            let name = fault.pointer.trim_start_matches('/').to_owned();
            Refusal::new(Code::Malformed, format!("The query cannot be read: {}.", fault.detail))
                .field(name, fault.detail)
                .into()
        })
    }

    /// The version that `If-Match` demands; `*` demands nothing.
    ///
    /// # Errors
    /// 400 if it is not one of our tags.
    pub fn if_match(&self) -> Result<Option<i64>> {
        let Some(value) = self.http.headers().get(header::IF_MATCH) else { return Ok(None) };
        let text = value.to_str().unwrap_or_default();
        if text == "*" {
            return Ok(None);
        }
        let wrong = || Refusal::new(Code::Malformed, "`If-Match` must be the `ETag` of an earlier answer, or `*`.");
        Ok(Some(version_of(text).ok_or_else(wrong)?))
    }

    /// Runs a keyed command: the key's syntax, its look-up and replay first; then `parse` reads the rest of the request; then
    /// `build` runs in one transaction with the key, and `render` makes the answer that is stored and sent.
    ///
    /// # Errors
    /// The problem document of whatever refused it.
    pub async fn command<I, T>(
        self,
        parse: impl FnOnce(&Self) -> Result<I>,
        build: impl for<'a> Fn(&'a mut Tx, &'a I) -> BoxFuture<'a, Result<T>> + Send + Sync + 'static,
        render: impl Fn(&T) -> Result<Answer> + Send + Sync + 'static,
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
        let key_id = self.platform.dice.uuid(now);
        match idempotency::enter(&self.platform.db, &self.platform.gate, key, key_id, now).await? {
            Entered::Replay(answer) => Ok(send(answer, true)),
            Entered::First(ticket) => {
                let input = parse(&self)?;
                match ticket.run(input, build, render).await? {
                    Answered::Now(answer) => Ok(send(answer, false)),
                    Answered::Replayed(answer) => Ok(send(answer, true)),
                }
            }
        }
    }

    /// Answers a GET of a single resource: 304 when the caller has this version.
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

/// Reads an id.
///
/// # Errors
/// 400 that says which prefix was expected.
pub fn parse_id<T: Id + std::str::FromStr<Err = crate::platform::ids::InvalidId>>(text: &str, name: &str) -> Result<T> {
    text.parse().map_err(|error: crate::platform::ids::InvalidId| {
        Refusal::new(Code::InvalidId, format!("`{name}`: {error}.")).field(name, error.to_string()).into()
    })
}

/// The version in one of our tags: `"3"`, or `W/"3"` after somebody has compressed the answer.
fn version_of(tag: &str) -> Option<i64> {
    read_number(tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?)
}

/// The number in a header: 1 to 18 digits, as it is published, so that each fits an `i64`.
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

fn send(answer: Answer, replayed: bool) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(answer.status);
    let mut response = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    if replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    response.content_type("application/json").body(answer.body)
}

impl Answer {
    /// 200 with this resource and its version as `ETag`.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
    pub fn ok<T: Serialize>(resource: &T, version: i64) -> Result<Self> {
        Self::new(200, resource)?.header("ETag", format!("\"{version}\""))
    }

    /// 201 with this resource and where it is.
    ///
    /// # Errors
    /// If it cannot be written as JSON.
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
