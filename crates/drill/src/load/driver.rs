//! A driver: reports positions, answers offers, drives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use launcher::BoxError;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::caller::{Call, Caller};
use super::context::{Context, DriverName, lock};
use super::model::{DriverGroup, Positions, Receive};
use super::offer_stream;
use super::places::{Place, random};
use super::recording::OfferRecord;

/// Between two looks at the car while it drives.
const LOOK_EVERY: Duration = Duration::from_millis(60);

/// How long a drive may take, real time. A driver then continues from where they are.
const DRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Attempts of a command on the trip that is refused because the position is not known yet.
const COMMAND_ATTEMPTS_MAX: u32 = 12;

/// Between two such attempts.
const COMMAND_AGAIN: Duration = Duration::from_millis(200);

/// The car of a driver, shared by what moves it, what reports it, and what drives it.
#[derive(Debug)]
pub(super) struct Car {
    group: Arc<DriverGroup>,
    /// The driver's id.
    pub subject: String,
    state: Mutex<CarState>,
}

#[derive(Debug)]
struct CarState {
    random: StdRng,
    place: Place,
    destination: Option<Place>,
    /// Whether the last report was at the destination.
    has_reported: bool,
    online: bool,
    /// Direction while cruising, radians.
    direction: f64,
}

/// What a driver learns.
#[derive(Debug)]
pub(super) enum Notice {
    /// An offer.
    Offer(Value),
}

impl Car {
    fn new(group: &Arc<DriverGroup>, subject: &str, mut random: StdRng) -> Arc<Self> {
        let place = Place::within(&group.around, &mut random);
        let direction = random.random_range(0.0..std::f64::consts::TAU);
        let state = CarState { random, place, destination: None, has_reported: false, online: false, direction };
        Arc::new(Self { group: Arc::clone(group), subject: subject.to_owned(), state: Mutex::new(state) })
    }

    pub fn is_online(&self) -> bool {
        lock(&self.state).online
    }

    fn set_online(&self, online: bool) {
        lock(&self.state).online = online;
    }

    /// Moves the car for `domain_s`, and returns its report.
    pub fn report(&self, context: &Context, domain_s: f64) -> Value {
        let mut state = lock(&self.state);
        let CarState { place, destination, direction, random, has_reported, .. } = &mut *state;
        match destination {
            Some(to) if self.group.speed_mps > 0.0 => *place = place.toward(*to, self.group.speed_mps * domain_s),
            Some(to) => *place = *to,
            None if self.group.cruise_mps > 0.0 => {
                let center = Place { lat: self.group.around.lat, lon: self.group.around.lon };
                let next = place.moved(*direction, self.group.cruise_mps * domain_s);
                if next.distance_m(center) > self.group.around.radius_m {
                    // Turns around, not quite to where it came from.
                    *direction += std::f64::consts::PI + random.random_range(-0.8..0.8);
                } else {
                    *place = next;
                }
            }
            None => {}
        }
        *has_reported = destination.is_some_and(|to| place.distance_m(to) < 1.0);
        let ahead = TimeDelta::milliseconds(whole(self.group.clock_ahead_s * 1_000.0));
        let recorded_at = (context.domain_now() + ahead).to_rfc3339_opts(SecondsFormat::Millis, true);
        json!({ "position": place.json(), "recorded_at": recorded_at })
    }

    fn set_destination(&self, to: Option<Place>) {
        let mut state = lock(&self.state);
        state.destination = to;
        state.has_reported = false;
    }

