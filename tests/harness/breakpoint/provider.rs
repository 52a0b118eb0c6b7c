//! A proxy between the service and the payment provider that can hold a call before it arrives or after it was done, and then
//! resumes, cuts it, or responds in the provider's place.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use launcher::{Connection, Proxy, Target};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use super::{Breakpoint, Hold, Next, Side};

/// The proxy. It stops when the test's runtime does.
pub struct ProviderProxy {
    proxy: Proxy,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    breakpoints: Mutex<Vec<(&'static str, Side, Hold)>>,
    /// Operations whose connections are closed.
    rejected: Mutex<HashSet<&'static str>>,
}

impl ProviderProxy {
    /// Starts a proxy in front of the provider at `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let connections = Arc::clone(&shared);
        let proxy = Proxy::open(move |connection| {
            let shared = Arc::clone(&connections);
            async move {
                let _closed = serve(connection, &shared).await;
            }
        });
        let proxy = proxy.await.unwrap();
        proxy.set_target(Some(Target::Tcp(target)));
        Self { proxy, shared }
    }

    /// The provider's address through the proxy.
    pub fn address(&self) -> SocketAddr {
        self.proxy.address
    }

    /// Sets a breakpoint at the next call that is a `create`, `confirm`, `capture`, `cancel`, `refund` or `read`, or `read_mistaken` for an
    /// intent that does not exist.
    pub fn break_at(&self, operation: &'static str, side: Side) -> Breakpoint {
        let (hold, breakpoint) = Hold::new();
        self.shared.breakpoints.lock().unwrap().push((operation, side, hold));
        breakpoint
    }

    /// Closes connections that call these operations, from now on. Other operations pass.
    pub fn reject(&self, operations: impl IntoIterator<Item = &'static str>) {
        *self.shared.rejected.lock().unwrap() = operations.into_iter().collect();
    }
}

impl Breakpoint {
    /// Responds in the provider's place.
    pub fn respond(self, status: u16, body: &Value) {
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} Because\r\ncontent-type: application/json\r\n");
        let response = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let _closed = self.next.send(Next::Respond(response.into_bytes()));
    }
}

impl Shared {
    fn take(&self, operation: &str, side: Side) -> Option<Hold> {
        let mut breakpoints = self.breakpoints.lock().unwrap();
        let position = breakpoints.iter().position(|(wanted, at, _)| (*wanted, *at) == (operation, side))?;
        Some(breakpoints.remove(position).2)
    }
}

/// Passes one request and its response after the other, until one side ends or is cut.
async fn serve(connection: Connection, shared: &Shared) -> io::Result<()> {
    let Connection { mut client, mut server, .. } = connection;
    loop {
        let request = read_message(&mut client).await?;
        let operation = operation(&request);
        if shared.rejected.lock().unwrap().contains(operation) {
            return Ok(());
        }
        let mut response = None;
        if let Some(hold) = shared.take(operation, Side::Before) {
            match hold.wait().await {
                Some(Next::Resume) => {}
                Some(Next::Respond(instead)) => response = Some(instead),
                None => return Ok(()),
            }
        }
        let response = match response {
            Some(instead) => instead,
            None => {
                server.write_all(&request).await?;
                read_message(&mut server).await?
            }
        };
        let response = match shared.take(operation, Side::After) {
            None => response,
            Some(hold) => match hold.wait().await {
                Some(Next::Resume) => response,
                Some(Next::Respond(instead)) => instead,
                None => return Ok(()),
            },
        };
        client.write_all(&response).await?;
    }
}

/// The operation of a request, by its first line.
fn operation(request: &[u8]) -> &'static str {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    match (words.next(), words.next().and_then(|path| path.rsplit('/').next())) {
        (Some("POST"), Some("payment_intents")) => "create",
        (Some("POST"), Some("confirm")) => "confirm",
        (Some("POST"), Some("capture")) => "capture",
        (Some("POST"), Some("cancel")) => "cancel",
        (Some("POST"), Some("refunds")) => "refund",
        (Some("GET"), Some("pi_mistaken")) => "read_mistaken",
        _ => "read",
    }
}

/// Reads a message of HTTP/1.1: head and body. Both sides send a content length.
pub async fn read_message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(length) = message_length(&message)
            && message.len() >= length
        {
            return Ok(message);
        }
        if from.read_buf(&mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The length of a message, once its head is complete.
fn message_length(message: &[u8]) -> Option<usize> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let body = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(end + body.unwrap_or(0))
}
