//! Bad input, on every route: always a problem document that names what is at fault, never a 500, and nothing has happened.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "hostile/addresses.rs"]
mod addresses;
#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/fields.rs"]
mod fields;
mod harness;
#[path = "hostile/mutants.rs"]
mod mutants;
#[path = "hostile/webhooks.rs"]
mod webhooks;

use harness::{Actor, Answer, App, HERE, THERE, assigned, id, in_progress, new_key, until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A route with a body, and a body that is right in form.
struct Route {
    who: Actor,
    method: Method,
    path: String,
    valid: Value,
    /// JSON pointers of the fields that must be there.
    required: &'static [&'static str],
}

impl Route {
    fn request(&self) -> RequestBuilder {
        let request = self.who.request(self.method.clone(), &self.path);
        // A key does no harm where none is needed.
        request.header("Idempotency-Key", new_key()).header("Content-Type", "application/json")
    }

    async fn send(&self, body: impl Into<reqwest::Body>) -> Answer {
        Answer::of(self.request().body(body)).await
    }

    /// A name for messages.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A service in the middle of a day: a driver who waits at the pickup, a fare that was captured, somebody who has a quote.
struct World {
    app: App,
    routes: Vec<Route>,
}

impl World {
    async fn new() -> Self {
        let app = App::start().await;
        let (driver, ops) = (app.driver_at(HERE).await, app.ops().await);
        let past = in_progress(&app, &app.rider().await, &driver).await;
        driver.act(id(&past), "complete").await.expect(200);
        let payment = format!("/v1/payments/{}", past["payment_id"].as_str().unwrap());
        until("the fare is captured", async || {
            (ops.get(&payment).await.expect(200)["state"] == "captured").then_some(())
        })
        .await;
        let trip = assigned(&app, &app.rider().await, &driver).await;
        driver.send_position(&app, HERE).await;
        driver.act(id(&trip), "arrive").await.expect(200);
        let routes = routes(&app, driver, ops, id(&trip), &payment).await;
        Self { app, routes }
    }

    /// Fails if anything has gone wrong behind the answers, or a 500 was answered.
    async fn assert_unharmed(&self) {
        let metrics = Answer::of(self.app.http.get(self.app.url("/metrics"))).await.text();
        let failures: Vec<_> = metrics
            .lines()
            .filter(|line| line.starts_with("http_requests_total") && line.contains("status=\"5"))
            .collect();
        assert!(failures.is_empty(), "{failures:#?}");
        self.app.assert_clean().await;
    }
}

async fn routes(app: &App, driver: Actor, ops: Actor, trip: &str, payment: &str) -> Vec<Route> {
    let (rider, gateway) = (app.rider().await, app.actor("gateway").await);
    let quote = rider.quote(HERE, THERE).await;
    let nobody = Actor { token: String::new(), ..rider.clone() };
    let position = json!({"lat": HERE.0, "lon": HERE.1});
    let report = json!({"position": position, "recorded_at": app.now().await});
    let mut item = report.clone();
    item["driver_id"] = driver.id.clone().into();
    let money = json!({"amount": 1, "currency": "USD"});
    let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
    let route = |who: &Actor, method: Method, path: &str, valid: Value, required| Route {
        who: who.clone(),
        method,
        path: path.to_owned(),
        valid,
        required,
    };
    vec![
        route(
            &rider,
            Method::POST,
            "/v1/quotes",
            json!({"pickup": position, "dropoff": position, "class": "standard"}),
            &["/pickup", "/dropoff", "/pickup/lat", "/pickup/lon", "/dropoff/lat", "/dropoff/lon"],
        ),
        route(
            &rider,
            Method::POST,
            "/v1/trips",
            json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"}),
            &["/quote_id", "/payment_method"],
        ),
        route(&driver, Method::POST, &format!("/v1/trips/{trip}/start"), json!({"pin": "0000"}), &["/pin"]),
        route(
            &ops,
            Method::POST,
            &format!("/v1/trips/{trip}/abort"),
            json!({"charge": money}),
            &["/charge/amount", "/charge/currency"],
        ),
        route(
            &ops,
            Method::POST,
            &format!("{payment}/refunds"),
            json!({"amount": money}),
            &["/amount/amount", "/amount/currency"],
        ),
        route(&driver, Method::PUT, "/v1/drivers/me/availability", vehicle, &["/available"]),
        route(
            &driver,
            Method::PUT,
            "/v1/drivers/me/location",
            report,
            &["/position", "/recorded_at", "/position/lat", "/position/lon"],
        ),
        route(
            &gateway,
            Method::POST,
            "/v1/locations",
            json!([item]),
            &["/0/driver_id", "/0/position", "/0/recorded_at", "/0/position/lat", "/0/position/lon"],
        ),
        route(&nobody, Method::POST, "/v1/sandbox/tokens", json!({"role": "rider", "subject": rider.id}), &["/role"]),
        route(&nobody, Method::POST, "/v1/sandbox/clock", json!({"scale": 1, "advance_s": 0}), &[]),
        route(&nobody, Method::PUT, "/v1/sandbox/streets", streets(), &["/type", "/coordinates"]),
    ]
}

fn streets() -> Value {
    json!({"type": "MultiLineString", "coordinates": [[[0.0, 1.0], [2.0, 3.0]]]})
}

/// The pointers of all values in a document but itself.
fn pointers(value: &Value) -> Vec<String> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(nth, item)| (nth.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, member): (String, &Value)| {
        let inner = pointers(member).into_iter().map(|pointer| format!("/{name}{pointer}")).collect::<Vec<_>>();
        std::iter::once(format!("/{name}")).chain(inner)
    };
    members.into_iter().flat_map(below).collect()
}

/// The document with the value at a pointer replaced.
fn replaced(value: &Value, pointer: &str, new: Value) -> Value {
    let mut value = value.clone();
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing is at {pointer}")) = new;
    value
}

/// The document without the value at a pointer.
fn without(value: &Value, pointer: &str) -> Value {
    let mut value = value.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    value.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    value
}

/// Fails unless the answer is this problem and names this field.
#[track_caller]
fn assert_names(answer: Answer, status: u16, code: &str, pointer: &str, what: &str) {
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{what}: {body:#}");
    let problem = answer.expect_problem(status, code);
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{what}: {problem:#}");
    assert!(problem["errors"][0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}: {problem:#}");
}
