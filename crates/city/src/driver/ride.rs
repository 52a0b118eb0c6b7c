//! One ride from the driver's seat: to the pickup, the PIN, to the door.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::exchange::Answer;
use crate::habits::{perhaps, within};
use crate::position::Position;
use crate::streets::Drive;
use crate::web::api::{DriverNews, Nothing, Start, Trip, TripState};
use crate::web::{Backoff, Call, Failure, Role, Session};

use super::{Driver, Identity, beacon};

/// After so long the service takes a no-show, and a little more for clocks that differ.
const NO_SHOW_AFTER: TimeDelta = TimeDelta::seconds(305);
/// How often a driver who is told "too far from the pickup" shows the car's position and tries again.
const ARRIVALS_MAX: u32 = 5;

/// Why a ride didn't go on as the driver thought.
enum Parted {
    /// It is over for this driver: cancelled, aborted, completed by others.
    Over,
    /// The service sees it differently, or didn't say: ask it.
    Unsure(Failure),
}

/// Why a car drives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    Empty,
    Rider,
}

impl Driver {
    /// Takes a trip from the state that it is in to its end. `fresh`: it was accepted just now, and not found.
    pub(super) async fn ride(&mut self, mut trip: Trip, fresh: bool) {
        let habits = &self.me.world.habits;
        let regret = perhaps(habits.driver_cancels, &habits.driver_cancels_after_s, &mut self.dice);
        let mut cancels_at = regret.filter(|_| fresh).map(|after| self.now() + after);
        let mut backoff = Backoff::new(self.me.session.name());
        loop {
            match self.ride_on(&trip, cancels_at.take()).await {
                Ok(()) | Err(Parted::Over) => return,
                Err(Parted::Unsure(failure)) if backoff.is_exhausted() => {
                    self.me.note("gives up a ride", &failure);
                    return;
                }
                // Most often the rider cancelled at the same moment; then there is no trip any more.
                Err(Parted::Unsure(_)) => match self.me.current_trip().await {
                    Some(current) => trip = current,
                    None => return,
                },
            }
            tokio::time::sleep(backoff.wait(None)).await;
        }
    }

    async fn ride_on(&mut self, trip: &Trip, cancels_at: Option<DateTime<Utc>>) -> Result<(), Parted> {
        let mut trip = trip.clone();
        if trip.state == TripState::Assigned {
            self.drive_to(trip.pickup, Load::Empty, &trip, cancels_at).await?;
            trip = self.arrive(&trip).await?;
        }
        if trip.state == TripState::Arrived {
            trip = self.board(&trip).await?;
        }
        if trip.state == TripState::InProgress {
            self.drive_to(trip.dropoff, Load::Rider, &trip, None).await?;
            self.command(&trip, "complete", &Nothing {}).await?;
        }
        Ok(())
    }

    /// Drives to a place and stops there, unless the trip ends on the way or the driver thinks better of it.
    async fn drive_to(
        &mut self,
        place: Position,
        load: Load,
        trip: &Trip,
        cancels_at: Option<DateTime<Utc>>,
    ) -> Result<(), Parted> {
        let drive = Drive::plan(&self.me.world.place.streets, self.me.car.position(self.now()), place);
        let arrives_at = self.set_off(drive);
        let regret = cancels_at.filter(|at| *at < arrives_at);
        let undisturbed = self.wait_until(regret.unwrap_or(arrives_at), trip).await;
        let driven_m = self.me.car.stop(self.now());
        self.me.world.tally.count(|counts| match load {
            Load::Empty => counts.empty_m += driven_m,
            Load::Rider => counts.loaded_m += driven_m,
        });
        undisturbed?;
        if regret.is_some() {
            self.command(trip, "cancel", &Nothing {}).await?;
            self.me.world.tally.count(|counts| counts.driver_cancelled += 1);
            return Err(Parted::Over);
        }
        Ok(())
    }

    /// Waits for a moment, and hears meanwhile whether the trip is over.
    async fn wait_until(&mut self, moment: DateTime<Utc>, trip: &Trip) -> Result<(), Parted> {
        while let Some(news) = self.news_before(Some(moment)).await {
            if is_over(&news, trip) {
                return Err(Parted::Over);
            }
        }
        Ok(())
    }

    /// Shows the car at the pickup and says so. After a restart the service may know an older position only, so it is
    /// shown again when it is refused.
    async fn arrive(&mut self, trip: &Trip) -> Result<Trip, Parted> {
        for _ in 1..ARRIVALS_MAX {
            beacon::report(&self.me).await;
            match self.command(trip, "arrive", &Nothing {}).await {
                Err(Parted::Unsure(failure)) if failure.code() == "too_far_from_pickup" => {
                    self.wait_until(self.now() + TimeDelta::seconds(2), trip).await?;
                }
                answer => return answer,
            }
        }
        self.command(trip, "arrive", &Nothing {}).await
    }

    /// Waits for the rider, and starts with the PIN; or leaves after the time that a rider has.
    async fn board(&mut self, trip: &Trip) -> Result<Trip, Parted> {
        let boards_after = within(&self.me.world.habits.boards_s, &mut self.dice);
        self.wait_until(self.now() + boards_after, trip).await?;
        let pin = match self.me.world.exchange.ask(&trip.id) {
            Answer::Pin(pin) => Some(pin),
            Answer::Nobody => None,
            Answer::Stranger => pin_of_stranger(&self.me, trip).await,
        };
        match pin {
            Some(pin) => self.command(trip, "start", &Start { pin: &pin }).await,
            None => {
                let arrived_at = trip.arrived_at.unwrap_or_else(|| self.now());
                self.wait_until(arrived_at + NO_SHOW_AFTER, trip).await?;
                self.command(trip, "no_show", &Nothing {}).await
            }
        }
    }

    async fn command(&mut self, trip: &Trip, command: &str, body: &impl Serialize) -> Result<Trip, Parted> {
        let key = self.me.key(command, &trip.id);
        let call = Call::command(format!("/v1/trips/{}/{command}", trip.id), key, body);
        self.me.client().call(&self.me.session, &call).await.map_err(Parted::Unsure)
    }
}

/// The PIN of a rider who is not of this program: a person with curl, or one whom an earlier run left behind. The driver
/// looks at the rider's telephone, which the sandbox allows.
async fn pin_of_stranger(me: &Identity, trip: &Trip) -> Option<String> {
    let telephone = Session::new(Role::Rider, Some(trip.rider_id.clone()));
    match me.client().call::<Trip>(&telephone, &Call::get(format!("/v1/trips/{}", trip.id))).await {
        Ok(seen) => seen.pin,
        Err(failure) => {
            me.note("can't see the rider's PIN", &failure);
            None
        }
    }
}

/// Whether the news is that a trip is over for its driver.
fn is_over(news: &DriverNews, trip: &Trip) -> bool {
    let about_it = match (&news.trip_id, &news.trip) {
        (Some(id), _) | (None, Some(crate::web::api::TripRef { id })) => *id == trip.id,
        (None, None) => false,
    };
    match news.kind.as_str() {
        "trip.completed" | "trip.cancelled" | "trip.no_show" | "trip.driver_lost" | "trip.aborted" => about_it,
        // After a gap that could not be bridged the stream starts anew with what is live.
        "snapshot" => !about_it,
        _ => false,
    }
}
