//! Wakes: signals that a commit sends to waiting workers and streams. A wake carries no data; it only says "look again". A lost
//! wake delays work until the next slow poll, so wakes may be duplicated or lost, and correctness never depends on them.
//!
//! Within the process wakes are immediate. Other processes get them through one coalesced NOTIFY every few milliseconds, outside of
//! any transaction: a NOTIFY inside of one serializes commits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// The authorization of a payment is due.
    Authorizations,
    /// Other work on a payment or a refund is due.
    Settlement,
    /// The outbox has new deliveries.
    Outbox,
    /// Something that a match cycle depends on has changed.
    Dispatch,
    /// A deadline was set that may be the earliest one.
    Deadlines,
    /// The payment provider sent an event.
    ProviderEvents,
    /// A webhook delivery can be sent.
    Webhooks,
    /// The domain clock was set.
    Clock,
    /// This trip has new events.
    Trip(Uuid),
    /// This driver has new events, or became free or busy.
    Driver(Uuid),
    /// This trip began or ended a search.
    Search(Uuid),
}

/// The wakes without an id, each with its letter in a NOTIFY payload.
const PLAIN: [(Wake, char); 8] = [
    (Wake::Authorizations, 'a'),
    (Wake::Settlement, 'p'),
    (Wake::Outbox, 'o'),
    (Wake::Dispatch, 's'),
    (Wake::Deadlines, 'd'),
    (Wake::ProviderEvents, 'e'),
    (Wake::Webhooks, 'w'),
    (Wake::Clock, 'c'),
];

/// The maximum size of a payload: PostgreSQL rejects 8,000 bytes. Wakes beyond it are dropped; the slow poll covers them.
const NOTIFY_BYTES_MAX: usize = 7_900;

/// The interval in which wakes for other processes are collected.
const NOTIFY_EVERY: Duration = Duration::from_millis(5);

/// How long the listener waits before it checks its connection, and for the response to the check.
const LISTENER_CHECK: Duration = Duration::from_secs(5);

/// The name of the NOTIFY channel.
pub const CHANNEL: &str = "ridematch_wake";

/// The drivers that changed, for the index.
#[derive(Debug, Default)]
struct Changes {
    ids: Mutex<HashSet<Uuid>>,
    added: Notify,
}

/// Distributes wakes: commits send, workers and streams wait.
#[derive(Debug, Clone, Default)]
pub struct WakeHub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plain: [Notify; PLAIN.len()],
    objects: Mutex<HashMap<Wake, watch::Sender<()>>>,
    drivers: Changes,
    searches: Mutex<HashSet<Uuid>>,
    outgoing: Mutex<HashSet<Wake>>,
    outgoing_added: Notify,
}

impl WakeHub {
    /// Sends wakes in this process at once, and to other processes shortly after.
    pub fn wake(&self, wakes: &[Wake]) {
        if wakes.is_empty() {
            return;
        }
        self.wake_here(wakes);
        lock(&self.0.outgoing).extend(wakes.iter().copied());
        self.0.outgoing_added.notify_one();
    }

    /// Sends wakes in this process only.
    pub fn wake_here(&self, wakes: &[Wake]) {
        for wake in wakes {
            if let Some(index) = PLAIN.iter().position(|(plain, _)| plain == wake) {
                self.0.plain[index].notify_one();
                continue;
            }
            match wake {
                Wake::Driver(id) => {
                    lock(&self.0.drivers.ids).insert(*id);
                    self.0.drivers.added.notify_one();
                }
                Wake::Search(id) => {
                    lock(&self.0.searches).insert(*id);
                    self.wake_here(&[Wake::Dispatch]);
                }
                _ => {}
            }
            if let Some(sender) = lock(&self.0.objects).get(wake) {
                sender.send_replace(());
            }
        }
    }

    /// Waits for a wake without an id. Returns at once if one came since the last wait. Each kind has one waiter.
    pub async fn wait(&self, kind: Wake) {
        if let Some(index) = PLAIN.iter().position(|(plain, _)| *plain == kind) {
            self.0.plain[index].notified().await;
        }
    }

    /// Waits until a driver changes. [`WakeHub::take_changed_drivers`] returns which ones.
    pub async fn wait_for_drivers(&self) {
        self.0.drivers.added.notified().await;
    }

    /// Returns the drivers that changed since the last call.
    pub fn take_changed_drivers(&self) -> Vec<Uuid> {
        lock(&self.0.drivers.ids).drain().collect()
    }

    /// Returns the trips that began or ended a search since the last call. [`Wake::Dispatch`] follows each.
    pub fn take_changed_searches(&self) -> Vec<Uuid> {
        lock(&self.0.searches).drain().collect()
    }

