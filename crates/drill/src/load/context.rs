//! What the actors of a run share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::Client;
use serde_json::Value;
use tokio::sync::watch;

use super::clock::DomainClock;
use super::recording::{DriverEventRecord, PositionCount, Recording};
use launcher::BoxError;
use launcher::clock::Stopwatch;

/// How many of the newest events of drivers are searched for one that was found in the database before it arrived.
const DRIVER_EVENTS_SEARCHED: usize = 4_096;

/// The service that a load runs against.
#[derive(Debug, Clone)]
pub struct Target {
    /// URLs of its processes.
    pub urls: Vec<String>,
    /// The seed of everything that actors decide.
    pub seed: u64,
    /// Domain seconds per real second.
    pub time_scale: u32,
}

/// A driver of the load.
#[derive(Debug, Clone)]
pub struct DriverName {
    /// The group.
    pub group: String,
    /// The name, unique in the run.
    pub name: String,
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Riders request trips.
    Running,
    /// Open trips are finished.
    Closing,
}

/// What the actors of a run share.
#[derive(Debug)]
pub struct Context {
    /// The service.
    pub target: Target,
    pub(super) http: Client,
    pub(super) phase: watch::Sender<Phase>,
    /// Counts requests of all drivers to reconnect.
    pub(super) reconnects: watch::Sender<u64>,
    started: Mutex<Stopwatch>,
    domain_start: Mutex<DateTime<Utc>>,
    matcher: AtomicUsize,
    clock: Mutex<DomainClock>,
    recording: Mutex<Recording>,
    known: Mutex<Known>,
}

/// What actors know of each other's trips.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Drivers by their ids.
    pub drivers: BTreeMap<String, DriverName>,
    /// PIN of a trip, as its rider tells it.
    pub pins: BTreeMap<String, String>,
    /// The caller that an object belongs to.
    pub owners: BTreeMap<String, String>,
    /// Riders that race the acceptance of a trip; notified when the driver sends it.
    pub racers: BTreeMap<String, Arc<tokio::sync::Notify>>,
    /// Trips that were assigned, for operators.
    pub assigned: Vec<String>,
    /// When the first stream of a driver was opened, by the driver's id.
    pub streams: BTreeMap<String, f64>,
    /// Payments of completed trips and their fares, for operators.
    pub paid: Vec<(String, i64)>,
}

