//! The torture's own riders, drivers and operators, beside the city. They provoke conflicts on purpose and record every
//! idempotency key that they sent and every response. The record is compared with the ledger afterwards.

mod actor;
mod driver;
mod operator;
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

pub(crate) use actor::{Actor, Response, Role};
pub(crate) use record::{KeyHistory, Record, digest};
pub(crate) use rider::declines;

/// How long a request may take. After that it is sent again under the same key.
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

/// Number of operators. Two, so that refunds of one payment race.
pub(crate) const OPERATORS: u32 = 2;

/// How long actors may take to finish. Once all faults are over, no response takes longer.
const FINISHES_WITHIN: Duration = Duration::from_secs(45);

/// Payments from which operators choose.
const PAID_MAX: usize = 500;

/// What the actors share.
#[derive(Debug)]
pub(crate) struct Context {
    /// The proxies in front of the two services.
    pub service_urls: [String; 2],
    /// The proxy in front of the matcher.
    pub matcher_url: String,
    pub http: Client,
    pub record: Record,
    seed: u64,
    trips: Mutex<KnownTrips>,
    /// Riders request no more trips.
    is_closing: AtomicBool,
    /// Every trip has ended.
    is_over: AtomicBool,
    /// Actors stop retrying.
    is_closed: AtomicBool,
}

/// What riders tell drivers and operators.
#[derive(Debug, Default)]
struct KnownTrips {
    /// Active trips with their PIN; no PIN if the rider does not show up.
    pins: BTreeMap<String, Option<String>>,
    /// Payments of ended trips that cost something.
    paid: Vec<String>,
}

/// All actors, running.
#[derive(Debug)]
pub(crate) struct Actors {
    pub context: Arc<Context>,
    tasks: JoinSet<()>,
}

impl Context {
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Adds a trip and the PIN that its rider will tell; no PIN for a rider that does not show up.
    fn add_trip(&self, trip: &str, pin: Option<String>) {
        lock(&self.trips).pins.insert(trip.to_owned(), pin);
    }

    /// The PIN that the rider tells the driver.
    fn pin(&self, trip: &str) -> Option<String> {
        lock(&self.trips).pins.get(trip).cloned().flatten()
    }

    fn active_trips(&self) -> Vec<String> {
        lock(&self.trips).pins.keys().cloned().collect()
    }

    fn end_trip(&self, trip: &str, payment: &str, fare: i64) {
        let mut trips = lock(&self.trips);
        trips.pins.remove(trip);
        if fare > 0 && trips.paid.len() < PAID_MAX {
            trips.paid.push(payment.to_owned());
        }
    }

    /// Payments of fares, the oldest first.
    fn paid(&self) -> Vec<String> {
        lock(&self.trips).paid.clone()
    }
}

impl Actors {
    /// Starts as many drivers and riders as the options say, and the operators.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn start(stack: &Stack) -> Result<Self, BoxError> {
        let context = Arc::new(Context {
            service_urls: [stack.service_proxies[0].url(), stack.service_proxies[1].url()],
            matcher_url: stack.matcher_proxy.url(),
            // The services close connections that were idle for five seconds; none may be reused just then.
            http: launcher::http_client().timeout(RESPONSE_WITHIN).pool_idle_timeout(Duration::from_secs(2)).build()?,
            record: Record::default(),
            seed: stack.options.seed,
            trips: Mutex::default(),
            is_closing: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        });
        let mut tasks = JoinSet::new();
        for number in 0..stack.options.drivers {
            tasks.spawn(driver::run(Actor::new(&context, Role::Driver, number)));
            tasks.spawn(rider::run(Actor::new(&context, Role::Rider, number)));
        }
        for number in 0..OPERATORS {
            tasks.spawn(operator::run(Actor::new(&context, Role::Ops, number)));
        }
        Ok(Self { context, tasks })
    }

    /// Ends new trips. Active ones are finished, every key gets its response, and operators continue to refund.
    pub fn close(&self) {
        self.context.is_closing.store(true, Ordering::Relaxed);
    }

    /// Waits until all actors have finished, up to 45 s, and stops the others. Returns what they recorded.
    pub async fn finish(mut self) -> Arc<Context> {
        self.close();
        self.context.is_over.store(true, Ordering::Relaxed);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(FINISHES_WITHIN, all).await;
        self.context.is_closed.store(true, Ordering::Relaxed);
        self.tasks.shutdown().await;
        self.context
    }
}
