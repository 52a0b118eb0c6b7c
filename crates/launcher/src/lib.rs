//! Child processes and the connections between them, for the demo, the torture and the tests.
//!
//! [`Spec::start`] starts a process that ends when this one does. A [`Supervisor`] restarts one that dies. A [`Proxy`] is a fixed
//! address in front of a server that comes and goes; it can cut, hold and refuse connections.

pub mod environment;
pub mod frame;
mod process;
mod proxy;
mod supervisor;

pub use process::{Paused, Process, Spec};
pub use proxy::{ChunkAction, Connection, Direction, Mode, Proxy, Target};
pub use supervisor::Supervisor;

/// Begins a client of programs on this machine: it uses no proxy, whatever HTTP_PROXY says, and no TLS.
pub fn http_client() -> reqwest::ClientBuilder {
    // Without roots: reading the system's takes time, and fails where there are none.
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

/// Any error; the caller only shows it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
