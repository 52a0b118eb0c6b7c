//! Riders: one task for each request, from the quote to the end of the trip.

use std::future::pending;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::dice::{dice, identity};
use crate::habits::{perhaps, within};
use crate::source::Request;
use crate::web::api::{NewQuote, NewTrip, Nothing, Quote, Trip, TripEvent, TripState};
use crate::web::{Call, Failure, Role, Session, follow};
use crate::world::World;

/// A quote lives two minutes; one that runs out while the service is away is asked for anew, so often.
const QUOTES_MAX: u32 = 5;
const CARD: &str = "pm_card_visa";
const CARD_THAT_DECLINES: &str = "pm_card_chargeDeclined";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ending {
    /// The trip's last state; `None` when the rider never learnt it.
    pub state: Option<TripState>,
    /// From the request to the driver's arrival, for rides that were driven.
    pub pickup_wait: Option<TimeDelta>,
}

impl Ending {
    /// Of a rider who never learnt it.
    pub fn unknown() -> Self {
        Self { state: None, pickup_wait: None }
    }
}

/// Asks for a ride, and follows it until it is over.
pub(crate) async fn ride(world: Arc<World>, request: Request) -> Ending {
    world.tally.count(|counts| {
        counts.departed += 1;
        counts.waiting += 1;
    });
    let mut rider = Rider::new(world.clone(), request);
    let ending = match rider.ask().await {
        Ok(trip) => {
            world.exchange.tell(&trip.id, trip.pin.clone().filter(|_| rider.shows_up));
            let ending = rider.follow(&trip).await;
            world.exchange.forget(&trip.id);
            ending
        }
        Err(failure) => {
            world.note(rider.session.name(), "can't ask for a ride", &failure);
            Ending::unknown()
        }
    };
    rider.waits(false);
    world.tally.count(|counts| counts.finished += 1);
    ending
}

struct Rider {
    world: Arc<World>,
    request: Request,
    session: Arc<Session>,
    card: &'static str,
    shows_up: bool,
    /// From the request on, whatever happens.
    changes_mind_after: Option<TimeDelta>,
    /// From the request on, without a driver.
    patience: Option<TimeDelta>,
    is_waiting: bool,
    was_matched: bool,
}

/// What a rider knows of the trip.
struct Progress {
    state: TripState,
    requested_at: DateTime<Utc>,
    assigned_at: Option<DateTime<Utc>>,
    arrived_at: Option<DateTime<Utc>>,
}

impl Progress {
    fn learn(&mut self, event: &TripEvent) {
        self.state = event.to;
        match event.to {
            TripState::Assigned => self.assigned_at = Some(event.at),
            TripState::Arrived => self.arrived_at = Some(event.at),
            _ => {}
        }
    }

    fn ending(&self) -> Ending {
        let arrived_at = self.arrived_at.filter(|_| self.state == TripState::Completed);
        Ending { state: Some(self.state), pickup_wait: arrived_at.map(|at| at - self.requested_at) }
    }
}

impl Rider {
    fn new(world: Arc<World>, request: Request) -> Self {
        let mut dice: StdRng = dice(world.seed, &format!("rider/{}", request.name));
        let born_ms = u64::try_from(world.began.timestamp_millis()).unwrap_or_default();
        let subject = identity("rdr", world.seed, &request.name, born_ms);
        let habits = &world.habits;
        Self {
            session: Arc::new(Session::new(Role::Rider, Some(subject))),
            card: if dice.random_bool(habits.card_declines) { CARD_THAT_DECLINES } else { CARD },
            shows_up: !dice.random_bool(habits.no_show),
            changes_mind_after: perhaps(habits.changes_mind, &habits.changes_mind_after_s, &mut dice),
            patience: dice.random_bool(habits.impatient).then(|| within(&habits.patience_s, &mut dice)),
            is_waiting: true,
            was_matched: false,
            world,
            request,
        }
    }

