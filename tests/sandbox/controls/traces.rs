//! The work that a request causes has its trace: in the log, in the recorded SQL, and in the timeline. In a process of its own, which
//! records, and does all the work.

use embedded_postgres::Database;
use serde_json::{Value, json};

use crate::harness::process::{Launch, Process};
use crate::harness::{Actor, ApiResponse, HERE, PSP_SECRET, THERE, database, free_address, until};

const REQUESTED: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const COMPLETED: &str = "0af7651916cd43dd8448eb211c80319c";

/// Sends a command under a trace.
async fn traced(actor: &Actor, trace: &str, path: &str, body: &Value) -> Value {
    let request = actor.request(reqwest::Method::POST, path).header("Idempotency-Key", trace).json(body);
    let response = ApiResponse::of(request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))).await;
    assert!(response.status.is_success(), "{path}: {}", response.text());
    response.json()
}

async fn sandbox(process: &Process, path: &str) -> Value {
    ApiResponse::of(process.http.get(format!("{}/v1/sandbox/{path}", process.base_url))).await.expect(200)
}

/// Takes a ride from request to capture; returns the trip.
async fn ride(process: &Process) -> Value {
    let (rider, driver) = (process.actor("rider").await, process.driver_at(HERE).await);
    let quote = rider.quote(HERE, THERE).await;
    let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"});
    let trip = traced(&rider, REQUESTED, "/v1/trips", &body).await;
    let path = format!("/v1/trips/{}", trip["id"].as_str().unwrap());
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", offer["id"].as_str().unwrap()), &json!({})).await.expect(200);
    driver.put_position(process, HERE).await.expect(200);
    driver.post(&format!("{path}/arrive"), &json!({})).await.expect(200);
    let pin = rider.get(&path).await.expect(200)["pin"].clone();
    driver.post(&format!("{path}/start"), &json!({"pin": pin})).await.expect(200);
    traced(&driver, COMPLETED, &format!("{path}/complete"), &json!({})).await;
    let payment = format!("/v1/payments/{}", trip["payment_id"].as_str().unwrap());
    until("the fare is captured", async || {
        (rider.get(&payment).await.expect(200)["state"] == "captured").then_some(())
    })
    .await;
    trip
}

/// Returns the items of a kind as `label, outcome`.
fn of_kind(timeline: &Value, kind: &str) -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let items = timeline["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
    items
        .map(|item| (text(&item["label"]), text(&item["outcome"]), item["trace_id"].as_str().map(str::to_owned)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_a_request_causes_has_its_trace() {
    let scratch = tempfile::tempdir().unwrap();
    let provider = psp_sim::start(psp_sim::Settings::new(scratch.path(), PSP_SECRET)).await.unwrap();
    let database = database().await;
    let log = scratch.path().join("service.log");
    let launch = Launch {
        database_url: database.url(),
        provider: provider.address(),
        listen: free_address(),
        log: ("info,ridematch=debug", log.clone()),
    };
    let process = launch.start().await;
    let trip = ride(&process).await;
    let (trip_id, payment_id) = (trip["id"].as_str().unwrap(), trip["payment_id"].as_str().unwrap());

    // Each line of the capture has the ids, and the trace of the request that completed the ride.
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_step = |step: &str| {
        let found = lines.iter().find(|line| line["step"].as_str().is_some_and(|text| text.starts_with(step)));
        found.unwrap_or_else(|| panic!("no line of {step}"))["span"].clone()
    };
    for (step, trace) in [("Create", REQUESTED), ("Confirm", REQUESTED), ("Capture", COMPLETED)] {
        let span = of_step(step);
        assert_eq!((&span["trace_id"], &span["path"]), (&json!(trace), &json!("payments")), "{step}: {span}");
        assert_eq!((&span["trip_id"], &span["payment_id"]), (&json!(trip_id), &json!(payment_id)), "{step}: {span}");
    }

    let shown = sandbox(&process, &format!("requests/{COMPLETED}")).await;
    let run = shown["requests"].as_array().unwrap().iter().find(|one| one["path"] == "payments").expect("the capture");
    assert_eq!((&run["trip_id"], &run["payment_id"]), (&json!(trip_id), &json!(payment_id)));
    let sql: Vec<_> = run["statements"].as_array().unwrap().iter().map(|one| one["sql"].as_str().unwrap()).collect();
    for statement in ["update payment_attempts", "update payments", "insert into ledger_postings", "COMMIT"] {
        assert!(sql.iter().any(|one| one.starts_with(statement)), "{statement}: {sql:#?}");
    }
    let shown = sandbox(&process, &format!("requests/{REQUESTED}")).await;
    let paths: Vec<_> = shown["requests"].as_array().unwrap().iter().map(|one| one["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["/v1/trips", "payments", "trips"], "the request, the authorization, the trip's reaction");

    let timeline = sandbox(&process, &format!("timeline/{trip_id}")).await;
    let (requested, completed) = (Some(REQUESTED.to_owned()), Some(COMPLETED.to_owned()));
    let call = |name: &str, trace: &Option<String>| (name.to_owned(), "succeeded".to_owned(), trace.clone());
    let calls = [call("create", &requested), call("confirm", &requested), call("capture", &completed)];
    assert_eq!(of_kind(&timeline, "provider_call"), calls);
    let states: Vec<_> = of_kind(&timeline, "trip_event").into_iter().map(|(label, ..)| label).collect();
    assert_eq!(states, ["request", "authorized", "offer", "accept", "arrive", "start", "complete"]);
    let postings = of_kind(&timeline, "posting");
    assert!(postings.iter().all(|(.., trace)| *trace == completed), "{postings:?}");
    assert_eq!(postings.iter().map(|(label, ..)| label.as_str()).collect::<Vec<_>>(), ["charge", "capture"]);
    let requests = of_kind(&timeline, "request");
    assert_eq!(requests.len(), 5, "request, accept, arrive, start, complete: {requests:#?}");
    let times: Vec<_> = timeline["items"].as_array().unwrap().iter().map(|item| item["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let of_payment = sandbox(&process, &format!("timeline/{payment_id}")).await;
    assert_eq!(of_kind(&of_payment, "payment_event").len(), 4);
    assert!(of_kind(&of_payment, "trip_event").is_empty());
    assert_newest_are_shown(&process, &database, payment_id).await;
    process.kill().await;
}

/// Of more rows of a kind than a timeline has, the newest are shown, and the others counted.
async fn assert_newest_are_shown(process: &Process, database: &Database, payment_id: &str) {
    let sql = sqlx::PgPool::connect(&database.url()).await.unwrap();
    let many = "insert into provider_events (event_id, type, intent_id, received_at, handled_at)
                select 'evt_many_' || n, 'charge.updated', provider_intent_id, at, at
                from payments, generate_series(1, 205) as n, lateral (select '2099-01-01'::timestamptz + n * interval '1 second') as times (at)";
    sqlx::raw_sql(many).execute(&sql).await.unwrap();
    let all: i64 = sqlx::query_scalar("select count(*) from provider_events").fetch_one(&sql).await.unwrap();
    let timeline = sandbox(process, &format!("timeline/{payment_id}")).await;
    let items = timeline["items"].as_array().unwrap().iter().filter(|item| item["kind"] == "webhook_in");
    let shown: Vec<_> = items.map(|item| item["detail"].as_str().unwrap().to_owned()).collect();
    assert_eq!(shown, (6..=205).map(|n| format!("evt_many_{n}")).collect::<Vec<_>>());
    assert_eq!(timeline["left_out"], all - 200);
    sql.close().await;
}
