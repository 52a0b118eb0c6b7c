//! A proxy between the service and PostgreSQL that can hold or lose a transaction at its COMMIT. It recognizes transactions by
//! their SQL, and by the call of the payment provider that they record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use launcher::frame::{Frames, Message};
use launcher::{ChunkAction, Direction, Proxy, Target};
use reqwest::Url;

use super::{Breakpoint, Hold, Next, Side};

/// The service's names of provider calls.
const OPERATIONS: [&str; 5] = ["create", "confirm", "capture", "cancel", "refund"];

/// What a transaction records about a provider call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// That it will be made.
    Attempt,
    /// How it ended.
    Outcome,
}

/// A transaction that records this about such a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    pub writes: Writes,
    pub operation: &'static str,
}

/// Which transaction stops at a breakpoint.
#[derive(Debug, Clone, Copy)]
enum Stops {
    Recording(Transaction),
    /// One with this SQL.
    Running(&'static str),
}

/// The proxy. It stops when the test's runtime does.
pub struct DatabaseProxy {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// At most one breakpoint is set.
    breakpoint: Mutex<Option<(Stops, Side, Hold)>>,
    /// A commit to be lost: the side, and a part of the SQL of its transaction.
    to_lose: Mutex<Option<(Side, &'static str)>>,
    /// Attempts by id, with their operations.
    attempts: Mutex<HashMap<Vec<u8>, &'static str>>,
    delay: Duration,
}

impl DatabaseProxy {
    /// Starts a proxy in front of the database at `database_url`.
    pub async fn start(database_url: &str) -> Self {
        Self::with_delay(database_url, Duration::ZERO).await
    }

    /// Starts a proxy that delays every response.
    pub async fn with_delay(database_url: &str, delay: Duration) -> Self {
        let shared = Arc::new(Shared { delay, ..Shared::default() });
        let connections = Arc::clone(&shared);
        let proxy = Proxy::open(move |connection| {
            let session = Mutex::new(Session::new(Arc::clone(&connections)));
            connection.relay(move |direction, chunk| session.lock().unwrap().inspect(direction, chunk))
        });
        let proxy = proxy.await.unwrap();
        proxy.set_target(Some(Target::of_database(database_url).unwrap()));
        let mut url: Url = database_url.parse().unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(proxy.address.port())).unwrap();
        url.set_query(Some("sslmode=disable"));
        Self { url: url.to_string(), shared }
    }

    /// The database's URL through the proxy.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Sets a breakpoint at the next COMMIT of such a transaction.
    pub fn break_at_commit(&self, transaction: Transaction, side: Side) -> Breakpoint {
        self.break_at_commit_that(Stops::Recording(transaction), side)
    }

    /// Sets a breakpoint at the next COMMIT of a transaction with this SQL.
    pub fn break_at_commit_of(&self, sql: &'static str, side: Side) -> Breakpoint {
        self.break_at_commit_that(Stops::Running(sql), side)
    }

    fn break_at_commit_that(&self, stops: Stops, side: Side) -> Breakpoint {
        let (hold, breakpoint) = Hold::new();
        *self.shared.breakpoint.lock().unwrap() = Some((stops, side, hold));
        breakpoint
    }

    /// Loses the next COMMIT of a transaction with this SQL: the statement or its response.
    pub fn lose_commit(&self, side: Side, sql: &'static str) {
        *self.shared.to_lose.lock().unwrap() = Some((side, sql));
    }

