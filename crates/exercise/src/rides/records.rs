//! The records after the round, and what they say about the client.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use launcher::clock::Stopwatch;
use serde::Deserialize;
use serde_json::Value;

use super::api::{Api, Caller};
use super::demo::About;
use crate::Result;

/// How long the rides may take to end, and the service to settle their payments.
const ENDS_WITHIN: Duration = Duration::from_secs(90);
const POLL_EVERY: Duration = Duration::from_millis(300);

/// How many bookings of each kind are named.
const NAMED_MAX: usize = 10;

/// What to do instead.
const LESSON: &str = "A lost answer says nothing about the work: the service may have done all of it. Repeat the same request, with the same \
     body and the same Idempotency-Key, until there is an answer; and make the key before the first attempt, one for each booking.";

/// What the service and the provider have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoundRecords {
    /// The rides of each rider, in the order of the bookings.
    rides: Vec<Vec<Ride>>,
    /// Invariants of the service's audit that are violated; none, if it is clean.
    violations: Vec<String>,
    /// Charges at the provider, of these and of unknown rides.
    charges: usize,
}

/// A ride in the service's records.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ride {
    id: String,
    state: String,
    /// What the provider has charged for it, in cents.
    charged: i64,
}

/// The provider's records.
#[derive(Deserialize)]
struct ProviderState {
    payment_intents: Vec<Intent>,
}

#[derive(Deserialize)]
struct Intent {
    amount_received: i64,
    metadata: BTreeMap<String, String>,
}

/// Waits until every ride is over and paid for, then reads the records.
///
/// # Errors
/// The service or the provider does not answer, or rides do not end.
pub(super) async fn read(api: &Api, demo: &About, riders: &[Caller]) -> Result<RoundRecords> {
    let waited = Stopwatch::start();
    let mut trips = Vec::new();
    for rider in riders {
        trips.push(ended_trips(api, rider, waited).await?);
    }
    let audit = loop {
        let audit = api.get("/v1/ops/audit", &demo.tokens.ops).await?;
        if audit["unsettled"] == 0 || waited.elapsed() >= ENDS_WITHIN {
            break audit;
        }
        tokio::time::sleep(POLL_EVERY).await;
    };
    let url = format!("{}/sim/state", demo.provider.url);
    let request = launcher::http_client().build()?.get(url).bearer_auth(&demo.provider.secret_key);
    let ProviderState { payment_intents } = request.send().await?.error_for_status()?.json().await?;
    let mut charged: BTreeMap<String, i64> = BTreeMap::new();
    for intent in payment_intents.iter().filter(|intent| intent.amount_received > 0) {
        let trip = intent.metadata.get("trip_id").cloned().unwrap_or_default();
        *charged.entry(trip).or_default() += intent.amount_received;
    }
    let ride = |trip: &Value| {
        let text = |name: &str| trip[name].as_str().unwrap_or_default().to_owned();
        let id = text("id");
        Ride { charged: charged.get(&id).copied().unwrap_or_default(), state: text("state"), id }
    };
    let rides = trips.iter().map(|trips| trips.iter().map(ride).collect::<Vec<_>>()).collect();
    let charges = payment_intents.iter().filter(|intent| intent.amount_received > 0).count();
    Ok(RoundRecords { rides, violations: violations(&audit), charges })
}

