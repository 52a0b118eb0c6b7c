//! The body of a request: read whole, bounded in size and in time.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};

use crate::platform::error::{Code, Refusal};

/// The maximum size of a body, bytes, except for batches of positions.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// How long a body may take from the end of the headers: a body of the maximum size at one megabit per second.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Reads the whole body. The body of a GET has no meaning (RFC 9110, 9.3.1) and is not read.
///
/// # Errors
/// 413, 408, and 400 for a body that ends early.
pub(super) async fn read(http: &HttpRequest, payload: &mut Payload) -> Result<Bytes, Refusal> {
    if http.method() == Method::GET {
        return Ok(Bytes::new());
    }
    in_time(BODY_TIME_MAX, Bytes::from_request(http, payload)).await?.map_err(|error| {
        match error.as_error::<PayloadError>() {
            Some(PayloadError::Overflow) => Refusal::new(
                Code::BodyTooLarge,
                format!("The body must not exceed {BODY_BYTES_MAX} bytes. Split the request."),
            ),
            _ => Refusal::new(Code::Malformed, "The body ended before its declared length."),
        }
    })
}

async fn in_time<T>(limit: Duration, reading: impl Future<Output = T>) -> Result<T, Refusal> {
    let seconds = limit.as_secs();
    tokio::time::timeout(limit, reading).await.map_err(|_elapsed| {
        let detail =
            format!("The body was not complete after {seconds} s. Send the request again, with its whole body.");
        Refusal::new(Code::RequestTimeout, detail)
    })
}

/// Checks that the body has no content coding: none is supported.
///
/// # Errors
/// 415, whose response names the supported codings.
pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let codings =
        headers.get_all(header::CONTENT_ENCODING).flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_supported = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    if codings.map(<[u8]>::trim_ascii).all(is_supported) {
        return Ok(());
    }
    let detail = "Send the body without `Content-Encoding`: no content coding is supported.";
    Err(Refusal::new(Code::UnsupportedEncoding, detail).field("Content-Encoding", "must be `identity`, or absent"))
}

/// Checks that the body is declared as JSON.
///
/// # Errors
/// 415
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    check_coding(headers)?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
    if kind.is_some_and(|kind| kind == "application/json" || kind.ends_with("+json")) {
        return Ok(());
    }
    let detail = "Send the body as JSON, with `Content-Type: application/json`.";
    Err(Refusal::new(Code::UnsupportedMediaType, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn body_that_never_ends_is_refused_after_the_limit() {
        let refused = in_time(Duration::from_millis(1), std::future::pending::<()>()).await.expect_err("too late");
        assert_eq!(refused.code, Code::RequestTimeout);
        assert_eq!(in_time(BODY_TIME_MAX, std::future::ready(())).await, Ok(()));
    }
}
