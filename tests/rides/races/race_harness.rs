//! Runs races: lanes too far apart to share drivers, each with its own rider and drivers; a start that adapts until both sides win;
//! and a count of the outcomes.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use ridematch::platform::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

use crate::harness::{Actor, ApiResponse, App, at_once, id, new_key, until};

/// The number of concurrent lanes. Enough to keep two processors busy, few enough that the two requests of a lane race each other
/// and do not wait in a queue.
pub const LANES: usize = 8;

/// Degrees of longitude between two lanes: about 40 km, five times the search radius.
const LANE_WIDTH_DEG: f64 = 0.5;

/// Degrees of latitude from the pickup to the destination: about 1.5 km.
const RIDE_DEG: f64 = 0.0135;

/// The random jitter of a start, microseconds: about the duration of a command.
const BLUR_US: i64 = 2_000;

/// The head start that the loser gains for the next race, microseconds. It doubles with each win in a row, so that the balance point
/// of this machine is found soon.
const STEP_US: i64 = 250;
const STEP_MAX_US: i64 = 8_000;

/// The interval of drivers' positions. A position is fresh for 30 s.
const POSITION_EVERY: Duration = Duration::from_secs(3);

const SEED: u64 = 0x5eed_0002;

/// Two races at a time: with more on two processors, the two requests of a lane wait in a queue.
static RUNNING: Semaphore = Semaphore::const_new(2);

/// Returns the number of rounds of a race: `RIDEMATCH_RACE_ROUNDS`, or 1,000.
pub fn rounds() -> usize {
    env::var("RIDEMATCH_RACE_ROUNDS").map_or(1_000, |rounds| rounds.parse().expect("RIDEMATCH_RACE_ROUNDS is a number"))
}

/// A place for one race after another, with its own rider and drivers.
pub struct Lane {
    pub number: usize,
    pub place: (f64, f64),
    pub rider: Actor,
    pub other_rider: Actor,
    pub drivers: Vec<Actor>,
    pub random: StdRng,
    /// The delay of the second start after the first; negative for the reverse.
    lead_us: i64,
    /// The last change of `lead_us`.
    step_us: i64,
}

impl Lane {
    async fn new(app: &App, number: usize, drivers: usize) -> Self {
        let place = (40.75, -73.98 + LANE_WIDTH_DEG * number as f64);
        let (rider, other_rider) = (app.rider().await, app.rider().await);
        let drivers = at_once((0..drivers).map(|_| app.driver_at(place))).await;
        Self {
            number,
            place,
            rider,
            other_rider,
            drivers,
            random: StdRng::seed_from_u64(SEED + number as u64),
            lead_us: 0,
            step_us: STEP_US,
        }
    }

    /// Returns the only driver of a lane.
    pub fn driver(&self) -> &Actor {
        &self.drivers[0]
    }

    /// Quotes a ride from the lane's place.
    pub async fn quote(&self, rider: &Actor) -> Value {
        rider.quote(self.place, (self.place.0 + RIDE_DEG, self.place.1)).await
    }

    /// Requests a ride for the lane's rider.
    pub async fn request(&self) -> Value {
        request(&self.rider, &self.quote(&self.rider).await).await.expect(201)
    }

    /// Requests a ride and waits for the driver's offer. Returns trip and offer.
    pub async fn offered(&self) -> (Value, Value) {
        let trip = self.request().await;
        let (_, offer) = self.until_any_offer().await;
        assert_eq!(offer["trip_id"], trip["id"], "the offer is of another round");
        (trip, offer)
    }

    /// Waits until one of the lane's drivers has an offer. Returns the driver's number and the offer.
    pub async fn until_any_offer(&self) -> (usize, Value) {
        until("a driver has an offer", async || {
            for (number, driver) in self.drivers.iter().enumerate() {
                let me = driver.get("/v1/drivers/me").await.expect(200);
                if me["offer"].is_object() {
                    return Some((number, me["offer"].clone()));
                }
            }
            None
        })
        .await
    }

    /// Runs both futures, started at nearly the same time.
    pub async fn start<A, B>(&mut self, first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
        let lead_us = self.lead_us + self.random.random_range(-BLUR_US..=BLUR_US);
        join(after_us(-lead_us, first), after_us(lead_us, second)).await
    }

    /// Returns how much earlier the first side starts than the second one, on average; zero if it starts later.
    pub fn head_start(&self) -> TimeDelta {
        TimeDelta::microseconds(self.lead_us.max(0))
    }

    /// Records whether the first side won, and gives the other one a head start next time.
    pub fn record_winner(&mut self, first: bool) {
        let doubled = self.step_us.saturating_mul(2).clamp(-STEP_MAX_US, STEP_MAX_US);
        self.step_us = match (first, self.step_us < 0) {
            (true, true) | (false, false) => doubled,
            (true, false) => -STEP_US,
            (false, true) => STEP_US,
        };
        self.lead_us += self.step_us;
    }
}