impl Context {
    /// Prepares a load: reads the domain clock and finds the matcher.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn new(target: Target, http: Client) -> Result<Arc<Self>, BoxError> {
        let clock = read_clock(&http, &target.urls).await?;
        let recording = Recording { seed: target.seed, time_scale: target.time_scale, ..Recording::default() };
        let context = Self {
            target,
            http,
            phase: watch::Sender::new(Phase::Running),
            reconnects: watch::Sender::new(0),
            started: Mutex::new(Stopwatch::start()),
            domain_start: Mutex::new(clock.now()),
            matcher: AtomicUsize::new(0),
            clock: Mutex::new(clock),
            recording: Mutex::new(recording),
            known: Mutex::default(),
        };
        context.find_matcher().await;
        Ok(Arc::new(context))
    }

    /// Real seconds since the load began.
    pub fn now_s(&self) -> f64 {
        lock(&self.started).elapsed().as_secs_f64()
    }

    /// Makes this instant the start of the load. Requests so far get negative times.
    pub(super) fn begin(&self) {
        let now_s = self.now_s();
        self.recording().requests.iter_mut().for_each(|request| request.at_s -= now_s);
        *lock(&self.started) = Stopwatch::start();
        *lock(&self.domain_start) = self.domain_now();
    }

    /// The domain time now.
    pub fn domain_now(&self) -> DateTime<Utc> {
        lock(&self.clock).now()
    }

    /// The domain time at which the load began.
    pub fn domain_start(&self) -> DateTime<Utc> {
        *lock(&self.domain_start)
    }

    /// The drivers of the load by their ids.
    pub fn driver_names(&self) -> BTreeMap<String, DriverName> {
        self.known().drivers.clone()
    }

    /// Reads the domain clock again, after it was changed.
    ///
    /// # Errors
    /// If the service does not answer.
    pub async fn read_clock(&self) -> Result<(), BoxError> {
        let clock = read_clock(&self.http, &self.target.urls).await?;
        *lock(&self.clock) = clock;
        Ok(())
    }

    /// Real time of some domain seconds.
    pub(super) fn real(&self, domain_s: f64) -> Duration {
        Duration::from_secs_f64((domain_s / f64::from(self.target.time_scale)).max(0.0))
    }

    /// URL of the process that takes positions.
    pub fn matcher_url(&self) -> &str {
        &self.target.urls[self.matcher.load(Ordering::Relaxed)]
    }

    /// URL of the process that a caller uses: always the same one.
    pub(super) fn url_of(&self, number: usize) -> &str {
        &self.target.urls[number % self.target.urls.len()]
    }

    /// Finds the process that takes positions. With one process there is nothing to find.
    pub(super) async fn find_matcher(&self) {
        for (number, url) in self.target.urls.iter().enumerate().filter(|_| self.target.urls.len() > 1) {
            let Ok(response) = self.http.get(format!("{url}/readyz")).send().await else { continue };
            if response.json::<Value>().await.is_ok_and(|ready| ready["matcher"] == true) {
                self.matcher.store(number, Ordering::Relaxed);
            }
        }
    }

    /// Makes all drivers go offline and online again.
    pub fn reconnect_drivers(&self) {
        self.reconnects.send_modify(|count| *count += 1);
    }

    pub(super) fn is_closing(&self) -> bool {
        *self.phase.borrow() >= Phase::Closing
    }

    /// Whether the time of the load is over; open trips may still be finished.
    pub fn is_over(&self) -> bool {
        self.is_closing()
    }

    /// Waits; not longer than until the load closes.
    pub(super) async fn pause(&self, time: Duration) {
        let mut phase = self.phase.subscribe();
        let closing = phase.wait_for(|phase| *phase >= Phase::Closing);
        let _ended = tokio::time::timeout(time, closing).await;
    }

    /// The recording so far.
    pub fn recording(&self) -> MutexGuard<'_, Recording> {
        lock(&self.recording)
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// When drivers opened their first stream, by their ids.
    pub fn streams(&self) -> BTreeMap<String, f64> {
        self.known().streams.clone()
    }

    /// Notes that a driver has a stream.
    pub(super) fn stream_opened(&self, driver: &str) {
        let now_s = self.now_s();
        self.known().streams.entry(driver.to_owned()).or_insert(now_s);
    }

    /// Notes that a driver received an event.
    pub(super) fn driver_event_received(&self, (group, driver): (&str, &str), seq: i64, event: &str) {
        let at_s = self.now_s();
        let mut recording = self.recording();
        let mut newest = recording.driver_events.iter_mut().rev().take(DRIVER_EVENTS_SEARCHED);
        if let Some(known) = newest.find(|known| known.seq == seq) {
            known.received = true;
            return;
        }
        let (group, driver, event) = (group.to_owned(), driver.to_owned(), event.to_owned());
        recording.driver_events.push(DriverEventRecord { at_s, group, driver, seq, event, received: true });
    }

    pub(super) fn count_positions(&self, group: &str, verdict: &str, count: u64) {
        #[allow(clippy::cast_possible_truncation, reason = "seconds of a run")]
        let second = self.now_s().floor() as i64;
        let mut recording = self.recording();
        let same =
            |known: &&mut PositionCount| known.second == second && known.group == group && known.verdict == verdict;
        if let Some(known) = recording.positions.iter_mut().rev().take(32).find(same) {
            known.count += count;
            return;
        }
        let (group, verdict) = (group.to_owned(), verdict.to_owned());
        recording.positions.push(PositionCount { second, group, verdict, count });
    }
}

async fn read_clock(http: &Client, urls: &[String]) -> Result<DomainClock, BoxError> {
    let url = urls.first().ok_or("no service")?;
    let clock: Value = http.get(format!("{url}/v1/sandbox/clock")).send().await?.error_for_status()?.json().await?;
    let domain = clock["domain"].as_str().ok_or("the clock has no domain time")?.parse()?;
    let scale = clock["scale"].as_u64().and_then(|scale| u32::try_from(scale).ok()).unwrap_or(1);
    Ok(DomainClock::new(domain, scale))
}

/// Locks a mutex, also after a panic: every critical section here is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