    /// Whether the commit was lost.
    pub fn has_lost(&self) -> bool {
        self.shared.to_lose.lock().unwrap().is_none()
    }
}

impl Shared {
    /// Returns what a statement with these parameters records about a call.
    fn recorded(&self, sql: &str, params: &[&[u8]]) -> Option<Transaction> {
        let mut attempts = self.attempts.lock().unwrap();
        if sql.contains("insert into payment_attempts") {
            let operation = *OPERATIONS.iter().find(|operation| params.contains(&operation.as_bytes()))?;
            attempts.insert(params.first()?.to_vec(), operation);
            return Some(Transaction { writes: Writes::Attempt, operation });
        }
        let is_outcome = sql.contains("update payment_attempts");
        let operation = params.iter().filter(|_| is_outcome).find_map(|param| attempts.get(*param))?;
        Some(Transaction { writes: Writes::Outcome, operation })
    }
}

/// The state of one connection.
struct Session {
    shared: Arc<Shared>,
    to_server: Frames,
    to_client: Frames,
    /// Prepared statements by name.
    statements: HashMap<Vec<u8>, String>,
    /// SQL of the open transaction, and what it records.
    sql: Vec<String>,
    recorded: Vec<Transaction>,
}

impl Session {
    fn new(shared: Arc<Shared>) -> Self {
        let (to_server, to_client) = (Frames::from_client(), Frames::from_server());
        Self { shared, to_server, to_client, statements: HashMap::new(), sql: Vec::new(), recorded: Vec::new() }
    }

    fn inspect(&mut self, direction: Direction, chunk: &[u8]) -> ChunkAction {
        let mut commits = false;
        match direction {
            Direction::ToServer => {
                let mut frames = std::mem::replace(&mut self.to_server, Frames::from_client());
                frames.push(chunk, |message, _| {
                    commits |= self.on_client(message);
                    true
                });
                self.to_server = frames;
            }
            Direction::ToClient => self.to_client.push(chunk, |message, _| {
                commits |= (message.tag, text(message.body, 0)) == (b'C', b"COMMIT");
                true
            }),
        }
        match direction {
            _ if commits => self.at_commit(if direction == Direction::ToServer { Side::Before } else { Side::After }),
            Direction::ToClient if !self.shared.delay.is_zero() => {
                let delay = self.shared.delay;
                ChunkAction::Wait(Box::pin(async move {
                    tokio::time::sleep(delay).await;
                    true
                }))
            }
            _ => ChunkAction::Pass,
        }
    }

    /// Processes a message of the client. Returns whether it commits.
    fn on_client(&mut self, message: Message<'_>) -> bool {
        let body = message.body;
        match message.tag {
            b'P' => {
                let sql = String::from_utf8_lossy(text(body, 1)).into_owned();
                self.statements.insert(text(body, 0).to_vec(), sql);
            }
            b'B' => match self.statements.get(text(body, 1)).map(String::as_str) {
                Some("BEGIN") => {
                    self.sql.clear();
                    self.recorded.clear();
                }
                Some("COMMIT") => return true,
                Some(sql) => {
                    self.recorded.extend(self.shared.recorded(sql, &params(body)));
                    self.sql.push(sql.to_owned());
                }
                None => {}
            },
            _ => {}
        }
        false
    }

    fn at_commit(&self, side: Side) -> ChunkAction {
        let has = |part: &str| self.sql.iter().any(|sql| sql.contains(part));
        if self.shared.to_lose.lock().unwrap().take_if(|(at, part)| *at == side && has(part)).is_some() {
            return ChunkAction::Cut(0);
        }
        let mut breakpoint = self.shared.breakpoint.lock().unwrap();
        let is_wanted = |stops: &Stops| match stops {
            Stops::Recording(transaction) => self.recorded.contains(transaction),
            Stops::Running(sql) => has(sql),
        };
        match breakpoint.take_if(|(stops, at, _)| *at == side && is_wanted(stops)) {
            Some((_, _, hold)) => {
                ChunkAction::Wait(Box::pin(async move { matches!(hold.wait().await, Some(Next::Resume)) }))
            }
            None => ChunkAction::Pass,
        }
    }
}

/// The `n`th zero-terminated text at the start of a message.
fn text(body: &[u8], n: usize) -> &[u8] {
    body.split(|byte| *byte == 0).nth(n).unwrap_or_default()
}

/// The parameters of a Bind message, without nulls.
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