/// Delays a start. The only sleep that is part of a race.
async fn after_us<T>(delay_us: i64, then: impl Future<Output = T>) -> T {
    if let Ok(delay_us @ 1..) = u64::try_from(delay_us) {
        tokio::time::sleep(Duration::from_micros(delay_us)).await;
    }
    then.await
}

/// The number of rounds with each outcome.
type Tally = BTreeMap<&'static str, usize>;

/// Runs a race [`rounds`] times. `round` runs it once, checks it, restores the lane, and returns its outcome. Each of `outcomes` must
/// occur in 1 % of the rounds, and the audit must be clean.
pub async fn race(
    name: &str,
    app: &App,
    drivers: usize,
    outcomes: &[&'static str],
    round: impl AsyncFn(&mut Lane) -> &'static str,
) {
    let _turn = RUNNING.acquire().await.expect("it is never closed");
    println!("{name}: {} rounds, seed {SEED:#x}", rounds());
    let mut lanes = at_once((0..LANES).map(|number| Lane::new(app, number, drivers))).await;
    let _positions = send_positions(app, &lanes).await;
    let watch = Stopwatch::start();
    let run = async |lane: &mut Lane| {
        let mut tally = Tally::new();
        for _ in (lane.number..rounds()).step_by(LANES) {
            *tally.entry(round(lane).await).or_default() += 1;
        }
        tally
    };
    let mut total = Tally::new();
    for (outcome, count) in at_once(lanes.iter_mut().map(run)).await.into_iter().flatten() {
        *total.entry(outcome).or_default() += count;
    }
    println!("{name}: {total:?} in {:.1?}", watch.elapsed());
    assert_eq!(total.values().sum::<usize>(), rounds());
    for outcome in outcomes {
        let seen = total.get(outcome).copied().unwrap_or_default();
        assert!(seen >= (rounds() / 100).max(1), "{name}: only {seen} rounds ended with {outcome:?}: {total:?}");
    }
    app.assert_clean().await;
    assert_no_deadlocks(app).await;
    println!("{name}: clean after {:.1?}", watch.elapsed());
}

/// Sends the positions of all drivers repeatedly, until it is dropped.
async fn send_positions(app: &App, lanes: &[Lane]) -> impl Drop + use<> {
    struct Sender(tokio::task::JoinHandle<()>);
    impl Drop for Sender {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let gateway = app.actor("gateway").await;
    let places: Vec<_> =
        lanes.iter().flat_map(|lane| lane.drivers.iter().map(|driver| (driver.id.clone(), lane.place))).collect();
    Sender(tokio::spawn(async move {
        loop {
            let clock = gateway.get("/v1/sandbox/clock").await.expect(200);
            let positions: Vec<_> = places
                .iter()
                .map(|(driver, (lat, lon))| {
                    json!({"driver_id": driver, "position": {"lat": lat, "lon": lon}, "recorded_at": clock["domain"]})
                })
                .collect();
            gateway.post_unkeyed("/v1/locations", &json!(positions)).await.expect(200);
            tokio::time::sleep(POSITION_EVERY).await;
        }
    }))
}

/// Requests a trip.
pub async fn request(rider: &Actor, quote: &Value) -> ApiResponse {
    rider.post("/v1/trips", &json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"})).await
}

/// Accepts an offer.
pub async fn accept(driver: &Actor, offer: &Value) -> ApiResponse {
    driver.post(&format!("/v1/offers/{}/accept", id(offer)), &json!({})).await
}

/// Cancels a trip as its rider.
pub async fn cancel(rider: &Actor, trip: &Value) -> ApiResponse {
    rider.command(id(trip), "cancel").await
}

/// Cancels a trip as its rider, with `If-Match` of a version read before.
pub async fn cancel_if_match(rider: &Actor, read: &Value) -> ApiResponse {
    let request = rider.request(Method::POST, &format!("/v1/trips/{}/cancel", id(read)));
    let version = format!("\"{}\"", read["version"]);
    ApiResponse::of(request.header("Idempotency-Key", new_key()).header("If-Match", version).json(&json!({}))).await
}

/// Returns the UUID of a resource, as stored in the database.
pub fn uuid(resource: &Value) -> Uuid {
    id(resource).parse::<TypeSafeId<DynamicType>>().unwrap().uuid()
}

/// Asserts that no deadlock occurred: all transactions lock in one order.
pub async fn assert_no_deadlocks(app: &App) {
    let deadlocks = app.count("select deadlocks from pg_stat_database where datname = current_database()").await;
    assert_eq!(deadlocks, 0, "deadlocks");
}

/// Returns the idempotency key of the request that executed a command of a trip.
pub async fn effective_key(app: &App, trip: &Value, command: &str) -> String {
    let keys = sqlx::query_scalar(
        "select key from trip_events join idempotency_keys on idempotency_keys.id = key_id where trip_id = $1 and command = $2",
    );
    let keys: Vec<String> = keys.bind(uuid(trip)).bind(command).fetch_all(app.sql()).await.unwrap();
    let [key] = &keys[..] else { panic!("{command} had {} effects", keys.len()) };
    key.clone()
}