    /// Subscribes to the wakes of one trip or one driver.
    pub fn subscribe(&self, wake: Wake) -> WakeSubscription {
        let receiver = lock(&self.0.objects).entry(wake).or_insert_with(|| watch::channel(()).0).subscribe();
        WakeSubscription { hub: self.clone(), wake, receiver }
    }

    /// The number of trips and drivers with a subscription.
    pub fn subscribed(&self) -> usize {
        lock(&self.0.objects).len()
    }

    /// Waits for wakes to send to other processes, and returns them as the payload of one NOTIFY.
    pub async fn outgoing(&self) -> String {
        loop {
            self.0.outgoing_added.notified().await;
            tokio::time::sleep(NOTIFY_EVERY).await;
            let wakes = std::mem::take(&mut *lock(&self.0.outgoing));
            if !wakes.is_empty() {
                return pack(wakes);
            }
        }
    }
}

/// Parses the payload of a NOTIFY, ignoring unknown words.
pub fn unpack(text: &str) -> Vec<Wake> {
    text.split(',')
        .filter_map(|word| {
            let mut letters = word.chars();
            let kind = letters.next()?;
            let id = || Uuid::try_parse(letters.as_str()).ok();
            match kind {
                't' => id().map(Wake::Trip),
                'v' => id().map(Wake::Driver),
                'q' => id().map(Wake::Search),
                _ => PLAIN.iter().find(|(_, letter)| *letter == kind).map(|(wake, _)| *wake),
            }
        })
        .collect()
}

/// Sends a payload that [`WakeHub::outgoing`] returned.
///
/// # Errors
/// If the database does not respond.
pub async fn send(conn: &mut sqlx::PgConnection, text: &str) -> super::error::Result<()> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, text).execute(conn).await?;
    Ok(())
}

/// Receives the wakes of processes other than `process` until the connection is lost.
///
/// # Errors
/// The cause of the lost connection.
pub async fn listen(db: &super::db::Db, process: &str) -> super::error::Result<()> {
    let mut listener = sqlx::postgres::PgListener::connect_with(db.listener()).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let Ok(notification) = tokio::time::timeout(LISTENER_CHECK, listener.recv()).await else {
            // A connection to a machine that has vanished is silent for ever.
            let check = tokio::time::timeout(LISTENER_CHECK, sqlx::query("select 1").execute(&mut listener));
            check.await.map_err(|_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))??;
            continue;
        };
        let notification = notification?;
        if let Some((sender, wakes)) = notification.payload().split_once('|')
            && sender != process
        {
            db.wake_hub().wake_here(&unpack(wakes));
        }
    }
}

fn pack(wakes: HashSet<Wake>) -> String {
    let mut text = String::new();
    for wake in wakes {
        let word = match wake {
            Wake::Trip(id) => format!("t{}", id.simple()),
            Wake::Driver(id) => format!("v{}", id.simple()),
            Wake::Search(id) => format!("q{}", id.simple()),
            plain => PLAIN.iter().filter(|(wake, _)| *wake == plain).map(|(_, letter)| *letter).collect(),
        };
        if text.len() + word.len() < NOTIFY_BYTES_MAX {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&word);
        }
    }
    text
}

/// A subscription to the wakes of one object, until it is dropped.
#[derive(Debug)]
pub struct WakeSubscription {
    hub: WakeHub,
    wake: Wake,
    receiver: watch::Receiver<()>,
}

impl WakeSubscription {
    /// Waits for a wake since the last call.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for WakeSubscription {
    fn drop(&mut self) {
        let mut objects = lock(&self.hub.0.objects);
        if objects.get(&self.wake).is_some_and(|sender| sender.receiver_count() <= 1) {
            objects.remove(&self.wake);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_round_trip_through_a_payload() {
        let wakes = HashSet::from([
            Wake::Authorizations,
            Wake::Settlement,
            Wake::Dispatch,
            Wake::Trip(Uuid::from_u128(7)),
            Wake::Driver(Uuid::from_u128(8)),
            Wake::Search(Uuid::from_u128(9)),
        ]);
        assert_eq!(unpack(&pack(wakes.clone())).into_iter().collect::<HashSet<_>>(), wakes);
        assert_eq!(unpack("nonsense,t123,"), vec![]);
    }

    #[test]
    fn payload_of_many_wakes_stays_below_the_limit() {
        let wakes = (0..10_000).map(|n| Wake::Trip(Uuid::from_u128(n))).collect();
        assert!(pack(wakes).len() < NOTIFY_BYTES_MAX);
    }

    #[test]
    fn last_dropped_subscription_removes_the_object() {
        let hub = WakeHub::default();
        let one = hub.subscribe(Wake::Trip(Uuid::nil()));
        let two = hub.subscribe(Wake::Trip(Uuid::nil()));
        drop(one);
        assert_eq!(hub.subscribed(), 1);
        drop(two);
        assert_eq!(hub.subscribed(), 0);
    }
}