/// Returns a rider's trips, oldest first, when all are over.
async fn ended_trips(api: &Api, rider: &Caller, waited: Stopwatch) -> Result<Vec<Value>> {
    loop {
        let mut page = api.get("/v1/trips?limit=100", &rider.token).await?;
        let Value::Array(mut trips) = page["items"].take() else { return Err("a list of trips has no items".into()) };
        if trips.iter().all(|trip| trip["ended_at"].is_string()) {
            trips.reverse();
            return Ok(trips);
        }
        if waited.elapsed() >= ENDS_WITHIN {
            return Err(format!("rides have not ended within {} s", ENDS_WITHIN.as_secs()).into());
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

fn violations(audit: &Value) -> Vec<String> {
    if audit["clean"] == true && audit["unsettled"] == 0 {
        return Vec::new();
    }
    let counts = audit["violations"].as_object().into_iter().flatten();
    let mut violations: Vec<String> =
        counts.filter(|(_, count)| **count != 0).map(|(name, count)| format!("{name}: {count}")).collect();
    violations.push(format!("unsettled trips: {}; the provider's records: {}", audit["unsettled"], audit["provider"]));
    violations
}

impl RoundRecords {
    /// Compares the records with what the client has printed. Returns what is wrong.
    pub fn problem(&self, output: &str) -> Option<String> {
        let printed = printed(output);
        let (mut twice, mut none, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
        for (number, rides) in (1_usize..).zip(&self.rides) {
            let printed = printed.get(&number).copied();
            match &rides[..] {
                [] => none.push(format!("rider {number}")),
                [ride] if ride.state != "completed" => none.push(format!("rider {number}: the ride is {}", ride.state)),
                [ride] if printed == Some(ride.id.as_str()) => {}
                [ride] => {
                    let printed = printed.unwrap_or("nothing");
                    unknown.push(format!("rider {number} has {}, your client printed {printed}", ride.id));
                }
                _ => twice.push(twice_booked(number, rides)),
            }
        }
        let rides: usize = self.rides.iter().map(Vec::len).sum();
        let bookings = self.rides.len();
        let mut text = format!("{bookings} bookings, {rides} rides, {} charges at the payment provider.", self.charges);
        let intact = text.len();
        add(&mut text, "Booked more than once", &twice);
        add(&mut text, "Without a completed ride", &none);
        add(&mut text, "With a ride that the client does not know", &unknown);
        add(&mut text, "The audit of the service", &self.violations);
        if text.len() == intact && self.charges == bookings {
            return None;
        }
        if !twice.is_empty() || !unknown.is_empty() {
            let _infallible = write!(text, "\n\n{LESSON}");
        }
        Some(text)
    }
}

/// Returns the printed ids by booking. Other lines are ignored.
fn printed(output: &str) -> BTreeMap<usize, &str> {
    let pairs = output.lines().filter_map(|line| {
        let (number, id) = line.trim().split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, id.trim()))
    });
    pairs.collect()
}

fn twice_booked(number: usize, rides: &[Ride]) -> String {
    let each: Vec<String> = rides
        .iter()
        .map(|ride| {
            format!("{} ({}, charged {}.{:02} USD)", ride.id, ride.state, ride.charged / 100, ride.charged % 100)
        })
        .collect();
    format!("rider {number}, {} rides: {}", rides.len(), each.join(" and "))
}

/// Adds a list with its title, unless it is empty.
fn add(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _infallible = write!(text, "\n\n{title} ({}):", lines.len());
    for line in lines.iter().take(NAMED_MAX) {
        let _infallible = write!(text, "\n  {line}");
    }
    if lines.len() > NAMED_MAX {
        let _infallible = write!(text, "\n  and {} more", lines.len() - NAMED_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ride(id: &str) -> Ride {
        Ride { id: id.to_owned(), state: "completed".to_owned(), charged: 905 }
    }

    fn records(rides: Vec<Vec<Ride>>) -> RoundRecords {
        let charges = rides.iter().map(Vec::len).sum();
        RoundRecords { rides, violations: Vec::new(), charges }
    }

    #[test]
    fn each_rider_with_the_ride_that_was_printed_passes() {
        let records = records(vec![vec![ride("trip_a")], vec![ride("trip_b")]]);
        assert_eq!(records.problem("2 trip_b\nlog line\n1 trip_a\n"), None);
        assert_eq!(records.problem("2\ttrip_b \r\n1  trip_a"), None, "as other judges take white space");
        let violated = RoundRecords { violations: vec!["ledger: 1".to_owned()], ..records.clone() };
        assert!(violated.problem("2 trip_b\n1 trip_a\n").expect("a problem").contains("ledger: 1"));
        let charged = RoundRecords { charges: 3, ..records };
        assert!(charged.problem("2 trip_b\n1 trip_a\n").expect("a problem").contains("3 charges"));
    }

    #[test]
    fn second_ride_is_named_with_its_charge_and_the_lesson() {
        let records = records(vec![vec![ride("trip_a"), ride("trip_c")], vec![ride("trip_b")]]);
        let text = records.problem("1 trip_c\n2 trip_b\n").expect("a problem");
        assert!(text.contains("2 bookings, 3 rides, 3 charges"), "{text}");
        assert!(text.contains("rider 1, 2 rides: trip_a (completed, charged 9.05 USD) and trip_c"), "{text}");
        assert!(text.contains("same Idempotency-Key") && !text.contains("rider 2"), "{text}");
    }

    #[test]
    fn missing_and_unknown_rides_are_named() {
        let cancelled = Ride { state: "cancelled".to_owned(), ..ride("trip_d") };
        let records = records(vec![vec![], vec![ride("trip_b")], vec![cancelled], vec![ride("trip_e")]]);
        let text = records.problem("1 trip_a\n4 trip_x\n").expect("a problem");
        assert!(text.contains("Without a completed ride (2):\n  rider 1\n  rider 3: the ride is cancelled"), "{text}");
        assert!(text.contains("rider 2 has trip_b, your client printed nothing"), "{text}");
        assert!(text.contains("rider 4 has trip_e, your client printed trip_x"), "{text}");
    }
}
