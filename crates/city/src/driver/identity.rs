//! A driver's identity and car.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::model::Vehicle;
use crate::random::actor_id;
use crate::run_context::RunContext;
use crate::web::api::{Availability, Driver as Profile, Trip};
use crate::web::{Call, CallError, Client, Role, Session};

use super::car::Car;

/// A driver: session, vehicle and car.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(super) context: Arc<RunContext>,
    pub(super) vehicle: Vehicle,
    pub(super) session: Arc<Session>,
    pub(super) car: Car,
    /// Notified when the driver was found offline, for example after a reset, and is online again.
    pub(super) online_again: Notify,
}

impl Identity {
    /// The same seed gives the same drivers on every run, so that they continue the rides of an earlier run.
    pub fn new(context: Arc<RunContext>, vehicle: Vehicle) -> Self {
        let subject = actor_id("drv", context.seed, &vehicle.name, 0);
        let car = Car::parked_at(vehicle.starts_at);
        let session = Arc::new(Session::new(Role::Driver, Some(subject)));
        Self { context, vehicle, session, car, online_again: Notify::new() }
    }

    /// Sets the driver online, and returns their profile.
    pub(super) async fn go_online(&self) -> Result<Profile, CallError> {
        let Vehicle { driver, plate, class, .. } = &self.vehicle;
        let online = Availability { available: true, name: Some(driver), class: Some(*class), plate: Some(plate) };
        self.availability(&online).await
    }

    /// Sets the driver offline.
    ///
    /// # Errors
    /// The service rejects it (the driver has a trip) or does not respond.
    pub async fn go_offline(&self) -> Result<(), CallError> {
        let offline = Availability { available: false, name: None, class: None, plate: None };
        self.availability(&offline).await.map(|_| ())
    }

    async fn availability(&self, availability: &Availability<'_>) -> Result<Profile, CallError> {
        self.client().call(&self.session, &Call::put("/v1/drivers/me/availability", availability)).await
    }

    pub(super) async fn profile(&self) -> Result<Profile, CallError> {
        self.client().call(&self.session, &Call::get("/v1/drivers/me")).await
    }

    /// The current trip of the driver. Repeats the request until the service responds.
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
                // The service is down; each call takes about a minute.
                Err(CallError::NoResponse { .. }) => {}
                // The trip ended between the two calls.
                Err(CallError::Rejected { .. } | CallError::Unreadable(_)) => return None,
            }
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.context.client
    }

    /// The idempotency key of a command on a trip or an offer, the same for every attempt.
    pub(super) fn key(&self, command: &str, id: &str) -> String {
        format!("city-{}-{command}-{id}", self.context.seed)
    }

    /// Logs a failed call.
    pub(super) fn log_failure(&self, what: &str, error: &CallError) {
        self.context.log_failure(self.session.name(), what, error);
    }
}
