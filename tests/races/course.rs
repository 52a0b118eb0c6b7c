//! The course on which the races are run: lanes that lie far apart, so that each has its own rider and drivers and none meets
//! another; a start that favours nobody; and a count of who won.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use futures_util::future::join;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use ridematch::platform::clock::Stopwatch;
use serde_json::{Value, json};
use type_safe_id::{DynamicType, TypeSafeId};
use uuid::Uuid;

use crate::harness::{Actor, Answer, App, at_once, id, new_key, until};

/// Lanes that are run at the same time: enough to keep two processors busy, few enough that the two starters of a lane meet
/// each other and not a queue.
pub const LANES: usize = 8;

/// Degrees of longitude between two lanes: some 40 km, five times as far as a driver is looked for.
const LANE_WIDTH_DEG: f64 = 0.5;

/// From the pickup to the destination, in degrees of latitude: some 1.5 km.
const RIDE_DEG: f64 = 0.0135;

/// How far a start is blurred, microseconds: about as long as a command takes.
const BLUR_US: i64 = 2_000;

/// By how much the starter that lost is favoured from then on, microseconds. The step doubles with each win in a row, so that
/// the edge between the two is found soon, wherever it is on this machine.
const STEP_US: i64 = 250;
const STEP_MAX_US: i64 = 8_000;

/// How often drivers send where they are. A position is good for 30 s.
const BEACON: Duration = Duration::from_secs(3);

const SEED: u64 = 0x5eed_0002;

/// How often each race is run: 1,000 times, or as `RIDEMATCH_RACE_ROUNDS` says.
pub fn rounds() -> usize {
    env::var("RIDEMATCH_RACE_ROUNDS").map_or(1_000, |rounds| rounds.parse().expect("RIDEMATCH_RACE_ROUNDS is a number"))
}

