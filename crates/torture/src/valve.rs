//! The valve in every proxy: connections pass through it, and the adversary turns it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, watch};

use crate::lock;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1 << 14;

/// What happens to connections and to what comes back on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Open,
    /// Requests pass, answers wait.
    HoldAnswers,
    /// New connections are closed at once; the ones that are there stay.
    Refuse,
}

/// A valve. Clones turn the same one.
#[derive(Debug, Clone)]
pub struct Valve {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mode: watch::Sender<Mode>,
    passages: Mutex<Passages>,
    held: AtomicU64,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Passages {
    next: u64,
    open: BTreeMap<u64, Arc<Notify>>,
}

/// One connection on its way through a valve.
#[derive(Debug)]
pub struct Passage {
    id: u64,
    valve: Valve,
    cut: Arc<Notify>,
}

impl Default for Valve {
    fn default() -> Self {
        let inner = Inner {
            mode: watch::Sender::new(Mode::Open),
            passages: Mutex::default(),
            held: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Valve {
    /// Turns it.
    pub fn turn(&self, mode: Mode) {
        self.inner.mode.send_replace(mode);
    }

    /// Cuts every connection that `chosen` picks, and says how many those were.
    pub fn cut(&self, mut chosen: impl FnMut() -> bool) -> u64 {
        let passages = lock(&self.inner.passages);
        let mut count = 0;
        for cut in passages.open.values().filter(|_| chosen()) {
            cut.notify_one();
            count += 1;
        }
        count
    }

    /// Connections that are open.
    pub fn open_connections(&self) -> usize {
        lock(&self.inner.passages).open.len()
    }

    /// Answers that had to wait so far, and connections that were refused.
    pub fn struck(&self) -> (u64, u64) {
        (self.inner.held.load(Ordering::Relaxed), self.inner.refused.load(Ordering::Relaxed))
    }

    /// Lets a new connection in, unless it is to be refused.
    pub fn enter(&self) -> Option<Passage> {
        if *self.inner.mode.borrow() == Mode::Refuse {
            self.inner.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let cut = Arc::new(Notify::new());
        let mut passages = lock(&self.inner.passages);
        passages.next += 1;
        let id = passages.next;
        passages.open.insert(id, Arc::clone(&cut));
        Some(Passage { id, valve: self.clone(), cut })
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        lock(&self.valve.inner.passages).open.remove(&self.id);
    }
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

impl Passage {
    /// Passes bytes both ways until one side ends, the adversary cuts, or `inspect` says where to cut; then both ends close.
    ///
    /// `inspect` sees every chunk before it passes. `Some(n)` lets the first `n` bytes of it through, and cuts.
    pub async fn relay<C, S>(self, client: C, server: S, inspect: impl Fn(Way, &[u8]) -> Option<usize>)
    where
        C: AsyncRead + AsyncWrite,
        S: AsyncRead + AsyncWrite,
    {
        let (client_reads, client_writes) = tokio::io::split(client);
        let (server_reads, server_writes) = tokio::io::split(server);
        // Futures are dropped half-way here, and with them both connections: a write cut short is what this is for.
        tokio::select! {
            () = self.pump(Way::Up, client_reads, server_writes, &inspect) => {}
            () = self.pump(Way::Down, server_reads, client_writes, &inspect) => {}
            () = self.cut.notified() => {}
        }
    }

    async fn pump(
        &self,
        way: Way,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        inspect: &impl Fn(Way, &[u8]) -> Option<usize>,
    ) {
        let mut mode = self.valve.inner.mode.subscribe();
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let end = inspect(way, &chunk[..count]);
            if way == Way::Down && *mode.borrow() == Mode::HoldAnswers {
                self.valve.inner.held.fetch_add(1, Ordering::Relaxed);
                if mode.wait_for(|mode| *mode != Mode::HoldAnswers).await.is_err() {
                    return;
                }
            }
            let passes = end.unwrap_or(count).min(count);
            if to.write_all(&chunk[..passes]).await.is_err() || end.is_some() {
                return;
            }
        }
    }
}
