//! A rider: gets a price, requests a trip, waits, cancels sometimes, tips sometimes.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use launcher::BoxError;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::caller::{ApiResponse, Call, Caller};
use super::context::Context;
use super::model::{CancelWhen, RiderGroup};
use super::places::Place;
use super::recording::TripRecord;

/// Between two reads of the trip.
const POLL_EVERY: Duration = Duration::from_millis(300);

/// Attempts to get a price.
const QUOTE_ATTEMPTS_MAX: u32 = 3;

/// Between two such attempts.
const QUOTE_AGAIN: Duration = Duration::from_millis(300);

/// The end of a trip whose rider lost patience.
pub const GAVE_UP: &str = "gave_up";

/// The end of a trip that was not created.
pub const REFUSED: &str = "refused";

/// States that no transition leaves.
const ENDS: [&str; 6] = ["completed", "cancelled", "no_driver", "payment_failed", "no_show", "aborted"];

/// Requests trips until the load closes, and finishes the last one.
///
/// # Errors
/// If the service issues no token.
pub(super) async fn run(context: Arc<Context>, group: Arc<RiderGroup>, number: usize) -> Result<(), BoxError> {
    let mut me = Caller::new(&context, &group.name, number, "rider").await?.with_keys(group.keys);
    #[allow(clippy::cast_precision_loss, reason = "a number of riders")]
    let share = number as f64 / f64::from(group.count.max(1));
    let first_s = group.from_s + group.arrive_within_s * share;
    context.pause(Duration::from_secs_f64((first_s - context.now_s()).max(0.0))).await;
    let mut trips = 0;
    while !context.is_closing() && (group.trips == 0 || trips < group.trips) {
        trips += 1;
        Ride::request(&mut me, &group).await.follow(&mut me, &group).await;
        context.pause(Duration::from_secs_f64(group.pause_s)).await;
    }
    Ok(())
}

/// A trip in the rider's hands.
struct Ride {
    /// Position of its record.
    record: usize,
    id: String,
    requested_at_s: f64,
    /// When the rider cancels, and after how long.
    cancels: Option<(CancelWhen, [u64; 2])>,
    racer: Arc<Notify>,
}

impl Ride {
    /// Gets a price and requests a trip.
    async fn request(me: &mut Caller, group: &RiderGroup) -> Self {
        let pickup = Place::within(&group.around, &mut me.random);
        let dropoff = pickup.moved(me.random.random_range(0.0..std::f64::consts::TAU), group.trip_m);
        let methods = group.payment_methods.len().max(1);
        let method = me.random.random_range(0..methods);
        let method = group.payment_methods.get(method).map_or("pm_card_visa", String::as_str).to_owned();
        let cancels = group.cancel.filter(|cancel| me.draws(cancel.share)).map(|cancel| (cancel.when, cancel.after_ms));
        let requested_at_s = me.context.now_s();
        let quote = get_price(me, pickup, dropoff).await;
        let body = json!({ "quote_id": quote.text("id"), "payment_method": method });
        let trip = match quote.is_success() {
            true => me.command_with(Call::new("POST /v1/trips", "").body(body), group.hang_up, group.repeat).await,
            false => ApiResponse::default(),
        };
        let id = if trip.is_success() { trip.text("id").to_owned() } else { String::new() };
        let racer = Arc::new(Notify::new());
        if !id.is_empty() {
            let mut known = me.context.known();
            known.pins.insert(id.clone(), trip.text("pin").to_owned());
            if cancels.is_some_and(|(when, _)| when == CancelWhen::Accept) {
                known.racers.insert(id.clone(), Arc::clone(&racer));
            }
        }
        let record = TripRecord {
            id: id.clone(),
            group: group.name.clone(),
            rider: me.name.clone(),
            at_s: requested_at_s,
            assigned_at_s: None,
            ended_at_s: None,
            wait_s: None,
            end: if id.is_empty() { REFUSED } else { "requested" }.to_owned(),
            state: String::new(),
            payment: trip.text("payment_id").to_owned(),
            fare: 0,
        };
        let mut recording = me.context.recording();
        recording.trips.push(record);
        let record = recording.trips.len() - 1;
        drop(recording);
        Self { record, id, requested_at_s, cancels, racer }
    }

