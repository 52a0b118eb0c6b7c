//! Tokens for everybody.

use actix_web::HttpResponse;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::auth::{Caller, Role};
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Refusal};
use crate::platform::http::{Everybody, Reply, Request};

/// How long a token is good for: a day of playing.
const TOKEN_TTL: TimeDelta = TimeDelta::hours(24);

/// Whom a token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// What its bearer may do.
    role: Role,
    /// An id with the role's prefix (`rdr_`, `drv_`, `gwy_`, `ops_`); a new one if absent.
    #[schema(pattern = "^(rdr|drv|gwy|ops)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "rdr_01jd3n4c2sf9v7x0b3m6q8w1ek")]
    subject: Option<String>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
struct TokenBody {
    /// A JWT for `Authorization: Bearer …`.
    #[schema(pattern = r"^[\w-]+\.[\w-]+\.[\w-]+$", example = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl")]
    token: String,
    /// Whose it is.
    #[schema(pattern = "^(rdr|drv|gwy|ops)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "rdr_01jd3n4c2sf9v7x0b3m6q8w1ek")]
    subject: String,
    /// When it stops being good (machine time).
    expires_at: MachineTime,
}

/// Get a token
///
/// For any role, and for any subject: this is the sandbox. It is good for a day. In production tokens are made elsewhere, and there is no
/// such address.
#[utoipa::path(post, path = "/v1/sandbox/tokens", tag = "sandbox", operation_id = "create_token",
    request_body = TokenRequest, security(()),
    responses((status = 201, description = "The token", body = TokenBody)))]
pub(super) async fn token(request: Request<Everybody>) -> Reply {
    let body: TokenRequest = request.json()?;
    let platform = &request.platform;
    let now = platform.clock.machine();
    let subject = match &body.subject {
        None => platform.dice.uuid(now),
        Some(text) => body.role.parse_subject(text).map_err(|error| {
            Refusal::new(Code::InvalidId, format!("`subject`: {error}.")).field("/subject", error.to_string())
        })?,
    };
    let caller = Caller { role: body.role, subject };
    let expires_at = now + TOKEN_TTL;
    let token = platform.tokens.issue(caller, expires_at).ok_or_else(|| {
        Refusal::new(Code::Unavailable, "Only a public key is configured: tokens are made elsewhere.")
    })?;
    Ok(HttpResponse::Created().json(TokenBody { token, subject: caller.to_string(), expires_at }))
}
