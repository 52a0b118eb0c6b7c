//! Drivers: one task each, which lives on its event stream.

mod beacon;
mod car;
mod identity;
mod offers;
mod ride;

use std::future::pending;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::clock::seconds;
use crate::dice::dice;
use crate::habits::within;
use crate::streets::Drive;
use crate::web::api::{Driver as Profile, DriverNews, Offer};
use crate::web::{Backoff, Frame, follow};

pub(crate) use identity::Identity;

/// Cruising drivers go no farther than this in one go.
const CRUISE_M: f64 = 1_500.0;

/// Drives for ever; ends only by being dropped.
pub(crate) async fn drive(me: Arc<Identity>) {
    settle_in(&me).await;
    let world = &me.world;
    let news = follow(world.client.clone(), me.session.clone(), "/v1/drivers/me/events".into());
    let mut driver = Driver { me: me.clone(), news, dice: dice(world.seed, &me.vehicle.name) };
    tokio::select! {
        () = beacon::beacon(&me) => {}
        () = driver.live() => {}
    }
}

/// Goes online and shows the car, however long the service takes to come up. A car that is in the middle of a ride starts
/// where the service last saw it.
async fn settle_in(me: &Identity) {
    let mut backoff = Backoff::new(me.session.name());
    let profile = loop {
        match me.go_online().await {
            Ok(profile) => break profile,
            Err(failure) => me.note("can't go online", &failure),
        }
        tokio::time::sleep(backoff.wait(None)).await;
    };
    if let Profile { trip: Some(_), position: Some(last), .. } = profile {
        me.car.park_at(last.place());
    }
    beacon::report(me).await;
    me.world.tally.count(|counts| counts.online += 1);
}

/// A driver at work.
struct Driver {
    me: Arc<Identity>,
    news: BoxStream<'static, Frame>,
    dice: StdRng,
}

/// What there is to do.
enum Duty {
    Offer(Offer),
    /// The service speaks of a trip: see which.
    Trip,
}

impl Driver {
    async fn live(&mut self) {
        loop {
            let (trip, fresh) = match self.next_duty().await {
                Duty::Offer(offer) => (self.consider(&offer).await, true),
                Duty::Trip => (self.me.current_trip().await, false),
            };
            if let Some(trip) = trip {
                self.ride(trip, fresh).await;
            }
        }
    }

    /// Waits for something to do; cruises meanwhile, where drivers do that.
    async fn next_duty(&mut self) -> Duty {
        let mut moves_at = self.next_cruise();
        loop {
            match self.news_before(moves_at).await {
                None => moves_at = self.cruise_or_rest(),
                Some(news) => {
                    if let Some(duty) = duty(news) {
                        self.stop_cruising();
                        return duty;
                    }
                }
            }
        }
    }

    /// When a driver who stands now begins to cruise.
    fn next_cruise(&mut self) -> Option<DateTime<Utc>> {
        let rest_s = self.me.world.habits.cruises_after_s.as_ref()?;
        Some(self.me.world.clock.now() + within(rest_s, &mut self.dice))
    }

    /// Ends a cruise that has arrived, or begins one; says when the next of the two is due.
    fn cruise_or_rest(&mut self) -> Option<DateTime<Utc>> {
        if self.me.car.is_driving() {
            self.stop_cruising();
            return self.next_cruise();
        }
        let streets = &self.me.world.place.streets;
        let here = self.me.car.position(self.now());
        let somewhere = *streets.junctions().get(self.dice.random_range(0..streets.junctions().len().max(1)))?;
        let share = (CRUISE_M / here.metres_to(somewhere).max(1.0)).min(1.0);
        let corner = streets.junctions()[streets.nearest(here.toward(somewhere, share))? as usize];
        Some(self.set_off(Drive::plan(streets, here, corner)))
    }

    fn stop_cruising(&mut self) {
        let driven_m = self.me.car.stop(self.now());
        self.me.world.tally.count(|counts| counts.empty_m += driven_m);
    }

    /// Starts a drive, and says when it arrives.
    fn set_off(&self, drive: Drive) -> DateTime<Utc> {
        let (world, now) = (&self.me.world, self.now());
        let slowness = world.slowness();
        let arrives_at = now + seconds(drive.duration_s() * slowness);
        if !drive.on_streets {
            world.tally.count(|counts| counts.drives_off_streets += 1);
        }
        self.me.car.set_off(drive, now, slowness);
        arrives_at
    }

    /// The next news, unless the moment comes first.
    async fn news_before(&mut self, moment: Option<DateTime<Utc>>) -> Option<DriverNews> {
        let clock = &self.me.world.clock;
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
                frame = self.news.next() => frame?,
                () = &mut moment => return None,
            };
            match serde_json::from_str(&frame.data) {
                Ok(news) => return Some(news),
                Err(_) => self.me.world.tally.http_error("unreadable"),
            }
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.me.world.clock.now()
    }
}

/// What a free driver has to do about some news.
fn duty(news: DriverNews) -> Option<Duty> {
    match (news.kind.as_str(), news.offer, news.trip) {
        ("snapshot", _, Some(_)) | ("trip.assigned" | "trip.arrived" | "trip.in_progress", _, _) => Some(Duty::Trip),
        ("snapshot" | "offer.created", Some(offer), _) => Some(Duty::Offer(offer)),
        _ => None,
    }
}
