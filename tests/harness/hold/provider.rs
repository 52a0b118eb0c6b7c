//! A proxy between the service and the payment provider that can hold a call before it has arrived or after it was done, and
//! then lets it go, cuts it off or answers in the provider's place.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Side, Snare, Then, Trap};

/// The proxy. It stops when the test's runtime does.
pub struct ProviderProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    snares: Mutex<Vec<(&'static str, Side, Snare)>>,
    /// Operations that do not get through.
    closed: Mutex<HashSet<&'static str>>,
}

impl ProviderProxy {
    /// Starts a proxy in front of the provider at `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let connections = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                client.set_nodelay(true).unwrap();
                tokio::spawn(serve(client, target, Arc::clone(&connections)));
            }
        });
        Self { address, shared }
    }

    /// The provider's address through the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds the next call that is a `create`, `confirm`, `capture`, `cancel`, `refund` or `look`.
    pub fn hold(&self, operation: &'static str, side: Side) -> Trap {
        let (snare, trap) = Snare::new();
        self.shared.snares.lock().unwrap().push((operation, side, snare));
        trap
    }

    /// From now on, connections are closed on which these operations are asked for; all others get through.
    pub fn close(&self, operations: impl IntoIterator<Item = &'static str>) {
        *self.shared.closed.lock().unwrap() = operations.into_iter().collect();
    }
}

impl Trap {
    /// Answers in the provider's place.
    pub fn answer(self, status: u16, body: &Value) {
        let body = body.to_string();
        let head = format!("HTTP/1.1 {status} Because\r\ncontent-type: application/json\r\n");
        let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        let _gone = self.release.send(Then::Answer(answer.into_bytes()));
    }
}

impl Shared {
    fn snare(&self, operation: &str, side: Side) -> Option<Snare> {
        let mut snares = self.snares.lock().unwrap();
        let position = snares.iter().position(|(wanted, at, _)| (*wanted, *at) == (operation, side))?;
        Some(snares.remove(position).2)
    }
}

/// Passes one exchange after the other, until one side ends or is cut off.
async fn serve(mut client: TcpStream, target: SocketAddr, shared: Arc<Shared>) -> io::Result<()> {
    let mut provider = TcpStream::connect(target).await?;
    loop {
        let request = message(&mut client).await?;
        let operation = operation(&request);
        if shared.closed.lock().unwrap().contains(operation) {
            return Ok(());
        }
        let mut answer = None;
        if let Some(snare) = shared.snare(operation, Side::Before) {
            match snare.hold().await {
                Some(Then::LetGo) => {}
                Some(Then::Answer(instead)) => answer = Some(instead),
                None => return Ok(()),
            }
        }
        let answer = match answer {
            Some(instead) => instead,
            None => {
                provider.write_all(&request).await?;
                message(&mut provider).await?
            }
        };
        let answer = match shared.snare(operation, Side::After) {
            None => answer,
            Some(snare) => match snare.hold().await {
                Some(Then::LetGo) => answer,
                Some(Then::Answer(instead)) => instead,
                None => return Ok(()),
            },
        };
        client.write_all(&answer).await?;
    }
}

/// What a request asks for, by its first line.
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
        _ => "look",
    }
}

/// Reads a message of HTTP/1.1, head and body. Both sides say how long their bodies are.
pub async fn message(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(length) = length(&message)
            && message.len() >= length
        {
            return Ok(message);
        }
        if from.read_buf(&mut message).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The length of a message, once its head is there.
fn length(message: &[u8]) -> Option<usize> {
    let end = message.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&message[..end]).to_ascii_lowercase();
    let body = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(end + body.unwrap_or(0))
}