    /// Drives somewhere; returns when the arrival was reported.
    async fn drive_to(&self, to: Place) {
        self.set_destination(Some(to));
        let arrival = async {
            while !lock(&self.state).has_reported {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let _in_time = tokio::time::timeout(DRIVES_WITHIN, arrival).await;
    }
}

#[allow(clippy::cast_possible_truncation, reason = "milliseconds of seconds")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}

/// A driver who has not started yet.
#[derive(Debug)]
pub(super) struct Driver {
    pub car: Arc<Car>,
    caller: Caller,
    group: Arc<DriverGroup>,
    number: usize,
}

impl Driver {
    /// Creates a driver.
    ///
    /// # Errors
    /// If the service issues no token.
    pub async fn new(context: &Arc<Context>, group: &Arc<DriverGroup>, number: usize) -> Result<Self, BoxError> {
        let caller = Caller::new(context, &group.name, number, "driver").await?;
        let known = DriverName { group: group.name.clone(), name: caller.name.clone() };
        context.known().drivers.insert(caller.subject.clone(), known);
        let random = random(context.target.seed, &format!("{} car", caller.name));
        let car = Car::new(group, &caller.subject, random);
        Ok(Self { car, caller, group: Arc::clone(group), number })
    }

    /// Drives until the run ends.
    pub async fn run(self) {
        let Self { car, caller, group, number } = self;
        let context = Arc::clone(&caller.context);
        tokio::time::sleep(Duration::from_secs_f64(group.online_at_s)).await;
        go_online(&caller, &car, number).await;
        let (sender, inbox) = mpsc::unbounded_channel();
        let (reports, reports_due) = mpsc::unbounded_channel();
        let token = caller.token.clone();
        let work = answer_offers(caller, &group, &car, inbox);
        let stream = offer_stream::receive(&context, &group, (&car.subject, &token, number), sender, reports_due);
        let positions = report_positions(&context, &group, &car, (number, &token), reports);
        let shifts = keep_shifts(&context, &group, &car, (number, &token));
        tokio::join!(work, stream, positions, shifts);
    }
}

/// Goes online; repeats until it succeeds.
async fn go_online(caller: &Caller, car: &Car, number: usize) {
    let vehicle = json!({"available": true, "name": "Drill", "class": "standard", "plate": format!("DR {number}")});
    let call = Call::new("PUT /v1/drivers/me/availability", "").body(vehicle);
    while !caller.send(&call).await.is_success() {
        tokio::time::sleep(COMMAND_AGAIN * 2).await;
    }
    car.set_online(true);
}

/// Goes offline and online as the group's shifts say, and when all drivers reconnect.
async fn keep_shifts(context: &Arc<Context>, group: &DriverGroup, car: &Car, (number, token): (usize, &str)) {
    let caller = second(context, group, number, (&car.subject, token));
    let mut reconnects = context.reconnects.subscribe();
    let offline = Call::new("PUT /v1/drivers/me/availability", "").body(json!({ "available": false }));
    loop {
        let (on, off) = group.shift_s.map_or((f64::from(u16::MAX), 0.2), |[on, off]| (on, off));
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(on)) => {}
            changed = reconnects.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        // Refused during a trip; then the driver stays online.
        if caller.send(&offline).await.is_success() {
            car.set_online(false);
            tokio::time::sleep(Duration::from_secs_f64(off)).await;
            go_online(&caller, car, number).await;
        }
    }
}

/// The same driver once more, for what happens at the same time.
fn second(context: &Arc<Context>, group: &DriverGroup, number: usize, (subject, token): (&str, &str)) -> Caller {
    Caller::known(context, &group.name, number, (subject, token))
}

/// Reports the car's position at each interval, over the stream's channel if it takes positions.
async fn report_positions(
    context: &Arc<Context>,
    group: &DriverGroup,
    car: &Car,
    (number, token): (usize, &str),
    socket: mpsc::UnboundedSender<String>,
) {
    if group.positions != Positions::Own {
        // A gateway reports the car, or its driver stays where they are.
        return std::future::pending().await;
    }
    let caller = second(context, group, number, (&car.subject, token));
    let every = context.real(group.position_every_s);
    loop {
        if car.is_online() {
            let report = car.report(context, group.position_every_s);
            if group.receive == Receive::WebSocket {
                let _closed = socket.send(report.to_string());
            } else {
                let response = caller.send(&Call::new("PUT /v1/drivers/me/location", "").body(report)).await;
                let verdict = if response.is_success() { response.text("verdict") } else { "refused" };
                context.count_positions(&group.name, verdict, 1);
            }
        }
        tokio::time::sleep(every).await;
    }
}

/// Answers offers, one after another, and drives the trips.
async fn answer_offers(mut me: Caller, group: &DriverGroup, car: &Car, mut inbox: mpsc::UnboundedReceiver<Notice>) {
    let mut answered = std::collections::BTreeSet::new();
    while let Some(Notice::Offer(offer)) = inbox.recv().await {
        let id = offer["id"].as_str().unwrap_or_default().to_owned();
        if !answered.insert(id.clone()) {
            continue;
        }
        let (declines, ignores) = (me.draws(group.decline), me.draws(group.ignore));
        me.wait_ms(group.answer_after_ms).await;
        let at_s = me.context.now_s();
        let trip = offer["trip_id"].as_str().unwrap_or_default().to_owned();
        let answer = match (declines, ignores) {
            (true, _) => "decline",
            (_, true) => "",
            _ => "accept",
        };
        if answer == "accept" {
            let racer = me.context.known().racers.remove(&trip);
            racer.inspect(|racer| racer.notify_one());
        }
        let response = match answer {
            "" => None,
            answer => Some(me.command(&format!("POST /v1/offers/{{offer_id}}/{answer}"), &id, json!({})).await),
        };
        let status = response.as_ref().map_or(0, |response| response.status);
        let record = OfferRecord {
            id,
            trip: trip.clone(),
            group: group.name.clone(),
            driver: me.name.clone(),
            at_s,
            received: true,
            answer: answer.to_owned(),
            status,
            end: String::new(),
        };
        me.context.recording().offers.push(record);
        if answer == "accept" && response.is_some_and(|response| response.is_success()) {
            me.context.known().assigned.push(trip.clone());
            drive(&mut me, group, car, &trip, &offer).await;
            car.set_destination(None);
        }
    }
}

/// Drives an assigned trip to its end. Returns early when the trip is no longer the driver's.
async fn drive(me: &mut Caller, group: &DriverGroup, car: &Car, trip: &str, offer: &Value) -> Option<()> {
    let (pickup, dropoff) = (Place::read(&offer["pickup"])?, Place::read(&offer["dropoff"])?);
    if me.draws(group.cancel) {
        me.command("POST /v1/trips/{trip_id}/cancel", trip, json!({})).await;
        return None;
    }
    car.drive_to(pickup).await;
    command_when_known(me, "POST /v1/trips/{trip_id}/arrive", trip, json!({})).await?;
    let pin = me.context.known().pins.get(trip).cloned()?;
    command_when_known(me, "POST /v1/trips/{trip_id}/start", trip, json!({ "pin": pin })).await?;
    car.drive_to(dropoff).await;
    command_when_known(me, "POST /v1/trips/{trip_id}/complete", trip, json!({})).await
}

/// Sends a command on the trip. Repeats it while it is refused as one that the driver is too far away for.
async fn command_when_known(me: &mut Caller, operation: &str, trip: &str, body: Value) -> Option<()> {
    for _ in 0..COMMAND_ATTEMPTS_MAX {
        let response = me.command(operation, trip, body.clone()).await;
        match response.status {
            200..300 => return Some(()),
            404 => return None,
            409 if response.text("code") == "invalid_transition" => return None,
            _ => tokio::time::sleep(COMMAND_AGAIN).await,
        }
    }
    None
}
