//! A ride, from the driver's side: to the pickup, the PIN, to the dropoff.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::behavior::{maybe_duration, random_duration};
use crate::pin_exchange::PinAnswer;
use crate::position::Position;
use crate::streets::Route;
use crate::web::api::{DriverEvent, EmptyBody, Start, Trip, TripRef, TripState};
use crate::web::{Backoff, Call, CallError, Role, Session};

use super::{Driver, Identity, position_reports};

/// The service accepts a no-show after 300 s; the rest allows for clock differences.
const NO_SHOW_AFTER: TimeDelta = TimeDelta::seconds(305);
/// The most attempts to arrive while the service responds "too far from the pickup".
const ARRIVALS_MAX: u32 = 5;

/// Why a ride did not continue as planned.
enum Interruption {
    /// The trip is over for this driver.
    Over,
    /// The state of the trip is unknown: look it up.
    Unknown(CallError),
    /// The service had set the driver offline, for example by a reset: look up whether the trip still exists.
    OnlineAgain,
}

/// Whether a rider is in the car.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occupancy {
    Empty,
    Rider,
}

impl Driver {
    /// Drives a trip from its state to its end. `is_new`: the trip was just accepted, not found after a restart.
    pub(super) async fn ride(&mut self, mut trip: Trip, is_new: bool) {
        let behavior = &self.identity.context.behavior;
        let cancels = maybe_duration(behavior.driver_cancels, &behavior.driver_cancels_after_s, &mut self.random);
        let mut cancels_at = cancels.filter(|_| is_new).map(|after| self.now() + after);
        let mut backoff = Backoff::new(self.identity.session.name());
        loop {
            match self.continue_ride(&trip, cancels_at.take()).await {
                Ok(()) | Err(Interruption::Over) => return,
                Err(Interruption::Unknown(error)) if backoff.is_exhausted() => {
                    self.identity.log_failure("abandons a ride", &error);
                    return;
                }
                // Usually the rider has cancelled at the same time; then the driver has no trip any more.
                Err(Interruption::Unknown(_) | Interruption::OnlineAgain) => match self.identity.current_trip().await {
                    Some(current) => trip = current,
                    None => return,
                },
            }
            tokio::time::sleep(backoff.wait(None)).await;
        }
    }

    async fn continue_ride(&mut self, trip: &Trip, cancels_at: Option<DateTime<Utc>>) -> Result<(), Interruption> {
        let mut trip = trip.clone();
        if trip.state == TripState::Assigned {
            self.drive_to(trip.pickup, Occupancy::Empty, &trip, cancels_at).await?;
            trip = self.arrive(&trip).await?;
        }
        if trip.state == TripState::Arrived {
            trip = self.wait_for_rider(&trip).await?;
        }
        if trip.state == TripState::InProgress {
            self.drive_to(trip.dropoff, Occupancy::Rider, &trip, None).await?;
            self.command(&trip, "complete", &EmptyBody {}).await?;
        }
        Ok(())
    }

    /// Drives to a place, unless the trip ends or the driver cancels on the way.
    async fn drive_to(
        &mut self,
        place: Position,
        occupancy: Occupancy,
        trip: &Trip,
        cancels_at: Option<DateTime<Utc>>,
    ) -> Result<(), Interruption> {
        let route = Route::plan(&self.identity.context.city.streets, self.identity.car.position(self.now()), place);
        let set_off_at = self.now();
        let arrives_at = self.set_off(route);
        let cancels_at = cancels_at.filter(|at| *at < arrives_at);
        let uninterrupted = self.wait_until(cancels_at.unwrap_or(arrives_at), trip).await;
        let stopped_at = self.now();
        let driven_m = self.identity.car.stop(stopped_at);
        let driven_s = self.identity.context.seconds_in_window(set_off_at, stopped_at);
        self.identity.context.statistics.count(|counts| match occupancy {
            Occupancy::Empty => {
                counts.deadhead_m += driven_m;
                counts.to_pickup_s += driven_s;
            }
            Occupancy::Rider => {
                counts.loaded_m += driven_m;
                counts.loaded_s += driven_s;
            }
        });
        uninterrupted?;
        if cancels_at.is_some() {
            self.command(trip, "cancel", &EmptyBody {}).await?;
            self.identity.context.statistics.count(|counts| counts.driver_cancelled += 1);
            return Err(Interruption::Over);
        }
        Ok(())
    }

