//! A proxy between the service and PostgreSQL that loses a connection at the worst moment, at COMMIT, or makes the way long.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// The statement as the service sends it, and the tag under which PostgreSQL reports it done: both end in a zero byte.
const COMMIT: &[u8] = b"COMMIT\0";

/// What of a COMMIT is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The statement: PostgreSQL never sees it, and rolls back.
    Statement,
    /// The answer: it is done, and nobody is told.
    Answer,
}

/// The proxy. It stops when the test's runtime does.
pub struct Proxy {
    url: String,
    plan: Arc<Mutex<Option<Plan>>>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    after: &'static [u8],
    lost: Lost,
}

impl Proxy {
    /// Starts a proxy in front of the database at `database_url`.
    pub async fn start(database_url: &str) -> Self {
        Self::with_delay(database_url, Duration::ZERO).await
    }

    /// Starts one that lets every answer wait: whoever asks has to wait for it, however fast the server is.
    pub async fn with_delay(database_url: &str, delay: Duration) -> Self {
        let mut url: Url = database_url.parse().unwrap();
        let target = Target::of(&url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        // Without a cache of prepared statements the text of each goes over the wire each time.
        url.set_query(Some("sslmode=disable&statement-cache-capacity=0"));
        let plan = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, target.clone(), Arc::clone(&shared), delay));
            }
        });
        Self { url: url.to_string(), plan }
    }

    /// The database's address through the proxy.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Loses one COMMIT: the next one on a connection that has sent `after`.
    pub fn lose_commit(&self, lost: Lost, after: &'static str) {
        *self.plan.lock().unwrap() = Some(Plan { after: after.as_bytes(), lost });
    }

    /// Whether it has happened.
    pub fn has_lost(&self) -> bool {
        self.plan.lock().unwrap().is_none()
    }
}

/// Where PostgreSQL listens.
#[derive(Clone)]
pub enum Target {
    Socket(PathBuf),
    Tcp(String, u16),
}

impl Target {
    /// Where the database at this URL listens.
    pub fn of(url: &Url) -> Self {
        let port = url.port().unwrap_or(5432);
        let dir = url.query_pairs().find(|(name, value)| name == "host" && value.starts_with('/'));
        match dir {
            Some((_, dir)) => Self::Socket(Path::new(&*dir).join(format!(".s.PGSQL.{port}"))),
            None => Self::Tcp(url.host_str().unwrap_or("localhost").to_owned(), port),
        }
    }
}

async fn serve(client: TcpStream, target: Target, plan: Arc<Mutex<Option<Plan>>>, delay: Duration) {
    match target {
        Target::Socket(path) => relay(client, UnixStream::connect(path).await.unwrap(), &plan, delay).await,
        Target::Tcp(host, port) => relay(client, TcpStream::connect((host, port)).await.unwrap(), &plan, delay).await,
    }
}

/// Passes bytes both ways until one side ends or the plan says that it is time. Then both ends are closed.
async fn relay(client: TcpStream, server: impl AsyncRead + AsyncWrite, plan: &Mutex<Option<Plan>>, delay: Duration) {
    let is_marked = AtomicBool::new(false);
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = tokio::io::split(server);
    let is_time = |lost: Lost, bytes: &[u8]| {
        let mut plan = plan.lock().unwrap();
        let Some(current) = *plan else { return false };
        if lost == Lost::Statement && contains(bytes, current.after) {
            is_marked.store(true, Ordering::Relaxed);
        }
        let now = lost == current.lost && is_marked.load(Ordering::Relaxed) && contains(bytes, COMMIT);
        if now {
            *plan = None;
        }
        now
    };
    tokio::select! {
        () = pump(client_reads, server_writes, Duration::ZERO, |bytes| is_time(Lost::Statement, bytes)) => {}
        () = pump(server_reads, client_writes, delay, |bytes| is_time(Lost::Answer, bytes)) => {}
    }
}

/// A statement or a tag comes in one piece: both sides write whole messages, and these are short.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
    is_time: impl Fn(&[u8]) -> bool,
) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if is_time(&buffer[..count]) {
            return;
        }
        tokio::time::sleep(delay).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}
