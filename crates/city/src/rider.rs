//! Riders: one task per request, from the quote to the end of the trip.

use std::future::pending;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::behavior::{maybe_duration, random_duration};
use crate::clock::seconds;
use crate::model::Request;
use crate::random::{actor_id, seeded_random};
use crate::run_context::RunContext;
use crate::web::api::{EmptyBody, NewQuote, NewTrip, Quote, ShownEta, Trip, TripEvent, TripState};
use crate::web::{Call, CallError, Role, Session, object_events};

/// The most quotes for one request. A quote expires after two minutes, for example while the service is down.
const QUOTES_MAX: u32 = 5;
const CARD: &str = "pm_card_visa";
const DECLINING_CARD: &str = "pm_card_chargeDeclined";

/// How a request ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum RideEnd {
    /// The rider could not learn it.
    #[default]
    Unknown,
    /// The rider did not accept the price.
    LostToPrice,
    /// The last state of the trip.
    Trip(TripState),
}

/// The outcome of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RideOutcome {
    pub end: RideEnd,
    /// From the request to the driver's arrival, for completed trips.
    pub pickup_wait: Option<TimeDelta>,
    /// What happened to the trip; `None` without one.
    pub history: Option<TripHistory>,
}

/// What happened to a trip, as its rider saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TripHistory {
    pub trip_id: String,
    pub requested_at: DateTime<Utc>,
    /// The states and when they began, in order.
    pub states: Vec<(TripState, DateTime<Utc>)>,
    /// The time to the driver's arrival that the rider was shown after the last assignment, if the service shows one.
    pub shown_eta: Option<TimeDelta>,
}

/// Requests a ride, and follows the trip to its end.
pub(crate) async fn ride(context: Arc<RunContext>, request: Request) -> RideOutcome {
    context.statistics.count(|counts| {
        counts.departed += 1;
        counts.waiting += 1;
    });
    let mut rider = Rider::new(context.clone(), request);
    let outcome = match rider.request_trip().await {
        Ok(None) => RideOutcome { end: RideEnd::LostToPrice, ..RideOutcome::default() },
        Ok(Some(trip)) => {
            context.pins.add(&trip.id, trip.pin.clone().filter(|_| rider.shows_up));
            let outcome = rider.follow(&trip).await;
            context.pins.remove(&trip.id);
            outcome
        }
        Err(error) => {
            context.log_failure(rider.session.name(), "cannot request a ride", &error);
            RideOutcome::default()
        }
    };
    rider.set_waiting(false);
    context.statistics.count(|counts| counts.finished += 1);
    outcome
}

struct Rider {
    context: Arc<RunContext>,
    request: Request,
    session: Arc<Session>,
    card: &'static str,
    shows_up: bool,
    /// When the rider cancels without a reason, counted from the request.
    changes_mind_after: Option<TimeDelta>,
    /// How long the rider waits for a driver, counted from the request.
    patience: Option<TimeDelta>,
    /// How long the rider waits for the arrival of the driver, counted from the assignment.
    pickup_patience: Option<TimeDelta>,
    /// What the ride is worth to the rider: see [`Behavior::accepts_price`](crate::behavior::Behavior::accepts_price).
    price_draw: f64,
    is_waiting: bool,
    was_matched: bool,
}

/// What a rider knows about the trip.
struct TripProgress {
    state: TripState,
    assigned_at: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
    history: TripHistory,
}

impl TripProgress {
    fn new(trip: &Trip) -> Self {
        let Trip { state, requested_at, assigned_at, arrived_at, .. } = *trip;
        let history = TripHistory { trip_id: trip.id.clone(), requested_at, states: Vec::new(), shown_eta: None };
        Self { state, assigned_at, arrived_at, history }
    }

    fn apply(&mut self, event: &TripEvent) {
        self.state = event.to;
        self.history.states.push((event.to, event.at));
        match event.to {
            TripState::Assigned => self.assigned_at = Some(event.at),
            TripState::Arrived => self.arrived_at = Some(event.at),
            _ => {}
        }
    }

    fn outcome(self) -> RideOutcome {
        let arrived_at = self.arrived_at.filter(|_| self.state == TripState::Completed);
        RideOutcome {
            end: RideEnd::Trip(self.state),
            pickup_wait: arrived_at.map(|at| at - self.history.requested_at),
            history: Some(self.history),
        }
    }
}

impl Rider {
    fn new(context: Arc<RunContext>, request: Request) -> Self {
        let mut random: StdRng = seeded_random(context.seed, &format!("rider/{}", request.name));
        let started_ms = u64::try_from(context.started_at.timestamp_millis()).unwrap_or_default();
        let subject = actor_id("rdr", context.seed, &request.name, started_ms);
        let behavior = &context.behavior;
        Self {
            session: Arc::new(Session::new(Role::Rider, Some(subject))),
            card: if random.random_bool(behavior.card_declines) { DECLINING_CARD } else { CARD },
            shows_up: !random.random_bool(behavior.no_show),
            changes_mind_after: maybe_duration(behavior.changes_mind, &behavior.changes_mind_after_s, &mut random),
            patience: random
                .random_bool(behavior.impatient)
                .then(|| random_duration(&behavior.patience_s, &mut random)),
            pickup_patience: behavior.pickup_patience.map(|patience| patience.draw(&mut random)),
            price_draw: random.random(),
            is_waiting: true,
            was_matched: false,
            context,
            request,
        }
    }

