//! A seeded run of the healthy service is judged as healthy, and leaves nothing behind. Needs the workspace's `ridematch` program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use drill::judge::{CheckSpec, judge};
use drill::load::LoadSpec;
use drill::observe::{self, LogFilter};
use drill::stack::{Programs, RunResult, RunSpec, ServeCommand, Served, run, serve};
use serde::Deserialize;

/// A load and its checks.
#[derive(Deserialize)]
struct Case {
    load: LoadSpec,
    check: Vec<CheckSpec>,
}

/// The service's program, which is built beside the tests.
fn program() -> PathBuf {
    let exe = std::env::current_exe().expect("the path of this test");
    let dir = exe.parent().and_then(|deps| deps.parent()).expect("the target directory");
    std::env::var_os("RIDEMATCH_PROGRAM").map_or_else(|| dir.join("ridematch"), PathBuf::from)
}

/// What to run.
fn spec(case: Case, seed: u64) -> RunSpec {
    let programs = Programs { service: program(), clean: program() };
    assert!(programs.service.exists(), "build the workspace's programs first: cargo build --workspace --bins");
    RunSpec {
        programs,
        schema: "healthy".to_owned(),
        environment: BTreeMap::new(),
        sql: None,
        seed,
        load: case.load,
        checks: case.check,
        always: true,
    }
}

async fn judged(case: &str, seed: u64) -> drill::judge::Judgement {
    let spec = spec(toml::from_str(case).expect("a case"), seed);
    let checks = spec.checks.clone();
    let result = run(spec).await.unwrap_or_else(|error| panic!("{error}"));
    let judgement = judge(&checks, &result, None);
    for check in &judgement.checks {
        println!(
            "{} {}: {} (expected {})",
            if check.held { "ok  " } else { "FAIL" },
            check.what,
            check.seen,
            check.expected
        );
    }
    println!("{}", summary(&result));
    judgement
}

/// What a failure is looked at with: requests by operation, trips, offers, and the suites' cases.
fn summary(result: &RunResult) -> String {
    let mut operations = BTreeMap::<(&str, u16), Vec<f64>>::new();
    for request in &result.recording.requests {
        operations.entry((&request.operation, request.status)).or_default().push(request.ms);
    }
    let mut lines = vec![format!("{:.1} s", result.total_s)];
    for ((operation, status), mut times) in operations {
        times.sort_by(f64::total_cmp);
        let (count, middle, last) = (times.len(), times[times.len() / 2], times[times.len() - 1]);
        lines.push(format!("{operation} {status}: {count}, p50 {middle:.0} ms, longest {last:.0} ms"));
    }
    lines.extend(result.recording.trips.iter().map(|trip| format!("{trip:?}")));
    lines.extend(result.recording.offers.iter().map(|offer| format!("{offer:?}")));
    lines.extend(result.recording.deliveries.iter().map(|delivery| format!("{delivery:?}")));
    let of_webhooks = |sample: &&String| sample.starts_with("ridematch_webhook");
    let samples = result.metrics_after.keys().filter(of_webhooks);
    lines.extend(samples.map(|sample| format!("{sample} {}", result.metrics_after[sample])));
    lines.extend(result.contract.iter().map(|case| format!("{} {}: {}", case.held, case.suite, case.what)));
    lines.join("\n")
}

