#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// Uses every part of the vocabulary once.
const ALL: &str = r#"
    seconds = 12
    time_scale = 4
    settle_s = 4
    settle_money = true
    processes = 1
    environment = { RIDEMATCH_RATE_LIMIT = "100000" }
    data = "select 1"
    [[drivers]]
    name = "station"
    count = 40
    around = { lat = 40.75, lon = -73.99, radius_m = 400 }
    receive = "web_socket"
    positions = "gateway"
    position_every_s = 4
    clock_ahead_s = 12
    speed_mps = 12
    cruise_mps = 6
    decline = 0.3
    ignore = 0.1
    answer_after_ms = [100, 400]
    cancel = 0.05
    online_at_s = 1
    shift_s = [20, 5]
    [[riders]]
    name = "commuters"
    count = 30
    trip_m = 1200
    arrive_within_s = 6
    trips = 2
    payment_methods = ["pm_card_visa", "pm_card_mastercard"]
    patience_s = 120
    cancel = { share = 0.5, when = "accept", after_ms = [0, 30] }
    keys = "counted"
    repeat = 0.1
    hang_up = 0.1
    tip = 0.2
    reads = true
    [[requests]]
    name = "prices"
    operation = "POST /v1/quotes"
    per_s = 40
    until_s = 10
    retry = { times = 3, wait_ms = 200, factor = 2, jitter = true }
    [[operators]]
    name = "desk"
    refund = 0.2
    repeat = 0.5
    [[provider]]
    on = "confirm"
    kind = "latency"
    p50_ms = 900
    p99_ms = 2500
    from_s = 3
    [subscriber]
    endpoints = 1
    event_types = ["trip.completed"]
    [[subscriber.faults]]
    from_s = 2
    until_s = 6
    answer = { status = 502 }
    [[subscriber.faults]]
    answer = "close"
    [supervisor]
    probe = "/healthz"
    [[events]]
    at_s = 5
    do = "database_away"
    for_s = 3
    [[events]]
    at_s = 9
    do = "sql"
    sql = "select 1"
"#;

#[test]
fn every_part_of_the_vocabulary_is_read_and_written() {
    let load: LoadSpec = toml::from_str(ALL).unwrap();
    assert_eq!(load.drivers[0].receive, Receive::WebSocket);
    assert_eq!(load.riders[0].cancel.unwrap().when, CancelWhen::Accept);
    assert_eq!(load.subscriber.as_ref().unwrap().faults[0].answer, SubscriberAnswer::Status(502));
    let json = serde_json::to_string(&load).unwrap();
    assert_eq!(serde_json::from_str::<LoadSpec>(&json).unwrap(), load);
}

#[test]
fn unknown_fields_are_refused() {
    let error = toml::from_str::<LoadSpec>("seconds = 1\nsecond = 2").unwrap_err().to_string();
    assert!(error.contains("second"), "{error}");
    let group = "seconds = 1\n[[drivers]]\nname = \"a\"\ncount = 1\nspeed = 3";
    assert!(toml::from_str::<LoadSpec>(group).is_err());
}