/// A place of its own for one race after another.
pub struct Lane {
    pub number: usize,
    pub place: (f64, f64),
    pub rider: Actor,
    pub other_rider: Actor,
    pub drivers: Vec<Actor>,
    pub dice: StdRng,
    /// How much later the second starter starts than the first; if it is negative, earlier.
    lead_us: i64,
    /// How far that was moved last.
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
            dice: StdRng::seed_from_u64(SEED + number as u64),
            lead_us: 0,
            step_us: STEP_US,
        }
    }

    /// The one driver of a lane that has one.
    pub fn driver(&self) -> &Actor {
        &self.drivers[0]
    }

    /// A quote for a ride from here.
    pub async fn quote(&self, rider: &Actor) -> Value {
        rider.quote(self.place, (self.place.0 + RIDE_DEG, self.place.1)).await
    }

    /// The lane's rider asks for a ride from here.
    pub async fn request(&self) -> Value {
        request(&self.rider, &self.quote(&self.rider).await).await.expect(201)
    }

    /// The lane's rider asks for a ride, and the lane's driver is offered it: trip and offer.
    pub async fn offered(&self) -> (Value, Value) {
        let trip = self.request().await;
        let (_, offer) = self.asked().await;
        assert_eq!(offer["trip_id"], trip["id"], "an offer of another round");
        (trip, offer)
    }

    /// Waits until one of the lane's drivers is asked: which one, and the offer.
    pub async fn asked(&self) -> (usize, Value) {
        until("a driver is asked", async || {
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

    /// Starts both at nearly the same time.
    pub async fn start<A, B>(&mut self, first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
        let lead_us = self.lead_us + self.dice.random_range(-BLUR_US..=BLUR_US);
        join(after_us(-lead_us, first), after_us(lead_us, second)).await
    }

    /// Takes note of who won, and favours the other one from now on: so the next race is closer.
    pub fn won(&mut self, first: bool) {
        let doubled = self.step_us.saturating_mul(2).clamp(-STEP_MAX_US, STEP_MAX_US);
        self.step_us = match (first, self.step_us < 0) {
            (true, true) | (false, false) => doubled,
            (true, false) => -STEP_US,
            (false, true) => STEP_US,
        };
        self.lead_us += self.step_us;
    }
}

/// Not a wait for anything: this is the race.
async fn after_us<T>(delay_us: i64, then: impl Future<Output = T>) -> T {
    if let Ok(delay_us @ 1..) = u64::try_from(delay_us) {
        tokio::time::sleep(Duration::from_micros(delay_us)).await;
    }
    then.await
}

/// How often each end was seen.
type Tally = BTreeMap<&'static str, usize>;

/// Runs a race as often as [`rounds`] says. `round` runs it once, judges its end, leaves the lane as it found it, and says how it
/// ended. Afterwards every one of `ends` must have been seen, or it was no race; and the audit must be clean.
pub async fn race(
    name: &str,
    app: &App,
    drivers: usize,
    ends: &[&'static str],
    round: impl AsyncFn(&mut Lane) -> &'static str,
) {
    println!("{name}: {} rounds, seed {SEED:#x}", rounds());
    let mut lanes = at_once((0..LANES).map(|number| Lane::new(app, number, drivers))).await;
    let _beacon = beacon(app, &lanes).await;
    let watch = Stopwatch::start();
    let run = async |lane: &mut Lane| {
        let mut tally = Tally::new();
        for _ in (lane.number..rounds()).step_by(LANES) {
            *tally.entry(round(lane).await).or_default() += 1;
        }
        tally
    };
    let mut total = Tally::new();
    for (end, count) in at_once(lanes.iter_mut().map(run)).await.into_iter().flatten() {
        *total.entry(end).or_default() += count;
    }
    println!("{name}: {total:?} in {:.1?}", watch.elapsed());
    assert_eq!(total.values().sum::<usize>(), rounds());
    for end in ends {
        let seen = total.get(end).copied().unwrap_or_default();
        assert!(seen >= (rounds() / 100).max(1), "{name}: {end:?} was seen {seen} times; that is no race: {total:?}");
    }
    app.assert_clean().await;
    assert_no_deadlocks(app).await;
    println!("{name}: clean after {:.1?}", watch.elapsed());
}

/// Sends the positions of all drivers, over and over, until it is dropped.
async fn beacon(app: &App, lanes: &[Lane]) -> impl Drop + use<> {
    struct Beacon(tokio::task::JoinHandle<()>);
    impl Drop for Beacon {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    let gateway = app.actor("gateway").await;
    let places: Vec<_> =
        lanes.iter().flat_map(|lane| lane.drivers.iter().map(|driver| (driver.id.clone(), lane.place))).collect();
    Beacon(tokio::spawn(async move {
        loop {
            let clock = gateway.get("/v1/sandbox/clock").await.expect(200);
            let positions: Vec<_> = places
                .iter()
                .map(|(driver, (lat, lon))| {
                    json!({"driver_id": driver, "position": {"lat": lat, "lon": lon}, "recorded_at": clock["domain"]})
                })
                .collect();
            gateway.post_unkeyed("/v1/locations", &json!(positions)).await.expect(200);
            tokio::time::sleep(BEACON).await;
        }
    }))
}

/// The rider asks for a trip.
pub async fn request(rider: &Actor, quote: &Value) -> Answer {
    rider.post("/v1/trips", &json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"})).await
}

/// The driver accepts.
pub async fn accept(driver: &Actor, offer: &Value) -> Answer {
    driver.post(&format!("/v1/offers/{}/accept", id(offer)), &json!({})).await
}

/// The rider cancels.
pub async fn cancel(rider: &Actor, trip: &Value) -> Answer {
    rider.act(id(trip), "cancel").await
}

/// The rider cancels, if the trip is as they have seen it.
pub async fn cancel_as_seen(rider: &Actor, seen: &Value) -> Answer {
    let request = rider.request(Method::POST, &format!("/v1/trips/{}/cancel", id(seen)));
    let version = format!("\"{}\"", seen["version"]);
    Answer::of(request.header("Idempotency-Key", new_key()).header("If-Match", version).json(&json!({}))).await
}

/// The plain UUID of a resource, as the database has it.
pub fn uuid(resource: &Value) -> Uuid {
    id(resource).parse::<TypeSafeId<DynamicType>>().unwrap().uuid()
}

/// Fails if the database had to break a deadlock: everybody locks in one order, so that there is none to break.
pub async fn assert_no_deadlocks(app: &App) {
    let deadlocks = app.count("select deadlocks from pg_stat_database where datname = current_database()").await;
    assert_eq!(deadlocks, 0, "deadlocks");
}

/// The key of the one request whose effect a step of a trip is.
pub async fn effective_key(app: &App, trip: &Value, command: &str) -> String {
    let keys = sqlx::query_scalar(
        "select key from trip_events join idempotency_keys on idempotency_keys.id = key_id where trip_id = $1 and command = $2",
    );
    let keys: Vec<String> = keys.bind(uuid(trip)).bind(command).fetch_all(app.sql()).await.unwrap();
    let [key] = &keys[..] else { panic!("{command} had {} effects", keys.len()) };
    key.clone()
}
