#![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests; shares of whole numbers")]

use super::*;
use crate::load::recording::DeliveryRecord;

fn trip(id: &str, end: &str, state: &str) -> TripRecord {
    TripRecord {
        id: id.to_owned(),
        group: "station".to_owned(),
        rider: "station-1".to_owned(),
        at_s: 1.0,
        assigned_at_s: None,
        wait_s: None,
        ended_at_s: None,
        end: end.to_owned(),
        state: state.to_owned(),
        payment: String::new(),
        fare: 0,
    }
}

fn request(status: u16, ms: f64) -> RequestRecord {
    RequestRecord {
        at_s: 2.0,
        ms,
        operation: "POST /v1/quotes".to_owned(),
        group: "prices".to_owned(),
        caller: "prices-0".to_owned(),
        status,
        code: String::new(),
        trace_id: String::new(),
        key: String::new(),
        replayed: false,
        digest: 0,
    }
}

fn delivery(object: &str, status: u16) -> DeliveryRecord {
    DeliveryRecord {
        at_s: 1.0,
        endpoint: 0,
        event_id: String::new(),
        event: "trip.completed".to_owned(),
        object: object.to_owned(),
        state: String::new(),
        status,
        signed: true,
    }
}

fn check(text: &str) -> CheckSpec {
    toml::from_str(&format!("what = \"x\"\n{text}")).unwrap()
}

fn result(recording: Recording) -> RunResult {
    RunResult { recording, ..RunResult::default() }
}

#[test]
fn outcome_is_what_the_rider_saw_or_the_state() {
    let trips = vec![
        trip("a", "completed", "completed"),
        trip("b", "gave_up", "cancelled"),
        trip("c", "assigned", "completed"),
        trip("d", "searching", "searching"),
    ];
    let result = result(Recording { trips, ..Recording::default() });
    let share =
        |end: &str| measure(&check(&format!("kind = \"outcome\"\nends = [\"{end}\"]\nlimit.at_least = 1")), &result);
    assert_eq!(share("completed").value, Some(0.5));
    assert_eq!(share("gave_up").value, Some(0.25));
    assert_eq!(share("open").value, Some(0.25));
    assert_eq!(share("completed").count, 4);
}

#[test]
fn statuses_and_latencies_leave_out_requests_that_were_hung_up() {
    let mut hung_up = request(0, 4.0);
    hung_up.code = HUNG_UP.to_owned();
    let requests = vec![request(201, 10.0), request(503, 900.0), request(201, 20.0), request(201, 30.0), hung_up];
    let result = result(Recording { requests, seconds: 4.0, ..Recording::default() });
    let status = "kind = \"status\"\noperation = \"POST /v1/quotes\"\nstatuses = [503, 0]\nlimit.at_most = 0";
    assert_eq!(measure(&check(status), &result).value, Some(0.25));
    let latency = |percentile: u32| {
        let text = format!("kind = \"latency\"\noperation = \"*\"\npercentile = {percentile}\nlimit.at_most = 1");
        measure(&check(&text), &result).value
    };
    assert_eq!((latency(50), latency(99)), (Some(20.0), Some(900.0)));
    let throughput = "kind = \"throughput\"\noperation = \"*\"\nlimit.at_least = 1";
    assert_eq!(measure(&check(throughput), &result).value, Some(0.75));
}

#[test]
fn delivered_needs_a_success_for_each_trip_and_none_for_others() {
    let delivered = check("kind = \"delivered\"\nevent = \"trip.completed\"\nstate = \"completed\"");
    let trips =
        vec![trip("a", "completed", "completed"), trip("b", "completed", "completed"), trip("c", "x", "cancelled")];
    let mut recording = Recording { trips, ..Recording::default() };
    recording.deliveries = vec![delivery("a", 200), delivery("b", 502)];
    assert!(!all_delivered(std::slice::from_ref(&delivered), &recording));
    let missing = measure(&delivered, &result(recording.clone()));
    assert!(missing.value == Some(0.5) && missing.detail.contains("1 not delivered: b"), "{missing:?}");
    recording.deliveries.push(delivery("b", 200));
    assert!(all_delivered(std::slice::from_ref(&delivered), &recording));
    recording.deliveries.push(delivery("c", 200));
    let phantom = measure(&delivered, &result(recording));
    assert!(phantom.value == Some(0.0) && phantom.detail.contains("another state"), "{phantom:?}");
}

#[test]
fn percentiles_are_by_nearest_rank() {
    assert_eq!(percentile(vec![3.0, 1.0, 2.0], 50.0), Some(2.0));
    assert_eq!(percentile((1..=100).map(f64::from).collect(), 99.0), Some(99.0));
    assert_eq!(percentile(Vec::new(), 99.0), None);
}
