//! Pages of other people's. A browser sends some requests wherever a page wants, with no question asked beforehand: forms, simple
//! POSTs, WebSockets. What says who is behind one is in its head. Programs such as curl say nothing and are no page.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_web::http::header::{HOST, HeaderMap, ORIGIN};

use crate::platform::error::{Code, Refusal, Result};

/// Lets through what no page sent, and pages that came from here.
///
/// # Errors
/// [`Code::Forbidden`] for a page of another origin.
pub fn refuse_strangers(headers: &HeaderMap) -> Result<()> {
    let is_foreign = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_none_or(|(_, address)| Some(address) != text(headers, HOST.as_str()))
    });
    if is_foreign || text(headers, "sec-fetch-site") == Some("cross-site") {
        return Err(
            Refusal::new(Code::Forbidden, "A page of another site sent this. Only pages of this service may.").into()
        );
    }
    Ok(())
}

/// Lets through only what was sent to an IP address or to `localhost`. Any other name may be somebody's who points it at this
/// machine when the page is open already (DNS rebinding), and then the page is of the same origin.
///
/// # Errors
/// [`Code::Forbidden`] for another name, or none.
pub fn refuse_names(headers: &HeaderMap) -> Result<()> {
    if text(headers, HOST.as_str()).is_some_and(is_nobodys_name) {
        return Ok(());
    }
    let detail = "The sandbox answers only at an IP address or at localhost: a name could be pointed here by anybody.";
    Err(Refusal::new(Code::Forbidden, detail).into())
}

/// Whether `host`, with or without a port, is an address or a `localhost`.
fn is_nobodys_name(host: &str) -> bool {
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
    fn only_addresses_and_localhost_are_nobodys_names() {
        for host in
            ["127.0.0.1:8080", "10.0.0.7", "[::1]:8080", "[::1]", "localhost:8080", "LocalHost", "a.localhost:1"]
        {
            assert!(is_nobodys_name(host), "{host}");
        }
        for host in
            ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "notlocalhost", ""]
        {
            assert!(!is_nobodys_name(host), "{host}");
        }
    }
}
