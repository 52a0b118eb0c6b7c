//! Checks against cross-site requests. A browser sends forms, simple POSTs and WebSocket handshakes of any page without a CORS
//! preflight; their headers name the page's origin. Programs such as curl send no such headers and pass.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use crate::platform::error::{Code, Refusal, Result};

/// Rejects requests of pages of another origin.
///
/// # Errors
/// [`Code::Forbidden`] for a page of another origin.
pub fn check_origin(headers: &HeaderMap) -> Result<()> {
    let is_cross_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_none_or(|(_, address)| Some(address) != text(headers, HOST.as_str()))
    });
    if is_cross_origin || text(headers, "sec-fetch-site") == Some("cross-site") {
        return Err(Refusal::new(
            Code::Forbidden,
            "A page of another site sent this request. Only pages of this service may send it.",
        )
        .into());
    }
    Ok(())
}

/// Rejects requests whose `Host` is neither an IP address nor `localhost`. An attacker can point any other name at this machine
/// after a page of theirs was loaded (DNS rebinding), and then the page has the same origin.
///
/// # Errors
/// [`Code::Forbidden`] for another name, or none.
pub fn check_host(headers: &HeaderMap) -> Result<()> {
    if text(headers, HOST.as_str()).is_some_and(is_address_or_localhost) {
        return Ok(());
    }
    let detail = "Only requests to an IP address or localhost are served here, because any site can point its name to this machine.";
    Err(Refusal::new(Code::Forbidden, detail).into())
}

/// Whether `host`, with or without a port, is an IP address or `localhost`.
fn is_address_or_localhost(host: &str) -> bool {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.starts_with(':'));
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    name.parse::<Ipv4Addr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_other_than_localhost_are_rejected() {
        for host in
            ["127.0.0.1:8080", "10.0.0.7", "[::1]:8080", "[::1]", "localhost:8080", "LocalHost", "a.localhost:1"]
        {
            assert!(is_address_or_localhost(host), "{host}");
        }
        for host in
            ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "notlocalhost", ""]
        {
            assert!(!is_address_or_localhost(host), "{host}");
        }
    }
}
