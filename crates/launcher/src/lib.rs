//! What the programs around the service share: child processes, the connections between them, a user's files.
//!
//! [`Spec::start`] starts a process that ends when this one does. A [`Supervisor`] restarts one that dies. A [`Proxy`] is a fixed
//! address in front of a server that comes and goes; it can cut, hold and refuse connections. [`files`] replaces files as a whole.

pub mod clock;
pub mod environment;
pub mod files;
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

/// Ends when the user or the system asks this process to stop.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
}

/// Any error; the caller only shows it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
