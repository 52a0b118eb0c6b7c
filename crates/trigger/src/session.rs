//! The actors of a recipe, their trip, and the steps of recipes.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::service::{Actor, Call, Service};

/// A rider, a driver, an operator, and the trip.
#[derive(Debug)]
pub(crate) struct Session {
    service: Service,
    /// See [`crate::values`].
    values: Value,
    rider: Option<Actor>,
    driver: Option<Actor>,
    ops: Option<Actor>,
    /// Ids by kind, in order of creation.
    ids: Map<String, Value>,
    pin: String,
    has_injected_faults: bool,
}

impl Session {
    pub fn new(service: Service, values: Value) -> Self {
        let (ids, pin) = (Map::new(), String::new());
        Self { service, values, rider: None, driver: None, ops: None, ids, pin, has_injected_faults: false }
    }

    /// Reports the end of the recipe.
    pub fn report_ids(&mut self, event: &str) {
        self.service.reporter.end(event, &self.ids);
    }

    fn id(&self, kind: &str) -> String {
        self.ids.get(kind).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn keep(&mut self, kind: &str, id: &Value) {
        self.ids.insert(kind.to_owned(), id.clone());
    }

    /// Creates a rider that requests a trip.
    pub async fn request(&mut self) -> Result<(), Error> {
        let rider = self.service.actor("rider").await?;
        self.keep("rider", &json!(rider.id));
        let values = &self.values;
        let body = json!({"pickup": values["pickup"], "dropoff": values["dropoff"], "class": values["class"]});
        let quote = post(&mut self.service, "the rider gets a quote", "/v1/quotes", Some(body), Some(&rider)).await?;
        let body = json!({"quote_id": quote["id"], "payment_method": self.values["payment_method"]});
        let trip =
            post(&mut self.service, "the rider requests the trip", "/v1/trips", Some(body), Some(&rider)).await?;
        self.keep("trip", &trip["id"]);
        self.keep("payment", &trip["payment_id"]);
        self.pin = trip["pin"].as_str().unwrap_or_default().to_owned();
        self.rider = Some(rider);
        Ok(())
    }

    /// Creates a driver that is online at the pickup.
    pub async fn driver(&mut self) -> Result<(), Error> {
        let driver = self.service.actor("driver").await?;
        self.keep("driver", &json!(driver.id));
        let vehicle = json!({"available": true, "name": self.values["driver"]["name"], "class": self.values["class"],
                             "plate": self.values["driver"]["plate"]});
        self.driver = Some(driver.clone());
        put(&mut self.service, "the driver goes online", "/v1/drivers/me/availability", vehicle, &driver).await?;
        self.move_to("pickup").await
    }

    /// Sends the driver's position until the matcher accepts it.
    pub async fn move_to(&mut self, place: &str) -> Result<(), Error> {
        let (driver, position) = (self.acting("driver")?, self.values[place].clone());
        let what = format!("the driver is at the {place}");
        let clock = get("the clock", "/v1/sandbox/clock", None);
        let domain = self.service.call(&clock).await?["domain"].clone();
        let body = json!({"position": position, "recorded_at": domain});
        let path = "/v1/drivers/me/location";
        let call = Call { what: &what, method: Method::PUT, path, body: Some(body), by: Some(&driver) };
        let is_known =
            |report: &Value| matches!(report["verdict"].as_str(), Some("accepted" | "duplicate")).then_some(());
        self.service.poll(&call, is_known).await
    }

    /// Waits until the trip is in a state.
    pub async fn until(&mut self, state: &str) -> Result<(), Error> {
        let (rider, path) = (self.acting("rider")?, format!("/v1/trips/{}", self.id("trip")));
        let what = format!("the trip is {}", state.replace('_', " "));
        self.service.poll(&get(&what, &path, Some(&rider)), |trip| (trip["state"] == state).then_some(())).await
    }

    /// Waits for the offer of the trip. Declines offers of other trips.
    pub async fn until_offered(&mut self) -> Result<(), Error> {
        let (driver, trip) = (self.acting("driver")?, self.id("trip"));
        loop {
            let call = get("the driver has an offer", "/v1/drivers/me", Some(&driver));
            let found = |me: &Value| Some(me["offer"].clone()).filter(Value::is_object);
            let offer = self.service.poll(&call, found).await?;
            let id = offer["id"].as_str().unwrap_or_default();
            if offer["trip_id"] == trip.as_str() {
                self.keep("offer", &offer["id"]);
                return Ok(());
            }
            let path = format!("/v1/offers/{id}/decline");
            post(&mut self.service, "decline another rider's trip", &path, None, Some(&driver)).await?;
        }
    }

    /// The driver accepts or declines.
    pub async fn answer(&mut self, answer: &str) -> Result<(), Error> {
        let (driver, path) = (self.acting("driver")?, format!("/v1/offers/{}/{answer}", self.id("offer")));
        post(&mut self.service, &format!("the driver {answer}s"), &path, None, Some(&driver)).await.map(|_| ())
    }

    /// Runs a command on the trip.
    pub async fn command(&mut self, role: &str, command: &str) -> Result<(), Error> {
        let (actor, path) = (self.acting(role)?, format!("/v1/trips/{}/{command}", self.id("trip")));
        let body = (command == "start").then(|| json!({"pin": self.pin}));
        let what = format!("the {role}: {}", command.replace('_', " "));
        post(&mut self.service, &what, &path, body, Some(&actor)).await.map(|_| ())
    }

    /// Runs a ride until the trip is assigned.
    pub async fn until_assigned(&mut self) -> Result<(), Error> {
        self.driver().await?;
        self.request().await?;
        self.until_offered().await?;
        self.answer("accept").await
    }

    /// Runs a ride until the trip is in progress.
    pub async fn until_in_progress(&mut self) -> Result<(), Error> {
        self.until_assigned().await?;
        self.move_to("pickup").await?;
        self.command("driver", "arrive").await?;
        self.command("driver", "start").await
    }

    /// Completes the trip at its dropoff.
    pub async fn complete(&mut self) -> Result<(), Error> {
        self.move_to("dropoff").await?;
        self.command("driver", "complete").await
    }

    /// Aborts the trip, by an operator.
    pub async fn abort(&mut self) -> Result<(), Error> {
        let (ops, path) = (self.operator().await?, format!("/v1/trips/{}/abort", self.id("trip")));
        let charge = self.values["charge"]["amount"].clone();
        let body = (charge != 0).then(|| json!({"charge": {"amount": charge, "currency": "USD"}}));
        post(&mut self.service, "an operator aborts the trip", &path, body, Some(&ops)).await.map(|_| ())
    }

    /// Tips, by the rider.
    pub async fn tip(&mut self) -> Result<(), Error> {
        let (rider, path) = (self.acting("rider")?, format!("/v1/trips/{}/tip", self.id("trip")));
        let body = json!({"amount": {"amount": self.values["tip"]["amount"], "currency": "USD"}});
        let payment = post(&mut self.service, "the rider tips", &path, Some(body), Some(&rider)).await?;
        self.keep("tip", &payment["id"]);
        Ok(())
    }

    /// Refunds a part of the payment, by an operator.
    pub async fn refund(&mut self) -> Result<(), Error> {
        let (ops, path) = (self.operator().await?, format!("/v1/payments/{}/refunds", self.id("payment")));
        let body = json!({"amount": {"amount": self.values["refund"]["amount"], "currency": "USD"}});
        let refund = post(&mut self.service, "an operator refunds a part", &path, Some(body), Some(&ops)).await?;
        self.keep("refund", &refund["id"]);
        let path = format!("/v1/payments/{}", self.id("payment"));
        let is_refunded = |payment: &Value| (payment["refunds"][0]["state"] == "succeeded").then_some(());
        self.service.poll(&get("the refund has succeeded", &path, Some(&ops)), is_refunded).await
    }

    /// Waits until a payment (`payment` or `tip`) is in a state.
    pub async fn until_payment(&mut self, which: &str, state: &str) -> Result<(), Error> {
        let (rider, path) = (self.acting("rider")?, format!("/v1/payments/{}", self.id(which)));
        let what = format!("the {which} is {}", state.replace('_', " "));
        self.service.poll(&get(&what, &path, Some(&rider)), |payment| (payment["state"] == state).then_some(())).await
    }

    /// Waits until nothing is due for the trip, by any payment.
    pub async fn until_paid(&mut self) -> Result<(), Error> {
        let (rider, path) = (self.acting("rider")?, format!("/v1/trips/{}/receipt", self.id("trip")));
        let call = get("the trip is paid", &path, Some(&rider));
        let receipt =
            self.service.poll(&call, |receipt| (receipt["due"]["amount"] == 0).then(|| receipt.clone())).await?;
        if let Some(last) = receipt["payments"].as_array().and_then(|payments| payments.last()) {
            self.keep("paid_by", &last["id"]);
        }
        Ok(())
    }

    /// Advances the domain clock past the next deadline of the trip or the offer.
    pub async fn advance_past(&mut self, which: &str) -> Result<(), Error> {
        let body = json!({"past": self.id(which)});
        let what = format!("the clock: past the deadline of the {which}");
        post(&mut self.service, &what, "/v1/sandbox/clock", Some(body), None).await.map(|_| ())
    }

    /// Plans a fault of the provider for this payment, `times` times.
    pub async fn inject_fault(&mut self, on: &str, kind: &str, times: u32) -> Result<(), Error> {
        self.has_injected_faults = true;
        let fault = json!({"on": on, "kind": kind, "times": times, "payment_id": self.id("payment")});
        let what = format!("the provider's next {on}: {}", kind.replace('_', " "));
        let body = Some(json!({"faults": [fault]}));
        post(&mut self.service, &what, "/v1/sandbox/provider/faults", body, None).await.map(|_| ())
    }

    /// Waits until the planned fault has struck.
    pub async fn until_fault_struck(&mut self) -> Result<(), Error> {
        let call = get("the fault has struck", "/v1/sandbox/provider/faults", None);
        let has_struck = |plan: &Value| plan["faults"][0]["injected"].as_u64().filter(|struck| *struck > 0).map(|_| ());
        self.service.poll(&call, has_struck).await
    }

    /// Expires the authorization at the provider, as it would by itself after seven days.
    pub async fn expire_authorization(&mut self) -> Result<(), Error> {
        let path = format!("/v1/sandbox/provider/payment_intents/{}/expire", self.id("payment"));
        post(&mut self.service, "the authorization expires", &path, None, None).await.map(|_| ())
    }

    /// Removes planned faults and takes the driver offline. Failures are ignored.
    pub async fn clean_up(&self) {
        if self.has_injected_faults {
            let path = "/v1/sandbox/provider/faults";
            self.service.call_silently(&Call { what: "", method: Method::DELETE, path, body: None, by: None }).await;
        }
        let path = "/v1/drivers/me/availability";
        let call = |by| Call { what: "", method: Method::PUT, path, body: Some(json!({"available": false})), by };
        if let Some(driver) = &self.driver {
            self.service.call_silently(&call(Some(driver))).await;
        }
    }

    async fn operator(&mut self) -> Result<Actor, Error> {
        if self.ops.is_none() {
            self.ops = Some(self.service.actor("ops").await?);
        }
        self.acting("ops")
    }

    fn acting(&self, role: &str) -> Result<Actor, Error> {
        let actor = match role {
            "rider" => &self.rider,
            "driver" => &self.driver,
            _ => &self.ops,
        };
        actor.clone().ok_or_else(|| Error::Usage(format!("the recipe has no {role} yet")))
    }
}

fn get<'a>(what: &'a str, path: &'a str, by: Option<&'a Actor>) -> Call<'a> {
    Call { what, method: Method::GET, path, body: None, by }
}

async fn put(service: &mut Service, what: &str, path: &str, body: Value, by: &Actor) -> Result<Value, Error> {
    service.call(&Call { what, method: Method::PUT, path, body: Some(body), by: Some(by) }).await
}

async fn post(
    service: &mut Service,
    what: &str,
    path: &str,
    body: Option<Value>,
    by: Option<&Actor>,
) -> Result<Value, Error> {
    service.call(&Call { what, method: Method::POST, path, body, by }).await
}
