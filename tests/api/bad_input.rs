//! Bad input on every route: always a problem document that names the fault, never a 5xx, and no effect.
#![allow(clippy::unwrap_used, reason = "tests")]

mod addresses;
mod bodies;
mod fields;
mod fuzz;
mod webhooks;

use crate::harness::{Actor, ApiResponse, App, HERE, THERE, assigned, id, in_progress, new_key, until};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// A route with a body, and a valid body.
struct Route {
    actor: Actor,
    method: Method,
    path: String,
    valid: Value,
    /// JSON pointers of the required fields.
    required: &'static [&'static str],
}

impl Route {
    fn request(&self) -> RequestBuilder {
        let request = self.actor.request(self.method.clone(), &self.path);
        request.header("Idempotency-Key", new_key()).header("Content-Type", "application/json")
    }

    async fn send(&self, body: impl Into<reqwest::Body>) -> ApiResponse {
        ApiResponse::of(self.request().body(body)).await
    }

    /// The route, for messages.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A service with a driver at the pickup, a captured payment, and a rider with a quote.
struct World {
    app: App,
    routes: Vec<Route>,
}

impl World {
    async fn new() -> Self {
        let app = App::start().await;
        let (driver, ops) = (app.driver_at(HERE).await, app.ops().await);
        let past = in_progress(&app, &app.rider().await, &driver).await;
        driver.command(id(&past), "complete").await.expect(200);
        let payment = format!("/v1/payments/{}", past["payment_id"].as_str().unwrap());
        until("the fare is captured", async || {
            (ops.get(&payment).await.expect(200)["state"] == "captured").then_some(())
        })
        .await;
        let trip = assigned(&app, &app.rider().await, &driver).await;
        driver.send_position(&app, HERE).await;
        driver.command(id(&trip), "arrive").await.expect(200);
        let routes = routes(&app, driver, ops, id(&trip), &payment).await;
        Self { app, routes }
    }

    /// Asserts that no response was a 5xx and that all invariants hold.
    async fn assert_unharmed(&self) {
        let metrics = ApiResponse::of(self.app.http.get(self.app.url("/metrics"))).await.text();
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
    let anonymous = Actor { token: String::new(), ..rider.clone() };
    let position = json!({"lat": HERE.0, "lon": HERE.1});
    let report = json!({"position": position, "recorded_at": app.now().await});
    let mut item = report.clone();
    item["driver_id"] = driver.id.clone().into();
    let money = json!({"amount": 1, "currency": "USD"});
    let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
    let token = json!({"role": "rider", "subject": rider.id});
    let route = |actor: &Actor, method: Method, path: &str, valid: Value, required| Route {
        actor: actor.clone(),
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
        route(&anonymous, Method::POST, "/v1/sandbox/tokens", token, &["/role"]),
        route(&anonymous, Method::POST, "/v1/sandbox/clock", json!({"scale": 1, "advance_s": 0}), &[]),
        route(&anonymous, Method::PUT, "/v1/sandbox/streets", streets(), &["/type", "/coordinates"]),
    ]
}

fn streets() -> Value {
    json!({"type": "MultiLineString", "coordinates": [[[0.0, 1.0], [2.0, 3.0]]]})
}

/// The pointers of all values inside of a document.
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

/// Asserts that the response is this problem and names this field.
#[track_caller]
fn assert_names(response: ApiResponse, status: u16, code: &str, pointer: &str, what: &str) {
    let body = response.json();
    assert_eq!((response.status.as_u16(), response.code().as_str()), (status, code), "{what}: {body:#}");
    let problem = response.expect_problem(status, code);
    assert_eq!(problem["errors"][0]["pointer"], pointer, "{what}: {problem:#}");
    assert!(problem["errors"][0]["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}: {problem:#}");
}
