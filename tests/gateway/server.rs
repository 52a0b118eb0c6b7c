//! A provider that answers as it is told, byte by byte, or not at all.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Longer than any call may take.
const FOR_EVER: Duration = Duration::from_secs(60);

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// These bytes come back, and the connection is closed.
    Bytes(Vec<u8>),
    /// These bytes come back, and then nothing.
    BytesThenSilence(Vec<u8>),
    /// The connection is reset.
    Reset,
    /// The connection is closed in order.
    Closed,
}

impl Fate {
    /// A JSON answer.
    pub fn json(status: u16, body: &str) -> Self {
        Self::with(status, "Content-Type: application/json\r\n", body)
    }

    /// An answer with these header lines.
    pub fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        Self::Bytes([head.as_bytes(), body.as_bytes()].concat())
    }

    /// Nothing comes back, and the connection stays.
    pub fn silence() -> Self {
        Self::BytesThenSilence(Vec::new())
    }
}

/// A server. It stops when the test's runtime does.
pub struct Server {
    pub base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that meets each request, given its whole text, with a fate.
    pub async fn start(fate: impl Fn(&str) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, fate) = (Arc::clone(&requests), Arc::new(fate));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, fate) = (Arc::clone(&shared), Arc::clone(&fate));
                tokio::spawn(async move {
                    if let Some(stream) = serve(stream, shared, fate).await {
                        stream.set_zero_linger().unwrap(); // dropped now, it is reset
                    }
                });
            }
        });
        Self { base_url, requests }
    }

    /// One that meets all requests alike.
    pub async fn always(fate: Fate) -> Self {
        Self::start(move |_| fate.clone()).await
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Meets one request on a connection, TLS or not; returns the connection if it is to be reset.
pub async fn serve<S>(mut stream: S, requests: Arc<Mutex<Vec<String>>>, fate: Arc<impl Fn(&str) -> Fate>) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = read(&mut stream).await?;
    requests.lock().unwrap().push(request.clone());
    match fate(&request) {
        Fate::Bytes(bytes) => {
            let _written = stream.write_all(&bytes).await;
            let _closed = stream.shutdown().await;
        }
        Fate::BytesThenSilence(bytes) => {
            let _written = stream.write_all(&bytes).await;
            tokio::time::sleep(FOR_EVER).await;
        }
        Fate::Reset => return Some(stream),
        Fate::Closed => {}
    }
    None
}

/// The text of a request, headers and body.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    loop {
        if let Some(head) = text.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let headers = String::from_utf8_lossy(&text[..head]).to_lowercase();
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if text.len() >= head + 4 + length.unwrap_or(0) {
                return String::from_utf8(text).ok();
            }
        }
        if stream.read_buf(&mut text).await.ok()? == 0 {
            return None;
        }
    }
}
