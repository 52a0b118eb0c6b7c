//! Where somebody else's API is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The address that an API's paths are put behind: `https://api.example.com`, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    is_this_machine: bool,
    /// Whether what is sent can be read by whoever is on the way.
    is_readable_on_the_way: bool,
}

impl BaseUrl {
    /// As it is put before a path.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is an address of this machine's own.
    pub fn is_this_machine(&self) -> bool {
        self.is_this_machine
    }

    /// Whether what is sent there leaves the machine unencrypted.
    pub fn is_readable_on_the_way(&self) -> bool {
        self.is_readable_on_the_way
    }
}

impl FromStr for BaseUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
        let Some(host) = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")) else {
            return Err("must start with http:// or https:// and name a host".to_owned());
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or a password".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must end with its path".to_owned());
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_this_machine = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let is_readable_on_the_way = url.scheme() == "http" && !is_this_machine;
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), is_this_machine, is_readable_on_the_way })
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
        text.parse::<BaseUrl>().map(|url| (url.to_string(), url.is_readable_on_the_way()))
    }

    #[test]
    fn only_loopback_is_safe_without_tls() {
        for (text, readable) in [
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
            assert_eq!(url.is_readable_on_the_way(), readable, "{text}");
            assert!(!url.as_str().ends_with('/'), "{text}");
        }
    }

    #[test]
    fn a_path_is_kept_and_its_last_slash_is_not() {
        assert_eq!(parsed("https://example.org/stripe/"), Ok(("https://example.org/stripe".to_owned(), false)));
    }

    #[test]
    fn what_is_no_address_of_an_api_is_refused() {
        for wrong in
            ["", "api.stripe.com", "ftp://x", "unix:/x", "https://", "https://u:p@x", "https://x?y", "https://x#y"]
        {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
