//! Who drives which car.

use std::sync::Arc;

use crate::dice::identity;
use crate::source::Vehicle;
use crate::web::api::{Availability, Driver as Profile, Trip};
use crate::web::{Call, Client, Failure, Role, Session};
use crate::world::World;

use super::car::Car;

/// A driver's name towards the service, and the car; for whoever has to act in the driver's name.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(super) world: Arc<World>,
    pub(super) vehicle: Vehicle,
    pub(super) session: Arc<Session>,
    pub(super) car: Car,
}

impl Identity {
    /// Drivers are the same for the same seed on every run: a ride that an earlier run left behind is taken up again.
    pub fn new(world: Arc<World>, vehicle: Vehicle) -> Self {
        let subject = identity("drv", world.seed, &vehicle.name, 0);
        let car = Car::parked_at(vehicle.starts_at);
        Self { world, vehicle, session: Arc::new(Session::new(Role::Driver, Some(subject))), car }
    }

    /// Tells the service that this driver takes rides, and hears what it knows of this driver.
    pub(super) async fn go_online(&self) -> Result<Profile, Failure> {
        let Vehicle { driver, plate, class, .. } = &self.vehicle;
        let online = Availability { available: true, name: Some(driver), class: Some(*class), plate: Some(plate) };
        self.availability(&online).await
    }

    /// Tells the service that this driver takes no more rides.
    ///
    /// # Errors
    /// When the service refuses (the driver is on a trip) or doesn't answer.
    pub async fn go_offline(&self) -> Result<(), Failure> {
        let offline = Availability { available: false, name: None, class: None, plate: None };
        self.availability(&offline).await.map(|_| ())
    }

    async fn availability(&self, availability: &Availability<'_>) -> Result<Profile, Failure> {
        self.client().call(&self.session, &Call::put("/v1/drivers/me/availability", availability)).await
    }

    pub(super) async fn profile(&self) -> Result<Profile, Failure> {
        self.client().call(&self.session, &Call::get("/v1/drivers/me")).await
    }

    /// Asks the service which trip this driver is on, until it says.
    pub(super) async fn current_trip(&self) -> Option<Trip> {
        loop {
            let found = match self.profile().await {
                Ok(Profile { trip: None, .. }) => return None,
                Ok(Profile { trip: Some(trip), .. }) => {
                    self.client().call::<Trip>(&self.session, &Call::get(format!("/v1/trips/{}", trip.id))).await
                }
                Err(failure) => Err(failure),
            };
            match found {
                Ok(trip) => return Some(trip),
                // The service is away; each of these took about a minute.
                Err(Failure::NoAnswer { .. }) => {}
                // Over between the two questions.
                Err(Failure::Refused { .. } | Failure::Unreadable(_)) => return None,
            }
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.world.client
    }

    /// A key for what this driver does to a trip or an offer: the same for every attempt, and for nothing else.
    pub(super) fn key(&self, command: &str, id: &str) -> String {
        format!("city-{}-{command}-{id}", self.world.seed)
    }

    /// Notes a failure that this driver could not mend.
    pub(super) fn note(&self, what: &str, failure: &Failure) {
        self.world.note(self.session.name(), what, failure);
    }
}
