//! People of our own beside the city: riders, drivers and an operator who do on purpose what others do by accident, and keep
//! a record of every key they sent and every answer they got. The record is what the books are held against afterwards.

mod driver;
mod operator;
mod person;
mod record;
mod rider;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinSet;

use crate::BoxError;
use crate::lock;
use crate::stack::Stack;

pub(crate) use person::{Person, Role};
pub(crate) use record::{Asked, Record, digest};
pub(crate) use rider::declines;

/// How long a request may take. Past that the answer is lost, and the request is sent again under its key.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Operators; two, so that refunds of one payment race.
pub(crate) const OPERATORS: u32 = 2;

/// How long the last ones may take to go home: nobody waits longer than this for an answer once everything is healed.
const PATIENCE: Duration = Duration::from_secs(45);

/// Payments that the operator chooses from.
const PAID_MAX: usize = 500;

/// What everybody shares.
#[derive(Debug)]
pub(crate) struct Town {
    /// Through which doors the services are reached.
    pub doors: [String; 2],
    /// To the matcher.
    pub front: String,
    /// The one client, with kept connections.
    pub http: Client,
    /// What was asked and answered.
    pub record: Record,
    seed: u64,
    board: Mutex<Board>,
    /// Nobody begins anything new.
    is_closing: AtomicBool,
    /// Every ride is over.
    is_over: AtomicBool,
    /// Nobody tries again any more.
    is_closed: AtomicBool,
}

/// What riders tell drivers and operators, as people do when they stand at the kerb.
#[derive(Debug, Default)]
struct Board {
    /// Of trips that are under way: the PIN, or nothing if the rider does not come.
    pins: BTreeMap<String, Option<String>>,
    /// Payments of trips that are over and cost something.
    paid: Vec<String>,
}

/// Everybody.
#[derive(Debug)]
pub(crate) struct People {
    pub town: Arc<Town>,
    tasks: JoinSet<()>,
}

impl Town {
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// A rider has a trip, and will tell its PIN, or not come.
    fn begins(&self, trip: &str, pin: Option<String>) {
        lock(&self.board).pins.insert(trip.to_owned(), pin);
    }

    /// What the rider at the kerb says.
    fn pin(&self, trip: &str) -> Option<String> {
        lock(&self.board).pins.get(trip).cloned().flatten()
    }

    fn under_way(&self) -> Vec<String> {
        lock(&self.board).pins.keys().cloned().collect()
    }

    /// A trip is over, and costs so much.
    fn ends(&self, trip: &str, payment: &str, fare: i64) {
        let mut board = lock(&self.board);
        board.pins.remove(trip);
        if fare > 0 && board.paid.len() < PAID_MAX {
            board.paid.push(payment.to_owned());
        }
    }

    /// Payments of fares, the oldest first.
    fn paid(&self) -> Vec<String> {
        lock(&self.board).paid.clone()
    }
}

impl People {
    /// Lets them go about their business: so many drivers, as many riders, and an operator.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn come(stack: &Stack) -> Result<Self, BoxError> {
        let town = Arc::new(Town {
            doors: [stack.doors[0].url(), stack.doors[1].url()],
            front: stack.front.url(),
            // The services close connections that nobody has used for five seconds; one must not be taken up just then.
            http: Client::builder().timeout(ANSWER_WITHIN).pool_idle_timeout(Duration::from_secs(2)).build()?,
            record: Record::default(),
            seed: stack.options.seed,
            board: Mutex::default(),
            is_closing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..stack.options.drivers {
            tasks.spawn(driver::live(Person::new(&town, Role::Driver, number)));
            tasks.spawn(rider::live(Person::new(&town, Role::Rider, number)));
        }
        for number in 0..OPERATORS {
            tasks.spawn(operator::live(Person::new(&town, Role::Ops, number)));
        }
        Ok(Self { town, tasks })
    }

    /// Nobody begins anything new, but for operators, who go on giving back; what is under way is finished, and every key gets
    /// its answer.
    pub fn close(&self) {
        self.town.is_closing.store(true, Ordering::Relaxed);
    }

    /// Waits until all have gone home, a while at most; whoever is still there then gives up. What they remember.
    pub async fn go_home(mut self) -> Arc<Town> {
        self.close();
        self.town.is_over.store(true, Ordering::Relaxed);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(PATIENCE, all).await;
        self.town.is_closed.store(true, Ordering::Relaxed);
        self.tasks.shutdown().await;
        self.town
    }
}