    /// Waits until `moment`, or until an event ends the trip.
    async fn wait_until(&mut self, moment: DateTime<Utc>, trip: &Trip) -> Result<(), Interruption> {
        let identity = self.identity.clone();
        loop {
            let event = tokio::select! {
                event = self.event_before(Some(moment)) => event,
                () = identity.online_again.notified() => return Err(Interruption::OnlineAgain),
            };
            match event {
                Some(event) if is_over(&event, trip) => return Err(Interruption::Over),
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }

    /// Reports the position at the pickup, and arrives. Retries if the service knows only an older position, as after a
    /// restart.
    async fn arrive(&mut self, trip: &Trip) -> Result<Trip, Interruption> {
        for _ in 1..ARRIVALS_MAX {
            position_reports::report_position(&self.identity).await;
            match self.command(trip, "arrive", &EmptyBody {}).await {
                Err(Interruption::Unknown(error)) if error.code() == "too_far_from_pickup" => {
                    self.wait_until(self.now() + TimeDelta::seconds(2), trip).await?;
                }
                result => return result,
            }
        }
        self.command(trip, "arrive", &EmptyBody {}).await
    }

    /// Waits for the rider and starts with the PIN, or reports a no-show.
    async fn wait_for_rider(&mut self, trip: &Trip) -> Result<Trip, Interruption> {
        let boards_after = random_duration(&self.identity.context.behavior.boards_after_s, &mut self.random);
        self.wait_until(self.now() + boards_after, trip).await?;
        let pin = match self.identity.context.pins.ask(&trip.id) {
            PinAnswer::Pin(pin) => Some(pin),
            PinAnswer::RiderAbsent => None,
            PinAnswer::UnknownRider => pin_of_unknown_rider(&self.identity, trip).await,
        };
        match pin {
            Some(pin) => self.command(trip, "start", &Start { pin: &pin }).await,
            None => {
                let arrived_at = trip.arrived_at.unwrap_or_else(|| self.now());
                self.wait_until(arrived_at + NO_SHOW_AFTER, trip).await?;
                self.command(trip, "no_show", &EmptyBody {}).await
            }
        }
    }

    async fn command(&mut self, trip: &Trip, command: &str, body: &impl Serialize) -> Result<Trip, Interruption> {
        let key = self.identity.key(command, &trip.id);
        let call = Call::command(format!("/v1/trips/{}/{command}", trip.id), key, body);
        self.identity.client().call(&self.identity.session, &call).await.map_err(Interruption::Unknown)
    }
}

/// The PIN of a rider outside this program, such as a person with curl or a rider of an earlier run. Reads the trip with a
/// sandbox token of the rider.
async fn pin_of_unknown_rider(driver: &Identity, trip: &Trip) -> Option<String> {
    let session = Session::new(Role::Rider, Some(trip.rider_id.clone()));
    match driver.client().call::<Trip>(&session, &Call::get(format!("/v1/trips/{}", trip.id))).await {
        Ok(seen) => seen.pin,
        Err(error) => {
            driver.log_failure("cannot read the rider's PIN", &error);
            None
        }
    }
}

/// Whether the event ends the trip for its driver.
fn is_over(event: &DriverEvent, trip: &Trip) -> bool {
    let is_about_it = match (&event.trip_id, &event.trip) {
        (Some(id), _) | (None, Some(TripRef { id })) => *id == trip.id,
        (None, None) => false,
    };
    match event.kind.as_str() {
        "trip.completed" | "trip.cancelled" | "trip.no_show" | "trip.driver_unassigned" | "trip.aborted" => is_about_it,
        // After a gap in the stream, the snapshot names the current trip.
        "snapshot" => !is_about_it,
        _ => false,
    }
}
