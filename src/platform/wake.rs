//! Wakes: what a commit says to those who wait. A wake carries no news, it only says "look again"; whoever missed one finds
//! out at his next slow poll. So they are cheap, may be doubled or lost, and are never the reason that something is right.
//!
//! Within the process they are immediate. Other processes get them through one coalesced NOTIFY every few milliseconds, sent
//! outside of any command: a NOTIFY inside a transaction serialises commits.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use uuid::Uuid;

/// What to look at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wake {
    /// A payment or a refund has work due.
    Payments,
    /// There are deliveries in the outbox.
    Outbox,
    /// A trip is searching.
    Dispatch,
    /// A deadline was set that may be the next one.
    Deadlines,
    /// The payment provider has sent an event.
    ProviderEvents,
    /// A webhook endpoint takes another delivery.
    Webhooks,
    /// The domain clock was set.
    Clock,
    /// This trip has events.
    Trip(Uuid),
    /// This driver has events, or became free or engaged.
    Driver(Uuid),
}

/// The kinds of wake that name no object, each with its letter in a NOTIFY.
const PLAIN: [(Wake, char); 7] = [
    (Wake::Payments, 'p'),
    (Wake::Outbox, 'o'),
    (Wake::Dispatch, 's'),
    (Wake::Deadlines, 'd'),
    (Wake::ProviderEvents, 'e'),
    (Wake::Webhooks, 'w'),
    (Wake::Clock, 'c'),
];

/// PostgreSQL refuses payloads of 8,000 bytes; more than this and the rest waits for its poll.
const NOTIFY_BYTES_MAX: usize = 7_900;

/// How long wakes for other processes are collected.
pub const NOTIFY_EVERY: Duration = Duration::from_millis(5);

/// The channel's name.
pub const CHANNEL: &str = "ridematch_wake";

/// Where commits wake and workers wait.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plain: [Notify; PLAIN.len()],
    objects: Mutex<HashMap<Wake, watch::Sender<()>>>,
    drivers_changed: Mutex<HashSet<Uuid>>,
    driver_changed: Notify,
    outgoing: Mutex<HashSet<Wake>>,
    outgoing_waits: Notify,
}

impl Hub {
    /// Wakes those who wait in this process, and, a little later, those in others.
    pub fn wake(&self, wakes: &[Wake]) {
        if wakes.is_empty() {
            return;
        }
        self.wake_here(wakes);
        lock(&self.0.outgoing).extend(wakes.iter().copied());
        self.0.outgoing_waits.notify_one();
    }

    /// Wakes those who wait in this process only.
    pub fn wake_here(&self, wakes: &[Wake]) {
        for wake in wakes {
            if let Some(index) = PLAIN.iter().position(|(plain, _)| plain == wake) {
                self.0.plain[index].notify_one();
                continue;
            }
            if let Wake::Driver(id) = wake {
                lock(&self.0.drivers_changed).insert(*id);
                self.0.driver_changed.notify_one();
            }
            if let Some(sender) = lock(&self.0.objects).get(wake) {
                sender.send_replace(());
            }
        }
    }

    /// Waits for a wake of a kind that names no object; one that came since the last wait returns at once. One waiter a kind.
    pub async fn wait(&self, kind: Wake) {
        if let Some(index) = PLAIN.iter().position(|(plain, _)| *plain == kind) {
            self.0.plain[index].notified().await;
        }
    }

    /// Waits until some driver has changed. [`Hub::take_changed_drivers`] says which.
    pub async fn wait_for_drivers(&self) {
        self.0.driver_changed.notified().await;
    }

    /// The drivers that changed since this was last asked.
    pub fn take_changed_drivers(&self) -> Vec<Uuid> {
        lock(&self.0.drivers_changed).drain().collect()
    }

    /// Follows one trip or one driver.
    pub fn follow(&self, wake: Wake) -> Follower {
        let receiver = lock(&self.0.objects).entry(wake).or_insert_with(|| watch::channel(()).0).subscribe();
        Follower { hub: self.clone(), wake, receiver }
    }

    /// How many trips and drivers are being followed.
    pub fn followed(&self) -> usize {
        lock(&self.0.objects).len()
    }

    /// Waits for wakes that other processes should hear of and packs them into the text of one NOTIFY.
    pub async fn outgoing(&self) -> String {
        loop {
            self.0.outgoing_waits.notified().await;
            tokio::time::sleep(NOTIFY_EVERY).await;
            let wakes = std::mem::take(&mut *lock(&self.0.outgoing));
            if !wakes.is_empty() {
                return pack(wakes);
            }
        }
    }
}

/// The wakes in the text of a NOTIFY; what cannot be read is left out.
pub fn unpack(text: &str) -> Vec<Wake> {
    text.split(',')
        .filter_map(|word| {
            let mut letters = word.chars();
            let kind = letters.next()?;
            let id = || Uuid::try_parse(letters.as_str()).ok();
            match kind {
                't' => id().map(Wake::Trip),
                'v' => id().map(Wake::Driver),
                _ => PLAIN.iter().find(|(_, letter)| *letter == kind).map(|(wake, _)| *wake),
            }
        })
        .collect()
}

/// Sends a text that [`Hub::outgoing`] packed.
///
/// # Errors
/// If the database does not answer.
pub async fn send(conn: &mut sqlx::PgConnection, text: &str) -> super::error::Result<()> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, text).execute(conn).await?;
    Ok(())
}

/// Hears what other processes than `process` send, until the connection is lost.
///
/// # Errors
/// Always in the end: why it was lost.
pub async fn hear(db: &super::db::Db, process: &str) -> super::error::Result<()> {
    let mut listener = sqlx::postgres::PgListener::connect_with(db.pool()).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let notification = listener.recv().await?;
        if let Some((sender, wakes)) = notification.payload().split_once('|')
            && sender != process
        {
            db.hub().wake_here(&unpack(wakes));
        }
    }
}

fn pack(wakes: HashSet<Wake>) -> String {
    let mut text = String::new();
    for wake in wakes {
        let word = match wake {
            Wake::Trip(id) => format!("t{}", id.simple()),
            Wake::Driver(id) => format!("v{}", id.simple()),
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

/// Follows one object; forgotten when it is dropped.
#[derive(Debug)]
pub struct Follower {
    hub: Hub,
    wake: Wake,
    receiver: watch::Receiver<()>,
}

impl Follower {
    /// Waits until the object was woken since the last call.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Follower {
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
    fn wakes_survive_the_text_of_a_notify() {
        let wakes = HashSet::from([
            Wake::Payments,
            Wake::Dispatch,
            Wake::Trip(Uuid::from_u128(7)),
            Wake::Driver(Uuid::from_u128(8)),
        ]);
        assert_eq!(unpack(&pack(wakes.clone())).into_iter().collect::<HashSet<_>>(), wakes);
        assert_eq!(unpack("nonsense,t123,"), vec![]);
    }

    #[test]
    fn a_flood_of_wakes_fits_into_one_notify() {
        let wakes = (0..10_000).map(|n| Wake::Trip(Uuid::from_u128(n))).collect();
        assert!(pack(wakes).len() < NOTIFY_BYTES_MAX);
    }

    #[test]
    fn a_follower_is_forgotten_when_it_goes() {
        let hub = Hub::default();
        let one = hub.follow(Wake::Trip(Uuid::nil()));
        let two = hub.follow(Wake::Trip(Uuid::nil()));
        drop(one);
        assert_eq!(hub.followed(), 1);
        drop(two);
        assert_eq!(hub.followed(), 0);
    }
}
