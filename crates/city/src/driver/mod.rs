//! Drivers: one task each, which follows the driver's event stream.

mod car;
mod identity;
mod offers;
mod position_reports;
mod ride;

use std::future::pending;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::behavior::random_duration;
use crate::clock::seconds;
use crate::position::Position;
use crate::random::seeded_random;
use crate::streets::Route;
use crate::web::api::{Driver as Profile, DriverEvent, Offer};
use crate::web::{Backoff, Frame, event_stream};

pub(crate) use identity::Identity;

/// The longest leg of a cruising driver.
const CRUISE_M: f64 = 1_500.0;

/// Runs a driver until it is dropped.
pub(crate) async fn run_driver(identity: Arc<Identity>) {
    start_work(&identity).await;
    let context = &identity.context;
    let events = event_stream(context.client.clone(), identity.session.clone(), "/v1/drivers/me/events".into());
    let random = seeded_random(context.seed, &identity.vehicle.name);
    // A sequence of their own: hints do not change what a driver does otherwise.
    let hints = seeded_random(context.seed, &format!("{}/hints", identity.vehicle.name));
    let mut driver = Driver { identity: identity.clone(), events, random, hints, trip_to_hint: false };
    tokio::select! {
        () = position_reports::report_positions(&identity) => {}
        () = driver.work() => {}
    }
}

/// Goes online and reports the position, however long the service takes to start. A driver with a trip starts at the last
/// position that the service knows.
async fn start_work(identity: &Identity) {
    let mut backoff = Backoff::new(identity.session.name());
    let profile = loop {
        match identity.go_online().await {
            Ok(profile) => break profile,
            Err(error) => identity.log_failure("cannot go online", &error),
        }
        tokio::time::sleep(backoff.wait(None)).await;
    };
    if let Profile { trip: Some(_), position: Some(last), .. } = profile {
        identity.car.park_at(last.place());
    }
    position_reports::report_position(identity).await;
    identity.context.statistics.count(|counts| counts.online += 1);
}

/// An online driver.
struct Driver {
    identity: Arc<Identity>,
    events: BoxStream<'static, Frame>,
    random: StdRng,
    hints: StdRng,
    /// Whether the car is on its way to the place of a hint.
    trip_to_hint: bool,
}

/// What a free driver has to do next.
enum Task {
    Offer(Offer),
    /// Look up the current trip.
    Trip,
}

/// What an event means for a free driver.
enum Meaning {
    Task(Task),
    /// Drivers are short at this place.
    Hint(Position),
    Nothing,
}

impl Driver {
    async fn work(&mut self) {
        loop {
            let (trip, is_new) = match self.next_task().await {
                Task::Offer(offer) => (self.respond_to(&offer).await, true),
                Task::Trip => (self.identity.current_trip().await, false),
            };
            if let Some(trip) = trip {
                self.ride(trip, is_new).await;
            }
        }
    }

    /// Waits for the next task, and cruises meanwhile if drivers do.
    async fn next_task(&mut self) -> Task {
        let mut moves_at = self.next_cruise();
        loop {
            match self.event_before(moves_at).await {
                None => moves_at = self.start_or_end_cruise(),
                Some(event) => match meaning_of(event, self.now()) {
                    Meaning::Task(task) => {
                        self.stop_cruise();
                        return task;
                    }
                    Meaning::Hint(place) => {
                        if self.hints.random_bool(self.identity.context.behavior.reposition) {
                            moves_at = Some(self.follow_hint(place));
                        }
                    }
                    Meaning::Nothing => {}
                },
            }
        }
    }

    /// The time of the next cruise of a parked driver.
    fn next_cruise(&mut self) -> Option<DateTime<Utc>> {
        let pause_s = self.identity.context.behavior.cruises_after_s.as_ref()?;
        Some(self.identity.context.clock.now() + random_duration(pause_s, &mut self.random))
    }

    /// Ends a finished cruise or starts the next one, and returns the time of the next change.
    fn start_or_end_cruise(&mut self) -> Option<DateTime<Utc>> {
        if self.identity.car.is_driving() {
            // At the place of a hint the driver waits for an offer.
            let waits = self.trip_to_hint;
            self.stop_cruise();
            return if waits { None } else { self.next_cruise() };
        }
        let streets = &self.identity.context.city.streets;
        let here = self.identity.car.position(self.now());
        let target = *streets.junctions().get(self.random.random_range(0..streets.junctions().len().max(1)))?;
        let share = (CRUISE_M / here.meters_to(target).max(1.0)).min(1.0);
        let corner = streets.junctions()[streets.nearest(here.toward(target, share))? as usize];
        Some(self.set_off(Route::plan(streets, here, corner)))
    }

    /// Drives to the junction nearest to the place of a hint, which may be in a river, and returns the arrival time.
    fn follow_hint(&mut self, place: Position) -> DateTime<Utc> {
        self.stop_cruise();
        self.trip_to_hint = true;
        self.identity.context.statistics.count(|counts| counts.hints_followed += 1);
        let (streets, here) = (&self.identity.context.city.streets, self.identity.car.position(self.now()));
        let corner = streets.nearest(place).map_or(place, |at| streets.junctions()[at as usize]);
        self.set_off(Route::plan(streets, here, corner))
    }

    fn stop_cruise(&mut self) {
        let driven_m = self.identity.car.stop(self.now());
        let repositioned_m = if std::mem::take(&mut self.trip_to_hint) { driven_m } else { 0.0 };
        self.identity.context.statistics.count(|counts| {
            counts.deadhead_m += driven_m;
            counts.repositioned_m += repositioned_m;
        });
    }

    /// Starts to drive a route, and returns the arrival time.
    fn set_off(&self, route: Route) -> DateTime<Utc> {
        let (context, now) = (&self.identity.context, self.now());
        let slowness = context.slowness();
        let arrives_at = now + seconds(route.duration_s() * slowness);
        if !route.on_streets {
            context.statistics.count(|counts| counts.drives_off_streets += 1);
        }
        self.identity.car.set_off(route, now, slowness);
        arrives_at
    }

    /// Waits for the next event. Returns `None` at `moment`, or if the stream ends.
    async fn event_before(&mut self, moment: Option<DateTime<Utc>>) -> Option<DriverEvent> {
        let clock = &self.identity.context.clock;
        let moment = async {
            match moment {
                Some(moment) => clock.sleep_until(moment).await,
                None => pending().await,
            }
        };
        tokio::pin!(moment);
        loop {
            let frame = tokio::select! {
                biased;
                frame = self.events.next() => frame?,
                () = &mut moment => return None,
            };
            match serde_json::from_str(&frame.data) {
                Ok(event) => return Some(event),
                Err(_) => self.identity.context.statistics.http_error("unreadable"),
            }
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.identity.context.clock.now()
    }
}

fn meaning_of(event: DriverEvent, now: DateTime<Utc>) -> Meaning {
    let is_over = event.expires_at.is_some_and(|at| at <= now);
    match (event.kind.as_str(), event.offer, event.trip, event.position) {
        ("snapshot", _, Some(_), _) | ("trip.assigned" | "trip.arrived" | "trip.in_progress", ..) => {
            Meaning::Task(Task::Trip)
        }
        ("snapshot" | "offer.created", Some(offer), ..) => Meaning::Task(Task::Offer(offer)),
        ("hint.created", .., Some(place)) if !is_over => Meaning::Hint(place),
        _ => Meaning::Nothing,
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
