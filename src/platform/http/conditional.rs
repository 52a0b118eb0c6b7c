//! Conditional requests (RFC 9110, 13): the entity tag of a response, `If-None-Match` and `If-Match`.

use actix_web::HttpRequest;
use actix_web::http::header::{EntityTag, Header as _, IF_MATCH, IfMatch as IfMatchHeader, IfNoneMatch};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::platform::error::{Code, IfMatch, Refusal};

/// The header `If-Match`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`if_match` reads the header itself")]
pub struct VersionHeader {
    /// The `ETag` that the resource must still have, or a list of them; otherwise the response is 412. A weak tag never matches. `*`, or
    /// no header, skips the check.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[0-9]{1,18}(-[0-9a-f]{16})?")$"#, example = "\"3\"")]
    version: Option<String>,
}

/// The header `If-None-Match`, for the OpenAPI document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`is_known` reads the header itself")]
pub struct KnownVersionHeader {
    /// The `ETag` that you have; 304 without a body if it is still the current one.
    #[param(rename = "If-None-Match", example = "\"3\"")]
    version: Option<String>,
}

/// The length of the digest in a tag, bytes. It tells apart the few bodies of one version.
const DIGEST_BYTES: usize = 8;

/// Returns the strong entity tag of a representation, in quotes: the resource's version, and a digest of the body. Bodies of one version
/// differ by viewer: only the rider sees the PIN.
pub(super) fn tag(version: i64, body: &[u8]) -> String {
    format!("\"{version}-{}\"", hex::encode(&Sha256::digest(body)[..DIGEST_BYTES]))
}

/// Returns whether `If-None-Match` names the current tag, so that the response is 304. The comparison is weak, as a cache may have
/// weakened the tag.
pub fn is_known(http: &HttpRequest, current: &str) -> bool {
    match (IfNoneMatch::parse(http), current.parse::<EntityTag>()) {
        (Ok(IfNoneMatch::Any), _) => true,
        (Ok(IfNoneMatch::Items(tags)), Ok(current)) => tags.iter().any(|tag| tag.weak_eq(&current)),
        _ => false,
    }
}

/// Reads `If-Match`. The comparison is strong: a weak tag, and a tag that is not of this service, match no version. Only the version counts:
/// a command changes the resource, not one viewer's body, and a client may know the version from an event.
///
/// # Errors
/// 400 if the header has no entity tag.
pub(super) fn if_match(http: &HttpRequest) -> Result<IfMatch, Refusal> {
    if !http.headers().contains_key(IF_MATCH) {
        return Ok(IfMatch::Any);
    }
    match IfMatchHeader::parse(http) {
        Ok(IfMatchHeader::Any) => Ok(IfMatch::Any),
        Ok(IfMatchHeader::Items(tags)) if !tags.is_empty() => {
            Ok(IfMatch::Versions(tags.iter().filter(|tag| !tag.weak).filter_map(|tag| version_of(tag.tag())).collect()))
        }
        _ => {
            let detail = "must be the `ETag` of an earlier response, or `*`";
            Err(Refusal::new(Code::Malformed, format!("`If-Match` {detail}.")).field("If-Match", detail))
        }
    }
}

/// Returns the version in the text of a tag: with the digest, or alone.
fn version_of(tag: &str) -> Option<i64> {
    let (version, digest) = tag.split_once('-').unwrap_or((tag, ""));
    let is_of_this_service = digest.len() == 2 * DIGEST_BYTES || digest.is_empty() && !tag.ends_with('-');
    is_of_this_service.then(|| read_number(version))?
}

/// Parses a number in a header: at most 18 digits, as published, so that it fits an `i64`.
pub fn read_number(text: &str) -> Option<i64> {
    let is_number = text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn tag_names_one_body_of_one_version() {
        let (rider, other) = (tag(7, b"{\"pin\": \"0000\"}"), tag(7, b"{}"));
        assert_eq!(other, "\"7-44136fa355b3678a\"");
        assert_ne!(rider, other);
        let knows = |header: &str, tag: &str| {
            is_known(&TestRequest::default().insert_header(("If-None-Match", header)).to_http_request(), tag)
        };
        for known in [rider.clone(), format!("W/{rider}"), format!("\"6\", {rider}"), "*".to_owned()] {
            assert!(knows(&known, &rider), "{known}");
        }
        for unknown in [other.as_str(), "\"7\"", "\"x\", *", "7", ""] {
            assert!(!knows(unknown, &rider), "{unknown}");
        }
    }

    #[test]
    fn if_match_takes_strong_tags_only() {
        let read =
            |header: &str| if_match(&TestRequest::default().insert_header(("If-Match", header)).to_http_request());
        for (header, versions) in [
            ("\"3\"", vec![3]),
            ("\"3-44136fa355b3678a\"", vec![3]),
            ("\"3\", \"4-44136fa355b3678a\"", vec![3, 4]),
            ("W/\"3\"", vec![]),
            ("W/\"3\", \"4\"", vec![4]),
            ("\"another\"", vec![]),
            ("\"3-\"", vec![]),
            ("\"3-4\"", vec![]),
            ("\"-3\"", vec![]),
            ("\"9999999999999999999\"", vec![]),
        ] {
            assert_eq!(read(header), Ok(IfMatch::Versions(versions)), "{header}");
        }
        assert_eq!(read("*"), Ok(IfMatch::Any));
        for malformed in ["", "3", "nonsense", "W/", "\"3"] {
            assert_eq!(read(malformed).map_err(|refusal| refusal.code), Err(Code::Malformed), "{malformed}");
        }
    }
}
