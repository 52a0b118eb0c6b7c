//! The base URL of an external API.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The URL that an API's paths are appended to: `https://api.example.com`, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    is_loopback: bool,
    is_plaintext_remote: bool,
}

impl BaseUrl {
    /// The URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Whether requests leave the machine unencrypted.
    pub fn is_plaintext_remote(&self) -> bool {
        self.is_plaintext_remote
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err("must start with http:// or https:// and contain a host".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not contain a user or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not contain a query or a fragment".to_owned());
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let is_plaintext_remote = url.scheme() == "http" && !is_loopback;
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), is_loopback, is_plaintext_remote })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<(String, bool), String> {
        text.parse::<BaseUrl>().map(|url| (url.to_string(), url.is_plaintext_remote()))
    }

    #[test]
    fn plain_http_is_safe_only_to_loopback() {
        for (text, plaintext) in [
            ("https://api.stripe.com", false),
            ("https://api.stripe.com/", false),
            ("http://127.0.0.1:12111", false),
            ("http://127.8.9.10", false),
            ("http://[::1]:12111/", false),
            ("http://localhost:12111", false),
            ("http://psp-sim:12111", true),
            ("http://localhost.example.org", true),
            ("http://10.0.0.1", true),
            ("http://0.0.0.0:80", true),
        ] {
            let url = text.parse::<BaseUrl>().expect(text);
            assert_eq!(url.is_plaintext_remote(), plaintext, "{text}");
            assert!(!url.as_str().ends_with('/'), "{text}");
        }
    }

    #[test]
    fn trailing_slash_is_removed() {
        assert_eq!(parsed("https://example.org/stripe/"), Ok(("https://example.org/stripe".to_owned(), false)));
    }

    #[test]
    fn invalid_base_url_is_an_error() {
        for wrong in
            ["", "api.stripe.com", "ftp://x", "unix:/x", "https://", "https://u:p@x", "https://x?y", "https://x#y"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
