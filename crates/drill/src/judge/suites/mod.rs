//! The black-box suites that every run must pass: requests with the answers that the published contract promises.
//!
//! They run after the load, far from it, with callers of their own.

mod contract;
mod requests;
mod ride;
mod security;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{ApiResponse, Call, Caller, Context};
use crate::stack::CaseResult;

/// How long the suites may take.
const WITHIN: Duration = Duration::from_secs(60);

/// The group of their callers.
pub(crate) const GROUP: &str = "suites";

/// Where they ride: outside of the areas of loads.
const FAR: (f64, f64) = (41.2000, -73.2000);

/// Runs both suites.
pub(crate) async fn run(context: &Arc<Context>) -> Vec<CaseResult> {
    let suite = Suite { context: Arc::clone(context), cases: Mutex::default(), callers: Mutex::new(0) };
    let all = async {
        tokio::join!(contract::run(&suite), requests::run(&suite), security::run(&suite));
        ride::run(&suite).await;
    };
    if tokio::time::timeout(WITHIN, all).await.is_err() {
        suite.add("contract", &format!("The contract suite ends within {WITHIN:?}."), false, "it did not");
    }
    suite.cases.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The cases so far.
struct Suite {
    context: Arc<Context>,
    cases: Mutex<Vec<CaseResult>>,
    callers: Mutex<usize>,
}

/// What a response must be.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// This status.
    Status(u16),
    /// A problem document with this status and code.
    Problem(u16, &'a str),
}

impl Suite {
    fn add(&self, suite: &str, what: &str, held: bool, seen: &str) {
        let case = CaseResult {
            suite: suite.to_owned(),
            what: what.to_owned(),
            held,
            seen: if held { String::new() } else { seen.to_owned() },
        };
        self.cases.lock().unwrap_or_else(PoisonError::into_inner).push(case);
    }

    /// Adds a case: the response is as wanted.
    fn expect(&self, suite: &str, what: &str, response: &ApiResponse, wanted: Wanted<'_>) {
        let (held, expected) = match wanted {
            Wanted::Status(status) => (response.status == status, status.to_string()),
            Wanted::Problem(status, code) => {
                let body = &response.body;
                let is_problem = body["type"].is_string() && body["title"].is_string() && body["status"] == status;
                (response.status == status && body["code"] == code && is_problem, format!("{status} {code}"))
            }
        };
        let code = response.body["code"].as_str().unwrap_or_default();
        self.add(suite, what, held, &format!("{} {code} instead of {expected}", response.status));
    }

    /// A new caller. One without a token answers every later case with 401, so that a failure shows.
    async fn caller(&self, role: &str) -> Caller {
        let number = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            *callers += 1;
            *callers
        };
        match Caller::new(&self.context, GROUP, number, role).await {
            Ok(caller) => caller,
            Err(error) => {
                self.add("contract", "A caller gets a token.", false, &error.to_string());
                Caller::without_token(&self.context, GROUP, number)
            }
        }
    }

    /// A place of its own for the `number`th ride, 5 km from the others.
    fn place(number: u8) -> Value {
        json!({ "lat": FAR.0 + f64::from(number) * 0.045, "lon": FAR.1 })
    }

    /// A trip of a new rider, requested at a place. Returns the rider and the response.
    async fn trip(&self, number: u8, method: &str) -> (Caller, ApiResponse) {
        let mut rider = self.caller("rider").await;
        let quote = rider.send(&quote(number)).await;
        let body = json!({ "quote_id": quote.text("id"), "payment_method": method });
        let trip = rider.command("POST /v1/trips", "", body).await;
        (rider, trip)
    }

    /// Reads until something holds of the body, up to five seconds. Returns the last body.
    async fn until(&self, caller: &Caller, (operation, id): (&str, &str), holds: impl Fn(&Value) -> bool) -> Value {
        let mut body = Value::Null;
        for _ in 0..50 {
            body = caller.get(operation, id).await.body;
            if holds(&body) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        body
    }
}

/// A request for a price at a place.
fn quote(number: u8) -> Call {
    let pickup = Suite::place(number);
    let dropoff = json!({"lat": pickup["lat"].as_f64().unwrap_or_default() + 0.012, "lon": pickup["lon"]});
    Call::new("POST /v1/quotes", "").body(json!({ "pickup": pickup, "dropoff": dropoff }))
}
