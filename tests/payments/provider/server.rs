//! A provider with scripted responses, byte by byte.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// Longer than any call.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// The end of a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends these bytes, and closes the connection.
    Bytes(Vec<u8>),
    /// Sends these bytes, and then nothing.
    BytesThenSilence(Vec<u8>),
    /// Resets the connection.
    Reset,
    /// Closes the connection.
    Closed,
}

impl Reply {
    /// Returns a JSON response.
    pub fn json(status: u16, body: &str) -> Self {
        Self::with(status, "Content-Type: application/json\r\n", body)
    }

    /// Returns a response with these header lines.
    pub fn with(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        Self::Bytes([head.as_bytes(), body.as_bytes()].concat())
    }

    /// Sends nothing, and keeps the connection open.
    pub fn silence() -> Self {
        Self::BytesThenSilence(Vec::new())
    }
}

/// A server that stops with the test's runtime.
pub struct Server {
    pub base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a server that ends each request as `reply` decides from its text.
    pub async fn start(reply: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (shared, reply) = (Arc::clone(&requests), Arc::new(reply));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, reply) = (Arc::clone(&shared), Arc::clone(&reply));
                tokio::spawn(async move {
                    if let Some(stream) = serve(stream, shared, reply).await {
                        stream.set_zero_linger().unwrap(); // dropped now, it is reset
                    }
                });
            }
        });
        Self { base_url, requests }
    }

    /// One that meets all requests alike.
    pub async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Meets one request on a connection, TLS or not; returns the connection if it is to be reset.
pub async fn serve<S>(mut stream: S, requests: Arc<Mutex<Vec<String>>>, reply: Arc<impl Fn(&str) -> Reply>) -> Option<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = read(&mut stream).await?;
    requests.lock().unwrap().push(request.clone());
    match reply(&request) {
        Reply::Bytes(bytes) => {
            let _written = stream.write_all(&bytes).await;
            let _closed = stream.shutdown().await;
        }
        Reply::BytesThenSilence(bytes) => {
            let _written = stream.write_all(&bytes).await;
            tokio::time::sleep(LONG_PAUSE).await;
        }
        Reply::Reset => return Some(stream),
        Reply::Closed => {}
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
