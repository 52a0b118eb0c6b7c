//! A plain TCP proxy: an address that stays the same while what is behind it dies and comes back elsewhere.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::BoxError;
use crate::valve::{Mode, Valve};

/// A proxy for any protocol. It stops when the runtime does.
#[derive(Debug, Clone)]
pub struct Line {
    /// Where clients connect to.
    pub address: SocketAddr,
    /// Turns, cuts and counts.
    pub valve: Valve,
    target: watch::Sender<Option<SocketAddr>>,
}

impl Line {
    /// Opens a line that leads nowhere yet: connections are closed at once.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn open() -> Result<Self, BoxError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let line = Self { address: listener.local_addr()?, valve: Valve::default(), target: watch::Sender::new(None) };
        tokio::spawn(serve(listener, line.clone()));
        Ok(line)
    }

    /// From now on new connections lead there; `None`: nowhere.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.target.send_if_modified(|current| {
            let changes = *current != target;
            *current = target;
            changes
        });
    }

    /// Where it leads.
    pub fn target(&self) -> Option<SocketAddr> {
        *self.target.borrow()
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything passes again.
    pub fn heal(&self) {
        self.valve.turn(Mode::Open);
    }
}

async fn serve(listener: TcpListener, line: Line) {
    while let Ok((client, _)) = listener.accept().await {
        let (Some(target), Some(passage)) = (line.target(), line.valve.enter()) else { continue };
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let _small_writes_at_once = (client.set_nodelay(true), server.set_nodelay(true));
            passage.relay(client, server, |_, _| None).await;
        });
    }
}
