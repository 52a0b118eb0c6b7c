//! A TCP proxy: a fixed address in front of a server that comes and goes, with connections that can be cut, held and refused.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};

use crate::BoxError;

/// Bytes per read.
const CHUNK_BYTES: usize = 1 << 14;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On a Unix socket.
    Unix(PathBuf),
    /// On a port.
    Tcp(SocketAddr),
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Pass,
    /// Requests pass, responses wait.
    HoldResponses,
    /// New connections are closed at once; open ones stay.
    Refuse,
}

/// The direction of a chunk of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What to do with a chunk of bytes.
pub enum ChunkAction {
    /// Pass it on.
    Pass,
    /// Pass its first bytes, this many, and close the connection.
    Cut(usize),
    /// Wait; on `true` pass it on, on `false` close the connection.
    Wait(Pin<Box<dyn Future<Output = bool> + Send>>),
}

/// A byte stream to a server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Stream for T {}

/// The proxy. Clones share it. It stops when the runtime does.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Where clients connect to.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: watch::Sender<Option<Target>>,
    mode: watch::Sender<Mode>,
    connections: Mutex<BTreeMap<u64, Arc<Notify>>>,
    next_id: AtomicU64,
    held: AtomicU64,
    refused: AtomicU64,
}

/// An accepted connection, and the one to the server for it.
#[derive(Debug)]
pub struct Connection {
    /// The client's end.
    pub client: TcpStream,
    /// The server's end.
    pub server: Box<dyn Stream>,
    entry: Entry,
}

/// The registration of a connection, for [`Proxy::cut`]. Removed on drop.
#[derive(Debug)]
struct Entry {
    id: u64,
    cut: Arc<Notify>,
    shared: Arc<Shared>,
}

impl Target {
    /// Returns where the server of a database URL listens: on a Unix socket or on a port of this machine.
    ///
    /// # Errors
    /// If the URL is malformed or its host is no address.
    pub fn of_database(url: &str) -> Result<Self, BoxError> {
        let url: Url = url.parse()?;
        let port = url.port().unwrap_or(5432);
        if let Some((_, dir)) = url.query_pairs().find(|(name, value)| name == "host" && value.starts_with('/')) {
            return Ok(Self::Unix(Path::new(&*dir).join(format!(".s.PGSQL.{port}"))));
        }
        let host = url.host_str().unwrap_or("localhost");
        let host: IpAddr = if host == "localhost" { Ipv4Addr::LOCALHOST.into() } else { host.parse()? };
        Ok(Self::Tcp((host, port).into()))
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Proxy {
    /// Opens a proxy without a target, which passes bytes unchanged. Until there is a target, connections are closed at once.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn plain() -> std::io::Result<Self> {
        Self::open(|connection| connection.relay(|_, _| ChunkAction::Pass)).await
    }

    /// Opens a proxy without a target; `serve` handles each connection.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn open<F>(serve: impl Fn(Connection) -> F + Send + Sync + 'static) -> std::io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Shared {
            target: watch::Sender::new(None),
            mode: watch::Sender::new(Mode::Pass),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
            held: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let proxy = Self { address: listener.local_addr()?, shared: Arc::new(shared) };
        let (shared, serve) = (Arc::clone(&proxy.shared), Arc::new(serve));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (Some(target), Some(entry)) = (shared.target(), Entry::add(&shared)) else { continue };
                let serve = Arc::clone(&serve);
                tokio::spawn(async move {
                    let Ok(server) = target.connect().await else { return };
                    let _unset = client.set_nodelay(true);
                    serve(Connection { client, server, entry }).await;
                });
            }
        });
        Ok(proxy)
    }

    /// Sets where new connections lead; `None`: nowhere.
    pub fn set_target(&self, target: Option<Target>) {
        self.shared.target.send_replace(target);
    }

    /// Where new connections lead.
    pub fn target(&self) -> Option<Target> {
        self.shared.target()
    }

    /// The address as an HTTP URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets what happens to connections.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Cuts the connections that `chosen` picks, and returns their number.
    pub fn cut(&self, mut chosen: impl FnMut() -> bool) -> u64 {
        let connections = lock(&self.shared.connections);
        let mut count = 0;
        for cut in connections.values().filter(|_| chosen()) {
            cut.notify_one();
            count += 1;
        }
        count
    }

    /// How many responses were held and how many connections were refused so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.shared.held.load(Ordering::Relaxed), self.shared.refused.load(Ordering::Relaxed))
    }
}