    /// Reads the trip until it ends, and does what the rider does meanwhile.
    async fn follow(mut self, me: &mut Caller, group: &RiderGroup) {
        if self.id.is_empty() {
            return;
        }
        if let Some((CancelWhen::Requested, after_ms)) =
            self.cancels.take_if(|(when, _)| *when == CancelWhen::Requested)
        {
            me.wait_ms(after_ms).await;
            self.cancel(me, group).await;
        }
        loop {
            let trip = me.get("GET /v1/trips/{trip_id}", &self.id).await;
            if trip.is_success() {
                self.record(me, &trip.body);
            }
            let state = trip.text("state");
            if ENDS.contains(&state) {
                return self.after(me, group, state).await;
            }
            let when = match state {
                "assigned" => Some(CancelWhen::Assigned),
                "arrived" => Some(CancelWhen::Arrived),
                _ => None,
            };
            if let Some((_, after_ms)) = self.cancels.take_if(|(cause, _)| Some(*cause) == when) {
                me.wait_ms(after_ms).await;
                self.cancel(me, group).await;
                continue;
            }
            if self.has_lost_patience(me, group, state) {
                if self.cancel(me, group).await {
                    me.context.recording().trips[self.record].end = GAVE_UP.to_owned();
                    return;
                }
                continue;
            }
            self.wait(me, group).await;
        }
    }

    /// Waits for the next read; cancels when the driver accepts, if the rider races that.
    async fn wait(&mut self, me: &mut Caller, group: &RiderGroup) {
        let Some((CancelWhen::Accept, after_ms)) = self.cancels else {
            tokio::time::sleep(POLL_EVERY).await;
            return;
        };
        if tokio::time::timeout(POLL_EVERY, self.racer.notified()).await.is_ok() {
            self.cancels = None;
            me.wait_ms(after_ms).await;
            self.cancel(me, group).await;
        }
    }

    fn has_lost_patience(&self, me: &Caller, group: &RiderGroup, state: &str) -> bool {
        let waited = Duration::from_secs_f64((me.context.now_s() - self.requested_at_s).max(0.0));
        let is_waiting = matches!(state, "requested" | "searching" | "offered" | "");
        is_waiting && group.patience_s.is_some_and(|patience_s| waited > me.context.real(patience_s))
    }

    /// Cancels, and returns whether that succeeded.
    async fn cancel(&self, me: &mut Caller, group: &RiderGroup) -> bool {
        let call = Call::new("POST /v1/trips/{trip_id}/cancel", &self.id).body(json!({}));
        me.command_with(call, group.hang_up, group.repeat).await.is_success()
    }

    /// Keeps what a read shows.
    fn record(&self, me: &Caller, trip: &Value) {
        let now_s = me.context.now_s();
        let mut recording = me.context.recording();
        let record = &mut recording.trips[self.record];
        trip["state"].as_str().unwrap_or_default().clone_into(&mut record.end);
        record.fare = trip["fare"]["amount"].as_i64().unwrap_or(0);
        if let Some(assigned) = time(&trip["assigned_at"])
            && record.assigned_at_s.is_none()
        {
            record.assigned_at_s = Some(now_s);
            let requested = time(&trip["requested_at"]).unwrap_or(assigned);
            record.wait_s = (assigned - requested).to_std().ok().map(|wait| wait.as_secs_f64());
        }
        if ENDS.contains(&record.end.as_str()) {
            record.ended_at_s = Some(now_s);
        }
    }

    /// Tips and reads after the trip's end.
    async fn after(&self, me: &mut Caller, group: &RiderGroup, state: &str) {
        let record = me.context.recording().trips[self.record].clone();
        if state == "completed" {
            me.context.known().paid.push((record.payment.clone(), record.fare));
        }
        if me.draws(group.tip) && state == "completed" {
            let amount = me.random.random_range(50..500);
            let body = json!({"amount": {"amount": amount, "currency": "USD"}});
            me.command("POST /v1/trips/{trip_id}/tip", &self.id, body).await;
        }
        if group.reads {
            me.get("GET /v1/trips", "").await;
            me.get("GET /v1/trips/{trip_id}/receipt", &self.id).await;
            me.get("GET /v1/payments/{payment_id}", &record.payment).await;
        }
    }
}

async fn get_price(me: &mut Caller, pickup: Place, dropoff: Place) -> ApiResponse {
    let call = Call::new("POST /v1/quotes", "").body(json!({ "pickup": pickup.json(), "dropoff": dropoff.json() }));
    for _ in 1..QUOTE_ATTEMPTS_MAX {
        let quote = me.send(&call).await;
        if quote.is_success() {
            return quote;
        }
        tokio::time::sleep(QUOTE_AGAIN).await;
    }
    me.send(&call).await
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}
