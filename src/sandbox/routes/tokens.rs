//! Tokens for any role.

use actix_web::{HttpResponse, web};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::platform::auth::{Caller, Role};
use crate::platform::clock::MachineTime;
use crate::platform::error::{Code, Refusal};
use crate::platform::http::{HttpResult, Public, Request};
use crate::sandbox::Sandbox;

/// A day: longer than anyone plays with one token.
const TOKEN_TTL: TimeDelta = TimeDelta::hours(24);

/// The caller that a token is for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    /// The bearer's role.
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
    /// The bearer's id.
    #[schema(pattern = "^(rdr|drv|gwy|ops)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "rdr_01jd3n4c2sf9v7x0b3m6q8w1ek")]
    subject: String,
    /// When it expires (machine time).
    expires_at: MachineTime,
}

/// Create a token
///
/// For any role and subject, without authentication. It expires after a day. The production service has no such operation: it only verifies
/// the tokens of another issuer.
#[utoipa::path(post, path = "/v1/sandbox/tokens", tag = "sandbox", operation_id = "create_token",
    request_body = TokenRequest, security(()),
    responses((status = 201, description = "The token", body = TokenBody)))]
pub(super) async fn create(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let body: TokenRequest = request.json()?;
    let platform = &request.platform;
    let now = platform.clock.machine();
    let subject = match &body.subject {
        None => platform.random.uuid(now),
        Some(text) => body.role.parse_subject(text).map_err(|error| {
            Refusal::new(Code::InvalidId, format!("`subject`: {error}.")).field("/subject", error.to_string())
        })?,
    };
    let caller = Caller { role: body.role, subject };
    let expires_at = now + TOKEN_TTL;
    let token = sandbox.token_key.issue(caller, expires_at, &sandbox.expected_claims).ok_or_else(|| {
        let detail = "The service has only a public key, which cannot sign tokens. Start it with --jwt-secret.";
        Refusal::new(Code::Unavailable, detail)
    })?;
    Ok(HttpResponse::Created().json(TokenBody { token, subject: caller.to_string(), expires_at }))
}