impl Shared {
    fn target(&self) -> Option<Target> {
        self.target.borrow().clone()
    }
}

impl Entry {
    /// Registers a connection, unless it is to be refused.
    fn add(shared: &Arc<Shared>) -> Option<Self> {
        if *shared.mode.borrow() == Mode::Refuse {
            shared.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let (id, cut) = (shared.next_id.fetch_add(1, Ordering::Relaxed), Arc::new(Notify::new()));
        lock(&shared.connections).insert(id, Arc::clone(&cut));
        Some(Self { id, cut, shared: Arc::clone(shared) })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.shared.connections).remove(&self.id);
    }
}

impl Connection {
    /// Passes bytes both ways until one side ends, [`Proxy::cut`] picks the connection, or `inspect` cuts it. Then closes both ends.
    ///
    /// `inspect` sees every chunk before it passes.
    pub async fn relay(self, inspect: impl Fn(Direction, &[u8]) -> ChunkAction) {
        let Self { client, server, entry } = self;
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = tokio::io::split(server);
        // A cut drops the other futures, perhaps in the middle of a write. That is intended.
        tokio::select! {
            () = entry.pump(Direction::ToServer, client_reads, server_writes, &inspect) => {}
            () = entry.pump(Direction::ToClient, server_reads, client_writes, &inspect) => {}
            () = entry.cut.notified() => {}
        }
    }
}

impl Entry {
    async fn pump(
        &self,
        direction: Direction,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        inspect: &impl Fn(Direction, &[u8]) -> ChunkAction,
    ) {
        let mut mode = self.shared.mode.subscribe();
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let action = inspect(direction, &chunk[..count]);
            if direction == Direction::ToClient && *mode.borrow() == Mode::HoldResponses {
                self.shared.held.fetch_add(1, Ordering::Relaxed);
                if mode.wait_for(|mode| *mode != Mode::HoldResponses).await.is_err() {
                    return;
                }
            }
            let end = match action {
                ChunkAction::Pass => None,
                ChunkAction::Cut(passes) => Some(passes.min(count)),
                ChunkAction::Wait(decision) => (!decision.await).then_some(0),
            };
            if to.write_all(&chunk[..end.unwrap_or(count)]).await.is_err() || end.is_some() {
                return;
            }
        }
    }
}

/// Locks a mutex, also after a panic: every critical section here is a single step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn database_url_leads_to_its_socket_or_port() {
        let of = |url: &str| Target::of_database(url).unwrap();
        let socket = Target::Unix("/run/pg/.s.PGSQL.5433".into());
        assert_eq!(of("postgres://me@localhost:5433/rides?host=/run/pg"), socket);
        assert_eq!(of("postgres://me@localhost/rides"), Target::Tcp(([127, 0, 0, 1], 5432).into()));
        assert!(Target::of_database("postgres://db.example.org/rides").is_err());
    }

    #[tokio::test]
    async fn proxy_passes_holds_and_refuses() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = Target::Tcp(echo.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = echo.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    let _ended = tokio::io::copy(&mut reads, &mut writes).await;
                });
            }
        });
        let proxy = Proxy::plain().await.unwrap();
        proxy.set_target(Some(target));
        let mut client = TcpStream::connect(proxy.address).await.unwrap();
        client.write_all(b"a").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'a');

        proxy.set_mode(Mode::HoldResponses);
        client.write_all(b"b").await.unwrap();
        while proxy.counts().0 == 0 {
            tokio::task::yield_now().await;
        }
        proxy.set_mode(Mode::Refuse);
        assert_eq!(client.read_u8().await.unwrap(), b'b', "held responses pass when the mode changes");
        let mut refused = TcpStream::connect(proxy.address).await.unwrap();
        assert!(refused.read_u8().await.is_err());
        assert_eq!(proxy.counts(), (1, 1));

        assert_eq!(proxy.cut(|| true), 1);
        assert!(client.read_u8().await.is_err());
    }
}
