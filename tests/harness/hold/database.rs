//! A proxy between the service and PostgreSQL that reads what goes over the wire, as far as it says which call to the payment
//! provider a transaction is about, and can hold that transaction at its COMMIT.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::{Side, Snare, Then, Trap};
use crate::harness::proxy::Target;

/// What the service calls the calls.
const OPERATIONS: [&str; 5] = ["create", "confirm", "capture", "cancel", "refund"];

/// What a transaction writes about a call to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// That it is about to be made.
    Attempt,
    /// How it ended.
    Conclusion,
}

/// A transaction: it writes this about such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    pub writes: Writes,
    pub operation: &'static str,
}

/// The proxy. It stops when the test's runtime does.
pub struct DatabaseProxy {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    snare: Mutex<Option<(Transaction, Side, Snare)>>,
    /// The attempts that were seen, by id.
    attempts: Mutex<HashMap<Vec<u8>, &'static str>>,
}

impl DatabaseProxy {
    /// Starts a proxy in front of the database at `database_url`.
    pub async fn start(database_url: &str) -> Self {
        let mut url: Url = database_url.parse().unwrap();
        let target = Target::of(&url);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        let shared = Arc::new(Shared::default());
        let connections = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // Messages go one by one: without this each waits for the one before to be acknowledged.
                client.set_nodelay(true).unwrap();
                tokio::spawn(serve(client, target.clone(), Arc::clone(&connections)));
            }
        });
        Self { url: url.to_string(), shared }
    }

    /// The database's address through the proxy.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Holds the next such transaction at its COMMIT.
    pub fn hold_commit(&self, transaction: Transaction, side: Side) -> Trap {
        let (snare, trap) = Snare::new();
        *self.shared.snare.lock().unwrap() = Some((transaction, side, snare));
        trap
    }
}

impl Shared {
    /// What a statement with these parameters writes about a call, if it does.
    fn read(&self, sql: &str, params: &[&[u8]]) -> Option<Transaction> {
        let mut attempts = self.attempts.lock().unwrap();
        if sql.contains("insert into payment_attempts") {
            let operation = *OPERATIONS.iter().find(|operation| params.contains(&operation.as_bytes()))?;
            attempts.insert(params.first()?.to_vec(), operation);
            return Some(Transaction { writes: Writes::Attempt, operation });
        }
        let is_end = sql.contains("update payment_attempts");
        let operation = params.iter().filter(|_| is_end).find_map(|param| attempts.get(*param))?;
        Some(Transaction { writes: Writes::Conclusion, operation })
    }

    /// The snare that is set for the COMMIT of a transaction that writes all this.
    fn snare(&self, transaction: &[Transaction], side: Side) -> Option<Snare> {
        self.snare
            .lock()
            .unwrap()
            .take_if(|(wanted, at, _)| *at == side && transaction.contains(wanted))
            .map(|(_, _, snare)| snare)
    }
}

async fn serve(client: TcpStream, target: Target, shared: Arc<Shared>) {
    match target {
        Target::Socket(path) => relay(client, UnixStream::connect(path).await.unwrap(), &shared).await,
        Target::Tcp(host, port) => relay(client, TcpStream::connect((host, port)).await.unwrap(), &shared).await,
    }
}

/// Passes messages both ways until one side ends or a trap is cut. Then both ends are closed.
async fn relay(client: TcpStream, server: impl AsyncRead + AsyncWrite, shared: &Shared) {
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = tokio::io::split(server);
    let transaction = Mutex::new(Vec::new());
    tokio::select! {
        _ = asks(client_reads, server_writes, &transaction, shared) => {}
        _ = answers(server_reads, client_writes, &transaction, shared) => {}
    }
}

async fn asks(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    transaction: &Mutex<Vec<Transaction>>,
    shared: &Shared,
) -> io::Result<()> {
    let mut statements: HashMap<Vec<u8>, String> = HashMap::new();
    // The first message has no type.
    let length = from.read_u32().await?;
    to.write_u32(length).await?;
    to.write_all(&body(&mut from, length).await?).await?;
    loop {
        let (kind, body) = message(&mut from).await?;
        match kind {
            b'P' => {
                let (name, sql) = (text(&body, 0), text(&body, 1));
                statements.insert(name.to_vec(), String::from_utf8_lossy(sql).into_owned());
            }
            b'B' => match statements.get(text(&body, 1)).map(String::as_str) {
                Some("BEGIN") => transaction.lock().unwrap().clear(),
                Some("COMMIT") => {
                    let written = transaction.lock().unwrap().clone();
                    if let Some(snare) = shared.snare(&written, Side::Before)
                        && !matches!(snare.hold().await, Some(Then::LetGo))
                    {
                        return Ok(());
                    }
                }
                Some(sql) => transaction.lock().unwrap().extend(shared.read(sql, &params(&body))),
                None => {}
            },
            _ => {}
        }
        write(&mut to, kind, &body).await?;
    }
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    transaction: &Mutex<Vec<Transaction>>,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let (kind, body) = message(&mut from).await?;
        if (kind, text(&body, 0)) == (b'C', b"COMMIT") {
            let written = transaction.lock().unwrap().clone();
            if let Some(snare) = shared.snare(&written, Side::After)
                && !matches!(snare.hold().await, Some(Then::LetGo))
            {
                return Ok(());
            }
        }
        write(&mut to, kind, &body).await?;
    }
}

/// Reads a message: its type, and what follows its length.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    Ok((kind, body(from, length).await?))
}

/// Lengths count themselves.
async fn body(from: &mut (impl AsyncRead + Unpin), length: u32) -> io::Result<Vec<u8>> {
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    Ok(body)
}

async fn write(to: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let whole = [&[kind][..], &length.to_be_bytes(), body].concat();
    to.write_all(&whole).await
}

/// The `n`th zero-terminated text at the start of a message.
fn text(body: &[u8], n: usize) -> &[u8] {
    body.split(|byte| *byte == 0).nth(n).unwrap_or_default()
}

/// The parameters of a Bind that are not null.
fn params(body: &[u8]) -> Vec<&[u8]> {
    let mut rest = &body[text(body, 0).len() + text(body, 1).len() + 2..];
    let mut take = |count: usize| {
        let (taken, left) = rest.split_at(count.min(rest.len()));
        rest = left;
        taken
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
    let formats = number(take(2));
    take(2 * formats);
    let count = number(take(2));
    (0..count)
        .filter_map(|_| match take(4) {
            [0xff, ..] => None,
            length => Some(take(number(length))),
        })
        .collect()
}
