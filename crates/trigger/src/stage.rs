//! Who plays, and the things that they do.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::Error;
use crate::service::{Actor, Ask, Service};

/// A rider and a driver of their own, and what is known of their trip.
#[derive(Debug)]
pub(crate) struct Stage {
    service: Service,
    /// See [`crate::values`].
    values: Value,
    rider: Option<Actor>,
    driver: Option<Actor>,
    ops: Option<Actor>,
    /// By kind, in the order in which they came up.
    ids: Map<String, Value>,
    pin: String,
    has_spoilt_the_provider: bool,
}

impl Stage {
    pub fn new(service: Service, values: Value) -> Self {
        let (ids, pin) = (Map::new(), String::new());
        Self { service, values, rider: None, driver: None, ops: None, ids, pin, has_spoilt_the_provider: false }
    }

    /// Tells what has happened to whom.
    pub fn told_ids(&self, event: &str) {
        self.service.told.end(event, &self.ids);
    }

    /// The id of a kind that has come up.
    fn id(&self, kind: &str) -> String {
        self.ids.get(kind).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn keep(&mut self, kind: &str, id: &Value) {
        self.ids.insert(kind.to_owned(), id.clone());
    }

    /// A rider, and what they ask for.
    pub async fn request(&mut self) -> Result<(), Error> {
        let rider = self.service.actor("rider").await?;
        self.keep("rider", &json!(rider.id));
        let values = &self.values;
        let body = json!({"pickup": values["pickup"], "dropoff": values["dropoff"], "class": values["class"]});
        let quote =
            post(&mut self.service, "the rider asks for a price", "/v1/quotes", Some(body), Some(&rider)).await?;
        let body = json!({"quote_id": quote["id"], "payment_method": self.values["payment_method"]});
        let trip = post(&mut self.service, "the rider orders the trip", "/v1/trips", Some(body), Some(&rider)).await?;
        self.keep("trip", &trip["id"]);
        self.keep("payment", &trip["payment_id"]);
        self.pin = trip["pin"].as_str().unwrap_or_default().to_owned();
        self.rider = Some(rider);
        Ok(())
    }

    /// A driver who stands at the pickup.
    pub async fn driver(&mut self) -> Result<(), Error> {
        let driver = self.service.actor("driver").await?;
        self.keep("driver", &json!(driver.id));
        let vehicle = json!({"available": true, "name": self.values["driver"]["name"], "class": self.values["class"],
                             "plate": self.values["driver"]["plate"]});
        self.driver = Some(driver.clone());
        put(&mut self.service, "the driver goes online", "/v1/drivers/me/availability", vehicle, &driver).await?;
        self.stand_at("pickup").await
    }

    /// The driver says where they are, until the matcher has heard it.
    pub async fn stand_at(&mut self, place: &str) -> Result<(), Error> {
        let (driver, position) = (self.someone("driver")?, self.values[place].clone());
        let what = format!("the driver is at the {place}");
        let clock = get("the clock", "/v1/sandbox/clock", None);
        let domain = self.service.call(&clock).await?["domain"].clone();
        let body = json!({"position": position, "recorded_at": domain});
        let path = "/v1/drivers/me/location";
        let ask = Ask { what: &what, method: Method::PUT, path, body: Some(body), by: Some(&driver) };
        let is_heard =
            |answer: &Value| matches!(answer["verdict"].as_str(), Some("accepted" | "duplicate")).then_some(());
        self.service.wait_for(&ask, is_heard).await
    }

    /// Waits until the trip is in a state.
    pub async fn until(&mut self, state: &str) -> Result<(), Error> {
        let (rider, path) = (self.someone("rider")?, format!("/v1/trips/{}", self.id("trip")));
        let what = format!("the trip is {}", state.replace('_', " "));
        self.service.wait_for(&get(&what, &path, Some(&rider)), |trip| (trip["state"] == state).then_some(())).await
    }

    /// Waits for the offer of the trip. Those of other trips are declined.
    pub async fn until_offered(&mut self) -> Result<(), Error> {
        let (driver, trip) = (self.someone("driver")?, self.id("trip"));
        loop {
            let ask = get("the driver is asked", "/v1/drivers/me", Some(&driver));
            let found = |me: &Value| Some(me["offer"].clone()).filter(Value::is_object);
            let offer = self.service.wait_for(&ask, found).await?;
            let id = offer["id"].as_str().unwrap_or_default();
            if offer["trip_id"] == trip.as_str() {
                self.keep("offer", &offer["id"]);
                return Ok(());
            }
            let path = format!("/v1/offers/{id}/decline");
            post(&mut self.service, "another rider's trip: no", &path, None, Some(&driver)).await?;
        }
    }

    /// The driver accepts or declines.
    pub async fn answer(&mut self, answer: &str) -> Result<(), Error> {
        let (driver, path) = (self.someone("driver")?, format!("/v1/offers/{}/{answer}", self.id("offer")));
        post(&mut self.service, &format!("the driver {answer}s"), &path, None, Some(&driver)).await.map(|_| ())
    }

    /// Somebody does something to the trip.
    pub async fn act(&mut self, who: &str, command: &str) -> Result<(), Error> {
        let (actor, path) = (self.someone(who)?, format!("/v1/trips/{}/{command}", self.id("trip")));
        let body = (command == "start").then(|| json!({"pin": self.pin}));
        let what = format!("the {who}: {}", command.replace('_', " "));
        post(&mut self.service, &what, &path, body, Some(&actor)).await.map(|_| ())
    }

    /// A ride until the driver has it.
    pub async fn until_assigned(&mut self) -> Result<(), Error> {
        self.driver().await?;
        self.request().await?;
        self.until_offered().await?;
        self.answer("accept").await
    }

    /// A ride until the rider is in the car.
    pub async fn until_in_progress(&mut self) -> Result<(), Error> {
        self.until_assigned().await?;
        self.stand_at("pickup").await?;
        self.act("driver", "arrive").await?;
        self.act("driver", "start").await
    }

    /// The end of a ride.
    pub async fn complete(&mut self) -> Result<(), Error> {
        self.stand_at("dropoff").await?;
        self.act("driver", "complete").await
    }

    /// An operator ends the ride.
    pub async fn abort(&mut self) -> Result<(), Error> {
        let (ops, path) = (self.operator().await?, format!("/v1/trips/{}/abort", self.id("trip")));
        let charge = self.values["charge"]["amount"].clone();
        let body = (charge != 0).then(|| json!({"charge": {"amount": charge, "currency": "USD"}}));
        post(&mut self.service, "an operator ends the ride", &path, body, Some(&ops)).await.map(|_| ())
    }

    /// The rider gives a tip.
    pub async fn tip(&mut self) -> Result<(), Error> {
        let (rider, path) = (self.someone("rider")?, format!("/v1/trips/{}/tip", self.id("trip")));
        let body = json!({"amount": {"amount": self.values["tip"]["amount"], "currency": "USD"}});
        let payment = post(&mut self.service, "the rider gives a tip", &path, Some(body), Some(&rider)).await?;
        self.keep("tip", &payment["id"]);
        Ok(())
    }

    /// An operator gives a part of the payment back.
    pub async fn refund(&mut self) -> Result<(), Error> {
        let (ops, path) = (self.operator().await?, format!("/v1/payments/{}/refunds", self.id("payment")));
        let body = json!({"amount": {"amount": self.values["refund"]["amount"], "currency": "USD"}});
        let refund = post(&mut self.service, "an operator gives a part back", &path, Some(body), Some(&ops)).await?;
        self.keep("refund", &refund["id"]);
        let path = format!("/v1/payments/{}", self.id("payment"));
        let is_back = |payment: &Value| (payment["refunds"][0]["state"] == "succeeded").then_some(());
        self.service.wait_for(&get("the money is back", &path, Some(&ops)), is_back).await
    }

    /// Waits until a payment (`payment` or `tip`) is in a state.
    pub async fn until_payment(&mut self, which: &str, state: &str) -> Result<(), Error> {
        let (rider, path) = (self.someone("rider")?, format!("/v1/payments/{}", self.id(which)));
        let what = format!("the {which} is {}", state.replace('_', " "));
        self.service
            .wait_for(&get(&what, &path, Some(&rider)), |payment| (payment["state"] == state).then_some(()))
            .await
    }

    /// Waits until nothing of the trip is owed any more, by whatever payment.
    pub async fn until_paid(&mut self) -> Result<(), Error> {
        let (rider, path) = (self.someone("rider")?, format!("/v1/trips/{}/receipt", self.id("trip")));
        let ask = get("the receipt is paid", &path, Some(&rider));
        let receipt =
            self.service.wait_for(&ask, |receipt| (receipt["due"]["amount"] == 0).then(|| receipt.clone())).await?;
        if let Some(last) = receipt["payments"].as_array().and_then(|payments| payments.last()) {
            self.keep("paid_by", &last["id"]);
        }
        Ok(())
    }

    /// The domain clock goes past the next moment that the trip or the offer waits for.
    pub async fn past(&mut self, which: &str) -> Result<(), Error> {
        let body = json!({"past": self.id(which)});
        let what = format!("the clock: past what the {which} waits for");
        post(&mut self.service, &what, "/v1/sandbox/clock", Some(body), None).await.map(|_| ())
    }

    /// The provider has a bad day with this payment, so often.
    pub async fn spoil(&mut self, on: &str, kind: &str, times: u32) -> Result<(), Error> {
        self.has_spoilt_the_provider = true;
        let fault = json!({"on": on, "kind": kind, "times": times, "payment_id": self.id("payment")});
        let what = format!("the provider's next {on}: {}", kind.replace('_', " "));
        let body = Some(json!({"faults": [fault]}));
        post(&mut self.service, &what, "/v1/sandbox/provider/faults", body, None).await.map(|_| ())
    }

    /// Waits until the bad day has been.
    pub async fn until_struck(&mut self) -> Result<(), Error> {
        let ask = get("it has happened", "/v1/sandbox/provider/faults", None);
        let has_struck = |plan: &Value| plan["faults"][0]["struck"].as_u64().filter(|struck| *struck > 0).map(|_| ());
        self.service.wait_for(&ask, has_struck).await
    }

    /// The reservation ends at the provider, as it would by itself after seven days.
    pub async fn expire_reservation(&mut self) -> Result<(), Error> {
        let path = format!("/v1/sandbox/provider/payment_intents/{}/expire", self.id("payment"));
        post(&mut self.service, "the reservation expires", &path, None, None).await.map(|_| ())
    }

    /// Leaves nothing behind that others would stumble over. What fails of it is nobody's business any more.
    pub async fn clear(&self) {
        if self.has_spoilt_the_provider {
            let path = "/v1/sandbox/provider/faults";
            self.service.try_quietly(&Ask { what: "", method: Method::DELETE, path, body: None, by: None }).await;
        }
        let path = "/v1/drivers/me/availability";
        let ask = |by| Ask { what: "", method: Method::PUT, path, body: Some(json!({"available": false})), by };
        if let Some(driver) = &self.driver {
            self.service.try_quietly(&ask(Some(driver))).await;
        }
    }

    async fn operator(&mut self) -> Result<Actor, Error> {
        if self.ops.is_none() {
            self.ops = Some(self.service.actor("ops").await?);
        }
        self.someone("ops")
    }

    fn someone(&self, who: &str) -> Result<Actor, Error> {
        let actor = match who {
            "rider" => &self.rider,
            "driver" => &self.driver,
            _ => &self.ops,
        };
        actor.clone().ok_or_else(|| Error::Asked(format!("the recipe has no {who} yet")))
    }
}

fn get<'a>(what: &'a str, path: &'a str, by: Option<&'a Actor>) -> Ask<'a> {
    Ask { what, method: Method::GET, path, body: None, by }
}

async fn put(service: &mut Service, what: &str, path: &str, body: Value, by: &Actor) -> Result<Value, Error> {
    service.call(&Ask { what, method: Method::PUT, path, body: Some(body), by: Some(by) }).await
}

async fn post(
    service: &mut Service,
    what: &str,
    path: &str,
    body: Option<Value>,
    by: Option<&Actor>,
) -> Result<Value, Error> {
    service.call(&Ask { what, method: Method::POST, path, body, by }).await
}
