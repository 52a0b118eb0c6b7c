//! The drivers of the round: they accept every offer and end every ride at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use launcher::clock::Stopwatch;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::api::{Api, Caller};
use crate::Result;

/// Where they wait. Every pickup is less than 150 m away, so that they have arrived without driving.
pub(super) const PLACE: (f64, f64) = (40.75, -73.98);

/// A driver takes five of two hundred rides.
const DRIVERS: usize = 40;

/// How often a driver without a ride looks for one.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often a driver reports the position; 30 s is the oldest with which the service offers a ride.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Lets drivers work until the result is dropped.
///
/// # Errors
/// A driver cannot go online.
pub(super) async fn work(api: &Api, riders: &[Caller]) -> Result<JoinSet<()>> {
    let tokens: BTreeMap<_, _> = riders.iter().map(|rider| (rider.id.clone(), rider.token.clone())).collect();
    let tokens = Arc::new(tokens);
    let mut drivers = JoinSet::new();
    for number in 1..=DRIVERS {
        let token = api.caller("driver").await?.token;
        let (name, plate) = (format!("Driver {number}"), format!("RM {number}"));
        let profile = json!({"available": true, "name": name, "class": "standard", "plate": plate});
        api.call(Method::PUT, "/v1/drivers/me/availability", &token, Some(&profile)).await?;
        let driver = Driver { api: api.clone(), token, riders: Arc::clone(&tokens) };
        drivers.spawn(driver.work());
    }
    Ok(drivers)
}

struct Driver {
    api: Api,
    token: String,
    /// The riders' tokens by id: the riders say their PIN.
    riders: Arc<BTreeMap<String, String>>,
}

impl Driver {
    async fn work(self) {
        let mut reported: Option<Stopwatch> = None;
        loop {
            if reported.is_none_or(|watch| watch.elapsed() >= REPORT_EVERY) {
                reported = self.report().await.is_ok().then(Stopwatch::start);
            }
            // An offer may have expired meanwhile: the next look shows what is left to do.
            if !self.act().await.unwrap_or(false) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    async fn report(&self) -> Result<()> {
        let clock = self.api.get("/v1/sandbox/clock", "").await?;
        let (lat, lon) = PLACE;
        let report = json!({"position": {"lat": lat, "lon": lon}, "recorded_at": clock["domain"]});
        self.api.call(Method::PUT, "/v1/drivers/me/location", &self.token, Some(&report)).await.map(drop)
    }

    /// Does what is next. Returns whether there was something to do.
    async fn act(&self) -> Result<bool> {
        let me = self.api.get("/v1/drivers/me", &self.token).await?;
        if let Some(offer) = me["offer"]["id"].as_str() {
            self.post(&format!("/v1/offers/{offer}/accept"), &json!({})).await?;
            return Ok(true);
        }
        let Some(trip) = me["trip"]["id"].as_str() else { return Ok(false) };
        match me["trip"]["state"].as_str().unwrap_or_default() {
            "assigned" => self.post(&format!("/v1/trips/{trip}/arrive"), &json!({})).await?,
            "arrived" => {
                let path = format!("/v1/trips/{trip}");
                let seen = self.api.get(&path, &self.token).await?;
                let rider = seen["rider_id"].as_str().and_then(|rider| self.riders.get(rider));
                let trip = self.api.get(&path, rider.ok_or("the rider is not one of the round")?).await?;
                self.post(&format!("{path}/start"), &json!({"pin": trip["pin"]})).await?;
            }
            "in_progress" => self.post(&format!("/v1/trips/{trip}/complete"), &json!({})).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> Result<()> {
        self.api.call(Method::POST, path, &self.token, Some(body)).await.map(drop)
    }
}
