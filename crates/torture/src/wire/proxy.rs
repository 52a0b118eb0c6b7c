//! The proxy itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use super::frame::Frames;
use super::session::{Cut, Session};
use super::shapes::{Shapes, Side};
use crate::BoxError;
use crate::lock;
use crate::valve::{Mode, Passage, Valve, Way};

/// Where PostgreSQL listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// On a Unix socket, which is a file.
    Socket(PathBuf),
    /// On a port.
    Tcp(SocketAddr),
}

/// A proxy in front of a PostgreSQL server. It stops when the runtime does.
#[derive(Debug, Clone)]
pub struct WireProxy {
    address: SocketAddr,
    valve: Valve,
    shapes: Shapes,
    target: watch::Sender<Option<Target>>,
}

impl Target {
    /// Where the server of a database URL is, on a Unix socket or on a port of this machine.
    ///
    /// # Errors
    /// If it is no URL, or names a host by anything but its address.
    pub fn of(database_url: &str) -> Result<Self, BoxError> {
        let url: reqwest::Url = database_url.parse()?;
        let port = url.port().unwrap_or(5432);
        if let Some((_, dir)) = url.query_pairs().find(|(name, value)| name == "host" && value.starts_with('/')) {
            return Ok(Self::Socket(Path::new(&*dir).join(format!(".s.PGSQL.{port}"))));
        }
        let host = url.host_str().unwrap_or("127.0.0.1");
        let host: IpAddr = if host == "localhost" { Ipv4Addr::LOCALHOST.into() } else { host.parse()? };
        Ok(Self::Tcp((host, port).into()))
    }
}

impl WireProxy {
    /// Opens one that leads nowhere yet.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn open(shapes: Shapes) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let proxy = Self { address, valve: Valve::default(), shapes, target: watch::Sender::new(None) };
        tokio::spawn(serve(listener, proxy.clone()));
        Ok(proxy)
    }

    /// From now on new connections lead there; `None`: nowhere.
    pub fn lead_to(&self, target: Option<Target>) {
        self.target.send_replace(target);
    }

    /// The URL of a database behind it.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@{}/{database}?sslmode=disable", self.address)
    }

    /// What it has met and cut.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Turns, cuts and counts.
    pub fn valve(&self) -> &Valve {
        &self.valve
    }

    /// Everything passes again, and no commit is lost.
    pub fn heal(&self) {
        self.shapes.arm(false);
        self.valve.turn(Mode::Open);
    }
}

async fn serve(listener: TcpListener, proxy: WireProxy) {
    while let Ok((client, _)) = listener.accept().await {
        let target = proxy.target.borrow().clone();
        let (Some(target), Some(passage)) = (target, proxy.valve.enter()) else { continue };
        let shapes = proxy.shapes.clone();
        tokio::spawn(async move {
            let _small_writes_at_once = client.set_nodelay(true);
            match target {
                Target::Socket(path) => {
                    if let Ok(server) = UnixStream::connect(path).await {
                        follow(passage, client, server, &shapes).await;
                    }
                }
                Target::Tcp(address) => {
                    if let Ok(server) = TcpStream::connect(address).await {
                        let _small_writes_at_once = server.set_nodelay(true);
                        follow(passage, client, server, &shapes).await;
                    }
                }
            }
        });
    }
}

/// The reader of one connection.
struct Reader {
    up: Frames,
    down: Frames,
    session: Session,
}

/// Passes one connection on, and reads along.
async fn follow<C, S>(passage: Passage, mut client: C, server: S, shapes: &Shapes)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite,
{
    let Ok(first) = refuse_encryption(&mut client).await else { return };
    let (mut server_reads, mut server_writes) = tokio::io::split(server);
    if server_writes.write_all(&first).await.is_err() {
        return;
    }
    let reader =
        Mutex::new(Reader { up: Frames::from_client(), down: Frames::from_server(), session: Session::default() });
    lock(&reader).up.push(&first, |_, _| true);
    let server = tokio::io::join(&mut server_reads, &mut server_writes);
    passage.relay(client, server, |way, chunk| lock(&reader).read(way, chunk, shapes)).await;
}

impl Reader {
    /// How much of the chunk may pass before the connection is cut, if it is.
    fn read(&mut self, way: Way, chunk: &[u8], shapes: &Shapes) -> Option<usize> {
        let mut cut: Option<(Cut, usize)> = None;
        let Self { up, down, session } = self;
        match way {
            Way::Up => up.push(chunk, |message, began| {
                cut = session.ask(message, |shape| shapes.meet(shape)).map(|cut| (cut, began));
                cut.is_none()
            }),
            Way::Down => down.push(chunk, |message, began| {
                cut = session.answer(message).map(|cut| (cut, began));
                cut.is_none()
            }),
        }
        let (Cut { shape, side }, began) = cut?;
        shapes.struck(&shape, side);
        debug_assert_eq!(way == Way::Up, side == Side::Before, "the statement goes up, its answer comes down");
        Some(began)
    }
}

/// Reads the client's first message, after having said no to encryption if asked for it.
async fn refuse_encryption(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> std::io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        // A start-up message names a user, a database and a few settings.
        if !(8..=10_000).contains(&length) {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        let mut rest = vec![0; usize::try_from(length).unwrap_or_default() - 4];
        client.read_exact(&mut rest).await?;
        let code = rest.first_chunk::<4>().map(|code| u32::from_be_bytes(*code));
        if matches!(code, Some(80_877_103 | 80_877_104)) {
            client.write_all(b"N").await?;
            continue;
        }
        return Ok([&length.to_be_bytes()[..], &rest].concat());
    }
}
