//! Calls to addresses that somebody else has chosen, and the walls around them: such a call must not reach our own network.
//!
//! The address is checked where it counts, when the connection is made. A name is resolved here, every address that it resolves
//! to is checked, and the connection goes to one of those: there is no second look-up that could answer otherwise (DNS
//! rebinding). No redirect is followed, no proxy from the environment is used, no connection is kept, and of the answer only
//! the status is read.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::platform::error::{Error, Result};

/// How long a connection may take to be made, the look-up of the name included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a call may take in all. Who has more to do than to note what came does it after the answer.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest URL.
const URL_BYTES_MAX: usize = 2_048;

/// Ports of receivers: HTTPS and its usual second. Any other is more likely to be somebody's database than a web server.
const PORTS: [u16; 2] = [443, 8443];

/// How far calls may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The public internet, by HTTPS.
    Public,
    /// This machine as well, on any port and by HTTP too. For development: whoever may name an address may then speak with
    /// everything that listens here.
    PublicAndLoopback,
}

impl Reach {
    /// Whether an address may be called.
    pub fn allows(self, ip: IpAddr) -> bool {
        is_public(ip) || (self == Self::PublicAndLoopback && ip.is_loopback())
    }
}

/// Why an address cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It cannot be read.
    #[error("must be an absolute URL of at most {URL_BYTES_MAX} bytes")]
    NotAUrl,
    /// Anybody on the way could read it.
    #[error("must start with https://")]
    Scheme,
    /// Secrets do not belong into an address, and what follows `#` is never sent.
    #[error("must have no user, password or fragment")]
    Decorated,
    /// Not one of the ports of web servers.
    #[error("must be on port 443 or 8443")]
    Port,
    /// Part of somebody's own network, or of none.
    #[error("must be a public address")]
    NotPublic,
}

/// An address that may be called, as far as can be told without looking its name up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(Url);

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// Why it cannot be called.
    pub fn parse(text: &str, reach: Reach) -> std::result::Result<Self, Unfit> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= URL_BYTES_MAX).ok_or(Unfit::NotAUrl)?;
        // The parser has turned `127.1`, `0x7f000001` and the like into the address that they stand for.
        let host = url.host_str().ok_or(Unfit::NotAUrl)?;
        let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let is_here = ip.map_or(is_localhost(host), |ip| ip.is_loopback());
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(Unfit::Decorated);
        }
        if is_here {
            let is_web = matches!(url.scheme(), "http" | "https");
            return match reach {
                _ if !is_web => Err(Unfit::Scheme),
                Reach::Public => Err(Unfit::NotPublic),
                Reach::PublicAndLoopback => Ok(Self(url)),
            };
        }
        match url.port_or_known_default() {
            _ if url.scheme() != "https" => Err(Unfit::Scheme),
            _ if ip.is_some_and(|ip| !is_public(ip)) => Err(Unfit::NotPublic),
            Some(port) if PORTS.contains(&port) => Ok(Self(url)),
            _ => Err(Unfit::Port),
        }
    }
}

/// RFC 6761: these names are this machine's, whatever a resolver says.
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether an address belongs to the public internet, by the registries of special-purpose addresses (RFC 6890):
/// <https://www.iana.org/assignments/iana-ipv4-special-registry> and its sister for IPv6.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// All but what is listed.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // carriers' own
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, and the clouds' metadata
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays, given up
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
    ];
    SPECIAL.iter().all(|(network, bits)| (ip.to_bits() ^ network.to_bits()) >> (32 - bits) != 0)
}

/// Nothing but what is allotted, 2000::/3, and of that not what is special. So loopback, unique local, link-local, multicast,
/// IPv4-mapped and NAT64 addresses are out without being named.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    const SPECIAL: [(u128, u32); 4] = [
        (0x2001_0000 << 96, 23), // protocol assignments, with Teredo, which wraps an IPv4 address
        (0x2001_0db8 << 96, 32), // documentation
        (0x2002_0000 << 96, 16), // 6to4, which wraps an IPv4 address
        (0x3fff_0000 << 96, 20), // documentation
    ];
    let bits = ip.to_bits();
    bits >> 125 == 1 && SPECIAL.iter().all(|(network, length)| (bits ^ network) >> (128 - length) != 0)
}

/// Why a call was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The name resolves to an address that may not be called. Nothing was sent.
    #[error("not a public address")]
    NotPublic,
    /// The name has no address, nobody listens there, or the certificate does not fit.
    #[error("no connection")]
    NoConnection,
    /// It took more than [`TOTAL_TIMEOUT`].
    #[error("timed out")]
    TimedOut,
    /// The connection was lost, or what came was no HTTP.
    #[error("broken off")]
    BrokenOff,
}

impl Failure {
    /// Its name, for logs and people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPublic => "not_a_public_address",
            Self::NoConnection => "no_connection",
            Self::TimedOut => "timed_out",
            Self::BrokenOff => "broken_off",
        }
    }
}

/// A POST of JSON.
#[derive(Debug)]
pub struct Post<'a> {
    /// Where to.
    pub target: &'a Target,
    /// Headers beside the content type.
    pub headers: [(&'static str, String); 3],
    /// The body.
    pub body: String,
}

/// A client for addresses that somebody else has chosen. Clones share what it has.
#[derive(Debug, Clone)]
pub struct PublicEgress(reqwest::Client);

impl PublicEgress {
    /// Makes a client that goes as far as `reach`.
    ///
    /// # Errors
    /// If the HTTP library cannot be started.
    pub fn new(reach: Reach) -> Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .dns_resolver(Arc::new(Resolver(reach)))
            .user_agent(concat!("ridematch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Bug(format!("no HTTP client: {error}")))?;
        Ok(Self(client))
    }

    /// Posts, and returns the status of the answer, whose body is not read.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn post(&self, post: Post<'_>) -> std::result::Result<u16, Failure> {
        let mut request = self.0.post(post.target.0.clone()).header("Content-Type", "application/json");
        for (name, value) in post.headers {
            request = request.header(name, value);
        }
        let response = request.body(post.body).send().await.map_err(|error| failure(&error))?;
        Ok(response.status().as_u16())
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    match error {
        _ if causes.any(|cause| cause.is::<NotPublic>()) => Failure::NotPublic,
        error if error.is_timeout() => Failure::TimedOut,
        error if error.is_connect() => Failure::NoConnection,
        _ => Failure::BrokenOff,
    }
}

/// What the resolver says of a name that leads where it must not.
#[derive(Debug, thiserror::Error)]
#[error("the name does not resolve to public addresses alone")]
struct NotPublic;

/// Looks names up, and lets only those through whose every address may be called: one that mixes public and private addresses
/// has no honest reason to.
#[derive(Debug)]
struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| reach.allows(address.ip())) {
                Ok(Box::new(found.into_iter()) as Addrs)
            } else {
                Err(NotPublic.into())
            }
        })
    }
}

#[cfg(test)]
mod tests;