    /// Gets a price and orders the trip. The key is the same for every attempt: a trip that the service made without
    /// being able to say so is found again by it.
    async fn ask(&self) -> Result<Trip, Failure> {
        let Request { pickup, dropoff, class, .. } = self.request;
        let client = &self.world.client;
        let key = format!("city-{}-request-{}", self.world.seed, self.request.name);
        let mut quotes = 0;
        loop {
            let quote: Quote =
                client.call(&self.session, &Call::post("/v1/quotes", &NewQuote { pickup, dropoff, class })).await?;
            quotes += 1;
            let order = NewTrip { quote_id: &quote.id, payment_method: self.card };
            match client.call(&self.session, &Call::command("/v1/trips", key.clone(), &order)).await {
                Err(failure) if failure.code() == "quote_expired" && quotes < QUOTES_MAX => {}
                answer => return answer,
            }
        }
    }

    /// Lives on the trip's event stream until it is over; cancels when the time for that has come.
    async fn follow(&mut self, trip: &Trip) -> Ending {
        let path = format!("/v1/trips/{}/events", trip.id);
        let mut events = follow(self.world.client.clone(), self.session.clone(), path);
        let mut progress = Progress {
            state: trip.state,
            requested_at: trip.requested_at,
            assigned_at: trip.assigned_at,
            arrived_at: trip.arrived_at,
        };
        let mut has_tried_to_cancel = false;
        while !progress.state.is_over() {
            let gives_up_at = self.gives_up_at(&progress).filter(|_| !has_tried_to_cancel);
            let gives_up = async {
                match gives_up_at {
                    Some(moment) => self.world.clock.sleep_until(moment).await,
                    None => pending().await,
                }
            };
            let frame = tokio::select! {
                frame = events.next() => frame,
                () = gives_up => None,
            };
            match frame {
                Some(frame) if frame.event.starts_with("trip.") => match serde_json::from_str(&frame.data) {
                    Ok(event) => {
                        progress.learn(&event);
                        self.show(&progress);
                    }
                    Err(_) => self.world.tally.http_error("unreadable"),
                },
                // The car's position, which this rider doesn't watch.
                Some(_) => {}
                None => {
                    has_tried_to_cancel = true;
                    self.cancel(&trip.id, &mut progress).await;
                }
            }
        }
        progress.ending()
    }

    /// When the rider stops waiting, from what is known now. Nobody cancels once the car is at the door.
    fn gives_up_at(&self, progress: &Progress) -> Option<DateTime<Utc>> {
        let without_car = |after: Option<TimeDelta>| after.map(|after| progress.requested_at + after);
        match progress.state {
            TripState::Requested | TripState::Searching | TripState::Offered => {
                [without_car(self.changes_mind_after), without_car(self.patience)].into_iter().flatten().min()
            }
            TripState::Assigned => {
                let assigned_at = progress.assigned_at.unwrap_or(progress.requested_at);
                let too_long = assigned_at + crate::clock::seconds(self.world.habits.pickup_patience_s);
                without_car(self.changes_mind_after).into_iter().chain([too_long]).min()
            }
            _ => None,
        }
    }

    /// Cancels. When the trip went on meanwhile, so does the rider.
    async fn cancel(&self, trip_id: &str, progress: &mut Progress) {
        let key = format!("city-{}-cancel-{}", self.world.seed, self.request.name);
        let call = Call::command(format!("/v1/trips/{trip_id}/cancel"), key, &Nothing {});
        match self.world.client.call::<Trip>(&self.session, &call).await {
            Ok(trip) => progress.state = trip.state,
            Err(Failure::Refused { .. }) => {}
            Err(failure) => self.world.note(self.session.name(), "can't cancel", &failure),
        }
    }

    /// Keeps the counters of who waits and who has a driver.
    fn show(&mut self, progress: &Progress) {
        match progress.state {
            TripState::Requested | TripState::Searching | TripState::Offered => self.waits(true),
            TripState::Assigned => {
                self.waits(false);
                if !std::mem::replace(&mut self.was_matched, true) {
                    self.world.tally.count(|counts| counts.matched += 1);
                }
            }
            _ => self.waits(false),
        }
    }

    fn waits(&mut self, now: bool) {
        let before = std::mem::replace(&mut self.is_waiting, now);
        self.world.tally.count(|counts| match (before, now) {
            (false, true) => counts.waiting += 1,
            (true, false) => counts.waiting -= 1,
            _ => {}
        });
    }
}