const STATION: &str = r#"
    [load]
    seconds = 10
    time_scale = 2
    settle_s = 30
    [[load.drivers]]
    name = "taxis"
    count = 4
    around = { lat = 40.75, lon = -73.99, radius_m = 400 }
    positions = "gateway"
    receive = "sse"
    decline = 0.1
    [[load.drivers]]
    name = "others"
    count = 3
    receive = "web_socket"
    speed_mps = 40
    [[load.riders]]
    name = "station"
    count = 5
    around = { lat = 40.75, lon = -73.99, radius_m = 300 }
    arrive_within_s = 4
    repeat = 0.3
    reads = true
    [load.subscriber]
    event_types = ["trip.completed"]
    [[load.operators]]
    name = "desk"
    refund = 0.5
    [[load.requests]]
    name = "prices"
    operation = "POST /v1/quotes"
    per_s = 3
    [[load.provider]]
    on = "confirm"
    kind = "latency"
    p50_ms = 50
    [[check]]
    kind = "outcome"
    what = "Riders at the station get a ride."
    ends = ["completed"]
    limit.at_least = 0.8
    among = { group = "station", count_min = 5 }
    [[check]]
    kind = "positions"
    what = "The gateway's positions are accepted."
    verdicts = ["accepted"]
    limit.at_least = 0.9
    among.group = "taxis"
    [[check]]
    kind = "positions"
    what = "Positions over the WebSocket are accepted."
    verdicts = ["accepted"]
    limit.at_least = 0.9
    among.group = "others"
    [[check]]
    kind = "status"
    what = "Quotes are answered."
    operation = "POST /v1/quotes"
    statuses = [201]
    limit.at_least = 0.99
    [[check]]
    kind = "delivered"
    what = "Completed trips reach the partner."
    event = "trip.completed"
    state = "completed"
    [[check]]
    kind = "own"
    what = "Riders see their own trips."
    [[check]]
    kind = "recorded"
    what = "A repeated request gets the same answer."
    name = "same_key_same_answer"
    [[check]]
    kind = "sql"
    what = "No completed trip is without its posting."
    query = "select id from trips where state = 'completed' and not exists (select from ledger_postings p where p.trip_id = trips.id)"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn healthy_service_passes_every_check() {
    let judgement = judged(STATION, 7).await;
    assert!(judgement.passed, "{:#?}", judgement.failed().collect::<Vec<_>>());
}

/// What the load of the first test leaves out: faults and cuts of every kind, which a healthy service survives.
const FAULTS: &str = r#"
    [load]
    seconds = 16
    time_scale = 2
    settle_s = 30
    data = "create table bulk as select generate_series(1, 1000) as number"
    [[load.drivers]]
    name = "taxis"
    count = 5
    decline = 0.2
    clock_ahead_s = -2
    cruise_mps = 5
    shift_s = [9, 1]
    [[load.drivers]]
    name = "fast clocks"
    count = 2
    around = { lat = 41.5, lon = -74.5, radius_m = 100 }
    clock_ahead_s = 12
    [[load.riders]]
    name = "racers"
    count = 4
    arrive_within_s = 3
    cancel = { share = 0.5, when = "accept" }
    keys = "counted"
    hang_up = 0.5
    tip = 0.5
    patience_s = 120
    [[load.requests]]
    name = "prices"
    operation = "POST /v1/quotes"
    per_s = 4
    retry = { times = 4, wait_ms = 100, factor = 2, jitter = true }
    [[load.provider]]
    on = "confirm"
    kind = "latency"
    p50_ms = 400
    until_s = 4
    [[load.provider]]
    from_s = 4
    on = "capture"
    kind = "error_503"
    share = 0.5
    [load.subscriber]
    event_types = ["trip.completed"]
    [[load.subscriber.faults]]
    until_s = 6
    answer = { raw = "HTTP/1.1 banana\r\n\r\n" }
    [load.supervisor]
    time_out_ms = 20000
    [[load.events]]
    at_s = 5
    do = "database_away"
    for_s = 1
    [[load.events]]
    at_s = 7
    do = "cut_database"
    [[load.events]]
    at_s = 8
    do = "kill_service"
    [[load.events]]
    at_s = 9
    do = "provider_away"
    for_s = 1
    [[load.events]]
    at_s = 10
    do = "sql"
    sql = "insert into bulk values (0)"
    [[load.events]]
    at_s = 11
    do = "reconnect_drivers"
    [[check]]
    kind = "positions"
    what = "Positions from the future are dropped."
    verdicts = ["future"]
    limit.at_least = 0.7
    among.group = "fast clocks"
    [[check]]
    kind = "restarts"
    what = "A probe that asks nothing but the process restarts nothing."
    limit.at_most = 0
    [[check]]
    kind = "own"
    what = "Counted keys of different riders are unrelated."
    [[check]]
    kind = "sql"
    what = "Bulk data and the statement are there."
    query = "select count(*) from bulk having count(*) <> 1001"
    [[check]]
    kind = "outcome"
    what = "Every rider gets a trip."
    ends = ["refused"]
    limit.at_most = 0
    among = { group = "racers", count_min = 4 }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn healthy_service_survives_every_fault_of_the_vocabulary() {
    let judgement = judged(FAULTS, 3).await;
    assert!(judgement.passed, "{:#?}", judgement.failed().collect::<Vec<_>>());
}

