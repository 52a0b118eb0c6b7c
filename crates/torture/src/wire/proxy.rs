//! The proxy.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use launcher::frame::{Frames, refuse_encryption};
use launcher::{ChunkAction, Connection, Direction, Mode, Proxy, Target};
use tokio::io::AsyncWriteExt;

use super::session::{Cut, Session};
use super::shapes::{Shapes, Side};
use crate::lock;

/// A proxy in front of a PostgreSQL server. Clones share it. It stops when the runtime does.
#[derive(Debug, Clone)]
pub struct WireProxy {
    proxy: Proxy,
    shapes: Shapes,
    notifications: Arc<Notifications>,
}

/// What happens to notifications.
#[derive(Debug, Default)]
struct Notifications {
    are_lost: AtomicBool,
    lost: AtomicU64,
}

impl WireProxy {
    /// Opens a proxy without a target.
    ///
    /// # Errors
    /// If no port is free.
    pub async fn open(shapes: Shapes) -> std::io::Result<Self> {
        let (table, notifications) = (shapes.clone(), Arc::<Notifications>::default());
        let shared = Arc::clone(&notifications);
        let proxy = Proxy::open(move |connection| serve(connection, table.clone(), Arc::clone(&shared))).await?;
        Ok(Self { proxy, shapes, notifications })
    }

    /// Sets where new connections lead; `None`: nowhere.
    pub fn set_target(&self, target: Option<Target>) {
        self.proxy.set_target(target);
    }

    /// The URL of a database behind the proxy.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@{}/{database}?sslmode=disable", self.proxy.address)
    }

    /// The transaction shapes that were seen and cut.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Loses every notification from now on, or none: the connection that one arrives on is cut before it, as if it had broken around
    /// the commit that sent it.
    pub fn lose_notifications(&self, are_lost: bool) {
        self.notifications.are_lost.store(are_lost, Ordering::Relaxed);
    }

    /// The number of notifications that were lost.
    pub fn lost_notifications(&self) -> u64 {
        self.notifications.lost.load(Ordering::Relaxed)
    }

    /// The TCP proxy, to cut, hold and refuse connections.
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Lets everything pass again; no commit and no notification is lost.
    pub fn heal(&self) {
        self.lose_notifications(false);
        self.shapes.set_enabled(false);
        self.proxy.set_mode(Mode::Pass);
    }
}

/// The tag of NotificationResponse: a NOTIFY that another session has sent.
const NOTIFICATION: u8 = b'A';

/// What is known of one connection.
struct Tracker {
    to_server: Frames,
    to_client: Frames,
    session: Session,
}

async fn serve(mut connection: Connection, shapes: Shapes, notifications: Arc<Notifications>) {
    let Ok(startup) = refuse_encryption(&mut connection.client).await else { return };
    if connection.server.write_all(&startup).await.is_err() {
        return;
    }
    let mut tracker =
        Tracker { to_server: Frames::from_client(), to_client: Frames::from_server(), session: Session::default() };
    tracker.to_server.push(&startup, |_, _| true);
    let tracker = Arc::new(Mutex::new(tracker));
    connection.relay(|direction, chunk| lock(&tracker).inspect(direction, chunk, (&shapes, &notifications))).await;
}

impl Tracker {
    fn inspect(
        &mut self,
        direction: Direction,
        chunk: &[u8],
        (shapes, notifications): (&Shapes, &Notifications),
    ) -> ChunkAction {
        let mut cut: Option<(Cut, usize)> = None;
        let mut notification: Option<usize> = None;
        let Self { to_server, to_client, session } = self;
        match direction {
            Direction::ToServer => to_server.push(chunk, |message, start| {
                cut = session.on_client(message, |shape| shapes.decide(shape)).map(|cut| (cut, start));
                cut.is_none()
            }),
            Direction::ToClient => to_client.push(chunk, |message, start| {
                if message.tag == NOTIFICATION && notifications.are_lost.load(Ordering::Relaxed) {
                    notification = Some(start);
                    return false;
                }
                cut = session.on_server(message).map(|cut| (cut, start));
                cut.is_none()
            }),
        }
        if let Some(start) = notification {
            notifications.lost.fetch_add(1, Ordering::Relaxed);
            return ChunkAction::Cut(start);
        }
        let Some((Cut { shape, side }, start)) = cut else { return ChunkAction::Pass };
        shapes.record_cut(&shape, side);
        debug_assert_eq!(direction == Direction::ToServer, side == Side::Before, "a COMMIT goes to the server");
        ChunkAction::Cut(start)
    }
}
