//! The HTTP client for webhook endpoints, whose URLs their owners choose. It must not reach our own network (SSRF).
//!
//! The check happens when the connection is made: the resolver checks every address of a name, and the connection goes to one of
//! the checked addresses. There is no second lookup that could return another address (DNS rebinding). The client follows no
//! redirect, uses no proxy from the environment, keeps no connection, and reads only the status of a response.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::platform::crypto;
use crate::platform::error::{Error, Result};
use crate::platform::names::string_enum;

/// The timeout of connecting, name resolution included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout of a whole call. A receiver stores the event, responds, and does further work afterwards.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of a URL.
const URL_BYTES_MAX: usize = 2_048;

/// The allowed ports: HTTPS and its usual alternative. Other ports more likely belong to a database than to a web server.
const PORTS: [u16; 2] = [443, 8443];

/// Which addresses may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressPolicy {
    /// The public internet, by HTTPS.
    PublicOnly,
    /// Also this machine, on any port and by HTTP. For development only: the owner of an endpoint can then reach every process
    /// that listens here.
    PublicAndLoopback,
}

impl AddressPolicy {
    /// Whether an address may be called.
    pub fn allows(self, ip: IpAddr) -> bool {
        is_public(ip) || (self == Self::PublicAndLoopback && ip.is_loopback())
    }
}

/// Why a URL is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute URL, or too long.
    #[error("must be an absolute URL of at most {URL_BYTES_MAX} bytes")]
    NotAUrl,
    /// Unencrypted.
    #[error("must start with https://")]
    Scheme,
    /// Secrets do not belong into a URL, and a fragment is never sent.
    #[error("must not contain a user, a password or a fragment")]
    CredentialsOrFragment,
    /// Not an allowed port.
    #[error("must be on port 443 or 8443")]
    Port,
    /// A private or special-purpose address.
    #[error("must be a public address")]
    NotPublic,
}

/// A URL that passed the checks that need no name resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Parses and checks a URL.
    ///
    /// # Errors
    /// [`TargetError`]
    pub fn parse(text: &str, policy: AddressPolicy) -> std::result::Result<Self, TargetError> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= URL_BYTES_MAX).ok_or(TargetError::NotAUrl)?;
        // The parser has normalized `127.1`, `0x7f000001` and the like.
        let host = url.host_str().ok_or(TargetError::NotAUrl)?;
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_here = ip.map_or(is_localhost(host), |ip| ip.is_loopback());
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(TargetError::CredentialsOrFragment);
        }
        if is_here {
            let is_web = matches!(url.scheme(), "http" | "https");
            return match policy {
                _ if !is_web => Err(TargetError::Scheme),
                AddressPolicy::PublicOnly => Err(TargetError::NotPublic),
                AddressPolicy::PublicAndLoopback => Ok(Self(url)),
            };
        }
        match url.port_or_known_default() {
            _ if url.scheme() != "https" => Err(TargetError::Scheme),
            _ if ip.is_some_and(|ip| !is_public(ip)) => Err(TargetError::NotPublic),
            Some(port) if PORTS.contains(&port) => Ok(Self(url)),
            _ => Err(TargetError::Port),
        }
    }
}

/// Whether a name is this machine's by RFC 6761, regardless of the resolver.
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether an address is public, by the IANA registries of special-purpose addresses (RFC 6890):
/// <https://www.iana.org/assignments/iana-ipv4-special-registry> and iana-ipv6-special-registry.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // carrier-grade NAT
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, cloud metadata
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, deprecated
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
    ];
    SPECIAL.iter().all(|(network, bits)| (ip.to_bits() ^ network.to_bits()) >> (32 - bits) != 0)
}

/// Only the allocated range 2000::/3, without its special networks. This excludes loopback, unique local, link-local, multicast,
/// IPv4-mapped and NAT64 addresses.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    const SPECIAL: [(u128, u32); 4] = [
        (0x2001_0000 << 96, 23), // protocol assignments, including Teredo, which embeds an IPv4 address
        (0x2001_0db8 << 96, 32), // documentation
        (0x2002_0000 << 96, 16), // 6to4, which embeds an IPv4 address
        (0x3fff_0000 << 96, 20), // documentation
    ];
    let bits = ip.to_bits();
    bits >> 125 == 1 && SPECIAL.iter().all(|(network, length)| (bits ^ network) >> (128 - length) != 0)
}

string_enum! {
    /// Why a call got no response.
    pub enum PostFailure {
        /// The name resolves to an address that may not be called. Nothing was sent.
        NotPublic = "not_a_public_address",
        /// The name has no address, no process listens there, or the certificate is not valid for the name.
        NoConnection = "no_connection",
        /// The call took longer than [`TOTAL_TIMEOUT`].
        TimedOut = "timed_out",
        /// The connection was lost, or the response was not HTTP.
        BrokenOff = "broken_off",
    }
}

/// A POST of JSON.
#[derive(Debug)]
pub struct Post<'a> {
    /// The URL.
    pub target: &'a Target,
    /// The headers besides the content type.
    pub headers: [(&'static str, String); 3],
    /// The body.
    pub body: String,
}

/// The client. Clones share its state.
#[derive(Debug, Clone)]
pub struct PublicEgress(reqwest::Client);

impl PublicEgress {
    /// Creates a client.
    ///
    /// # Errors
    /// If the HTTP library fails to start.
    pub fn new(policy: AddressPolicy) -> Result<Self> {
        crypto::install();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Resolver(policy)))
            .user_agent(concat!("ridematch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Bug(format!("HTTP client: {error}")))?;
        Ok(Self(client))
    }

    /// Sends a POST and returns the status of the response.
    ///
    /// # Errors
    /// [`PostFailure`]
    pub async fn post(&self, post: Post<'_>) -> std::result::Result<u16, PostFailure> {
        let mut request = self.0.post(post.target.0.clone()).header("Content-Type", "application/json");
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let response = request.body(post.body).send().await.map_err(|error| failure(&error))?;
        Ok(response.status().as_u16())
    }
}

fn failure(error: &reqwest::Error) -> PostFailure {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    match error {
        _ if causes.any(|cause| cause.is::<NotPublic>()) => PostFailure::NotPublic,
        error if error.is_timeout() => PostFailure::TimedOut,
        error if error.is_connect() => PostFailure::NoConnection,
        _ => PostFailure::BrokenOff,
    }
}

/// The error of the resolver for a name with a forbidden address.
#[derive(Debug, thiserror::Error)]
#[error("the name resolves to an address that is not public")]
struct NotPublic;

/// A resolver that rejects a name if any of its addresses is forbidden. A name that mixes public and private addresses has no
/// legitimate use.
#[derive(Debug)]
struct Resolver(AddressPolicy);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| policy.allows(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(NotPublic.into())
            }
        })
    }
}

#[cfg(test)]
mod tests;