/// A served stack, in the process that the next test starts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the body of another process"]
async fn served_body() {
    let dir = std::env::args().find_map(|argument| argument.strip_prefix("dir=").map(PathBuf::from));
    if let Some(dir) = dir {
        serve(&dir).await.unwrap_or_else(|error| panic!("{error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn served_stack_is_observed_and_stopped_and_a_dead_one_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = spec(toml::from_str(STATION).expect("a case"), 5);
    let body = format!("dir={}", dir.path().display());
    let arguments = ["served_body", "--ignored", "--exact", "--nocapture", &body];
    let program = std::env::current_exe().expect("this program");
    let served = Served::start(dir.path(), &spec, &program, &arguments).await.expect("it serves");
    let again = Served::start(dir.path(), &spec, &program, &arguments).await;
    assert!(again.is_err_and(|error| error.to_string().contains("running already")), "one at a time");
    let first = async {
        loop {
            match served.figures() {
                Ok(figures) if figures.trips.values().sum::<u64>() > 0 => break figures,
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    };
    let figures = tokio::time::timeout(Duration::from_secs(60), first).await.expect("figures in time");
    assert!(figures.to_string().contains("POST /v1/quotes"), "{figures}");
    assert!(!figures.metric_changes("ridematch_positions").is_empty());
    let rows = observe::database::query(&served.state.database_url, "select 1 as one").await.expect("a row");
    assert_eq!((rows.columns, rows.rows), (vec!["one".to_owned()], vec![vec!["1".to_owned()]]));
    let written = observe::database::query(&served.state.database_url, "delete from trips").await;
    assert!(written.is_err_and(|error| error.to_string().contains("read-only")), "nothing is written");
    let activity = observe::database::activity(&served.state.database_url).await.expect("sessions");
    assert!(activity.to_string().contains("sequential scans"), "{activity}");
    let filter = LogFilter { all_levels: true, ..LogFilter::default() };
    observe::logs::read(&served.state.logs, &filter).expect("a log");
    let redeploy = ServeCommand::Redeploy { program: self::program(), environment: BTreeMap::new() };
    served.ask(&redeploy).await.expect("it is deployed again");
    let audit = served.ask(&ServeCommand::Audit).await.expect("a report");
    assert!(audit["violations"].is_object(), "{audit}");
    assert!(Served::stop(dir.path()).await.expect("it stops"));
    assert!(Served::find(dir.path()).expect("no error").is_none());

    let served = Served::start(dir.path(), &spec, &program, &arguments).await.expect("it serves again");
    let pid = served.state.pid.to_string();
    let kill = ["-c", "kill -9 \"$1\"", "sh", &pid];
    std::process::Command::new("/bin/sh").args(kill).status().expect("a shell");
    tokio::time::sleep(Duration::from_secs(1)).await;
    let found = Served::find(dir.path());
    assert!(found.is_err_and(|error| error.to_string().contains("has ended")), "a dead one is said to be dead");
}