    /// Gets a quote and requests the trip. Every attempt has the same key, so that a trip whose response was lost is found
    /// again. Returns `None` if the price is too high.
    async fn request_trip(&self) -> Result<Option<Trip>, CallError> {
        let Request { pickup, dropoff, class, .. } = self.request;
        let client = &self.context.client;
        let key = format!("city-{}-request-{}", self.context.seed, self.request.name);
        let mut quotes = 0;
        loop {
            let quote: Quote =
                client.call(&self.session, &Call::post("/v1/quotes", &NewQuote { pickup, dropoff, class })).await?;
            quotes += 1;
            let multiplier = quote.surge.multiplier();
            self.context.statistics.count(|counts| counts.surge_quotes += u64::from(multiplier > 1.0));
            if !self.context.behavior.accepts_price(multiplier, self.price_draw) {
                return Ok(None);
            }
            let trip = NewTrip { quote_id: &quote.id, payment_method: self.card };
            match client.call(&self.session, &Call::command("/v1/trips", key.clone(), &trip)).await {
                Err(error) if error.code() == "quote_expired" && quotes < QUOTES_MAX => {}
                result => return result.map(Some),
            }
        }
    }

    /// Follows the event stream of the trip to its end, and cancels when the rider's patience ends.
    async fn follow(&mut self, trip: &Trip) -> RideOutcome {
        let path = format!("/v1/trips/{}/events", trip.id);
        let mut events = object_events(self.context.client.clone(), self.session.clone(), path);
        let mut progress = TripProgress::new(trip);
        let mut has_tried_to_cancel = false;
        while !progress.state.is_over() {
            let cancels_at = self.cancels_at(&progress).filter(|_| !has_tried_to_cancel);
            let cancels = async {
                match cancels_at {
                    Some(moment) => self.context.clock.sleep_until(moment).await,
                    None => pending().await,
                }
            };
            let frame = tokio::select! {
                frame = events.next() => match frame {
                    Some(frame) => Some(frame),
                    // The service does not have the trip any more, for example after a reset.
                    None => break,
                },
                () = cancels => None,
            };
            match frame {
                Some(frame) if frame.event.starts_with("trip.") => match serde_json::from_str(&frame.data) {
                    Ok(event) => {
                        progress.apply(&event);
                        self.update_counts(&progress);
                        if progress.state == TripState::Assigned {
                            progress.history.shown_eta = self.shown_eta(&trip.id).await;
                        }
                    }
                    Err(_) => self.context.statistics.http_error("unreadable"),
                },
                // The position of the driver.
                Some(_) => {}
                None => {
                    has_tried_to_cancel = true;
                    self.cancel(&trip.id, &mut progress).await;
                }
            }
        }
        progress.outcome()
    }

    /// When the rider cancels, in the current state. Riders do not cancel after the driver's arrival.
    fn cancels_at(&self, progress: &TripProgress) -> Option<DateTime<Utc>> {
        let requested_at = progress.history.requested_at;
        let after_request = |after: Option<TimeDelta>| after.map(|after| requested_at + after);
        let state_ends_at = match progress.state {
            TripState::Requested | TripState::Searching | TripState::Offered => after_request(self.patience),
            TripState::Assigned => {
                self.pickup_patience.map(|patience| progress.assigned_at.unwrap_or(requested_at) + patience)
            }
            _ => return None,
        };
        let gives_up_after = self.context.behavior.gives_up_after_s.map(seconds);
        let waits_until = [after_request(self.changes_mind_after), after_request(gives_up_after), state_ends_at];
        waits_until.into_iter().flatten().min()
    }

    /// The time to the driver's arrival that the service shows to the rider; `None` if it shows none.
    async fn shown_eta(&self, trip_id: &str) -> Option<TimeDelta> {
        let trip =
            self.context.client.once::<ShownEta>(&self.session, &Call::get(format!("/v1/trips/{trip_id}"))).await;
        trip.ok()?.eta_s.map(seconds)
    }

    /// Cancels, unless the trip has moved on in the meantime.
    async fn cancel(&self, trip_id: &str, progress: &mut TripProgress) {
        let key = format!("city-{}-cancel-{}", self.context.seed, self.request.name);
        let call = Call::command(format!("/v1/trips/{trip_id}/cancel"), key, &EmptyBody {});
        match self.context.client.call::<Trip>(&self.session, &call).await {
            Ok(trip) => {
                progress.state = trip.state;
                progress.history.states.push((trip.state, self.context.clock.now()));
            }
            Err(CallError::Rejected { .. }) => {}
            Err(error) => self.context.log_failure(self.session.name(), "cannot cancel", &error),
        }
    }

    /// Updates the counts of waiting and matched riders.
    fn update_counts(&mut self, progress: &TripProgress) {
        match progress.state {
            TripState::Requested | TripState::Searching | TripState::Offered => self.set_waiting(true),
            TripState::Assigned => {
                self.set_waiting(false);
                if !std::mem::replace(&mut self.was_matched, true) {
                    self.context.statistics.count(|counts| counts.matched += 1);
                }
            }
            _ => self.set_waiting(false),
        }
    }

    fn set_waiting(&mut self, now: bool) {
        let before = std::mem::replace(&mut self.is_waiting, now);
        self.context.statistics.count(|counts| match (before, now) {
            (false, true) => counts.waiting += 1,
            (true, false) => counts.waiting -= 1,
            _ => {}
        });
    }
}

#[cfg(test)]
#[path = "rider_tests.rs"]
mod tests;
