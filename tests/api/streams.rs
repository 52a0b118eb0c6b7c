//! Server-sent events: they start with past events or a snapshot, resume after `Last-Event-ID`, and end with the trip, the caller's right
//! to see it, the token, or the process. Their number is limited.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::harness::socket::Socket;
use crate::harness::{Actor, ApiResponse, App, HERE, THERE, assigned, id, in_progress};
use reqwest::{Method, RequestBuilder, Response};
use ridematch::platform::auth::Role;
use serde_json::{Value, json};

const DRIVER_EVENTS: &str = "/v1/drivers/me/events";

/// An open stream, and its unread text.
struct Stream {
    response: Response,
    rest: String,
}

#[derive(Debug)]
struct Frame {
    id: Option<i64>,
    event: String,
    data: Value,
}

fn request(actor: &Actor, path: &str, after: Option<i64>) -> RequestBuilder {
    let request = actor.request(Method::GET, path).header("Accept", "text/event-stream");
    match after {
        Some(after) => request.header("Last-Event-ID", after.to_string()),
        None => request,
    }
}

impl Stream {
    async fn open(actor: &Actor, path: &str, after: Option<i64>) -> Self {
        let response = ApiResponse::open(request(actor, path, after)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// Returns the next event other than a position; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            match self.next_of_all().await {
                Some(frame) if frame.event == "driver_position" => {}
                frame => return frame,
            }
        }
    }

    /// Returns the next event, positions included; `None` at the end of the stream.
    async fn next_of_all(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.rest.split_once("\n\n") {
                let frame = parse(frame);
                self.rest = rest.to_owned();
                match frame {
                    Some(frame) => return Some(frame),
                    None => continue,
                }
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(30), self.response.chunk()).await.expect("a frame in time");
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// Reads until the stream has sent this position. Returns the event's data.
    async fn until_position(&mut self, (lat, lon): (f64, f64)) -> Value {
        let position = json!({"lat": lat, "lon": lon});
        loop {
            let frame = self.next_of_all().await.expect("a position");
            if frame.event == "driver_position" && frame.data["position"] == position {
                return frame.data;
            }
        }
    }

    async fn expect(&mut self, event: &str) -> Frame {
        let frame = self.next().await.expect("an event");
        assert_eq!(frame.event, event, "{frame:?}");
        frame
    }
}

fn parse(frame: &str) -> Option<Frame> {
    let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Frame {
        id: field("id").map(|id| id.parse().unwrap()),
        event: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_stream_has_all_events_resumes_and_ends_with_the_trip() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let mut stream = Stream::open(&rider, &path, None).await;
    for (seq, event) in (1..).zip(["trip.requested", "trip.searching", "trip.offered", "trip.assigned"]) {
        let frame = stream.expect(event).await;
        assert_eq!((frame.id, &frame.data["seq"]), (Some(seq), &json!(seq)));
    }
    let mut resumed = Stream::open(&rider, &path, Some(3)).await;
    assert_eq!(resumed.expect("trip.assigned").await.id, Some(4));
    rider.command(id(&trip), "cancel").await.expect(200);
    for stream in [&mut stream, &mut resumed] {
        stream.expect("trip.cancelled").await;
        assert!(stream.next().await.is_none(), "the stream ends with the trip");
    }
    let list = rider.get(&format!("{path}?limit=2")).await.expect(200);
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (2, &json!(2)));
    rider.get(&format!("{path}?limit=0")).await.expect_problem(422, "invalid_request");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn driver_stream_starts_with_a_snapshot_and_delivers_offers() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let mut stream = Stream::open(&driver, "/v1/drivers/me/events", None).await;
    let first = stream.expect("snapshot").await;
    assert_eq!((&first.data["offer"], &first.data["trip"]), (&Value::Null, &Value::Null));
    let trip = rider.request_trip().await;
    let offered = stream.expect("offer.created").await;
    assert_eq!(offered.data["trip_id"], trip["id"]);
    assert_eq!(
        Stream::open(&driver, "/v1/drivers/me/events", None).await.expect("snapshot").await.data["offer"]["trip_id"],
        trip["id"]
    );
    rider.command(id(&trip), "cancel").await.expect(200);
    let withdrawn = stream.expect("offer.withdrawn").await;
    assert_eq!(withdrawn.data["offer"]["withdrawn_because"], "rider_cancelled");
    let mut resumed = Stream::open(&driver, "/v1/drivers/me/events", offered.id).await;
    assert_eq!(resumed.expect("offer.withdrawn").await.id, withdrawn.id);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_stream_delivers_driver_positions() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let mut stream = Stream::open(&rider, &path, Some(trip["version"].as_i64().unwrap())).await;
    let there = (HERE.0 + 0.001, HERE.1);
    driver.send_position(&app, there).await;
    stream.until_position(there).await;
    driver.command(id(&trip), "complete").await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eta_on_the_stream_falls_as_the_car_moves() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = in_progress(&app, &rider, &driver).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let mut stream = Stream::open(&rider, &path, Some(trip["version"].as_i64().unwrap())).await;
    let mut last = stream.until_position(HERE).await["eta_s"].as_i64().unwrap();
    for step in 1..=4 {
        let share = f64::from(step) / 4.0;
        let there = (HERE.0 + share * (THERE.0 - HERE.0), HERE.1 + share * (THERE.1 - HERE.1));
        driver.send_position(&app, there).await;
        let data = stream.until_position(there).await;
        assert_eq!(data["eta_source"], "estimate");
        let eta_s = data["eta_s"].as_i64().unwrap();
        assert!(eta_s < last, "{eta_s} s after {last} s");
        last = eta_s;
    }
    assert_eq!(last, 0, "at the end of the ride");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_open_streams() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = Stream::open(&driver, "/v1/drivers/me/events", None).await;
    stream.expect("snapshot").await;
    tokio::time::timeout(Duration::from_millis(6_500), app.stop()).await.expect("stopped in time");
    assert!(matches!(stream.response.chunk().await, Ok(None) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_a_driver_who_cancelled_ends_before_the_next_driver() {
    let app = App::start().await;
    let (rider, first) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &first).await;
    let path = format!("/v1/trips/{}", id(&trip));
    let mut stream = Stream::open(&first, &format!("{path}/events"), Some(4)).await;
    stream.until_position(HERE).await;
    first.command(id(&trip), "cancel").await.expect(200);
    first.get(&path).await.expect_problem(404, "not_found");

    let second = app.driver_at((HERE.0 + 0.001, HERE.1)).await;
    let offer = second.until_offered().await;
    second.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    second.send_position(&app, (HERE.0 + 0.002, HERE.1)).await;
    let frame = stream.next_of_all().await;
    assert!(frame.is_none(), "the first driver received {frame:?}");
    ApiResponse::of(request(&first, &format!("{path}/events"), Some(4))).await.expect_problem(404, "not_found");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_token_expires() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let events = format!("/v1/trips/{}/events", id(&trip));
    let (driver, rider) = (driver.expiring_in(&app, Role::Driver, 15), rider.expiring_in(&app, Role::Rider, 15));
    let mut streams = Vec::new();
    for (actor, path) in [(&driver, DRIVER_EVENTS), (&driver, &events), (&rider, &events)] {
        streams.push((actor, path, Stream::open(actor, path, None).await));
    }
    for (actor, path, stream) in &mut streams {
        while stream.next().await.is_some() {}
        ApiResponse::of(request(actor, path, None)).await.expect_problem(401, "unauthenticated");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_a_trip_that_is_over_ends_and_resumed_after_the_last_event_is_204() {
    let app = App::start().await;
    let rider = app.rider().await;
    let trip = rider.request_trip().await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let mut ahead = Stream::open(&rider, &path, Some(1_000)).await;
    rider.command(id(&trip), "cancel").await.expect(200);
    assert!(ahead.next().await.is_none(), "a stream that waits for a later event ends as well");

    let mut stream = Stream::open(&rider, &path, None).await;
    let mut last = None;
    while let Some(frame) = stream.next().await {
        last = frame.id;
    }
    let last = last.expect("a last event");
    let mut resumed = Stream::open(&rider, &path, Some(last - 1)).await;
    assert_eq!(resumed.expect("trip.cancelled").await.id, Some(last));
    assert!(resumed.next().await.is_none());
    let nothing = ApiResponse::of(request(&rider, &path, Some(last))).await;
    assert_eq!((nothing.status.as_u16(), nothing.bytes.len()), (204, 0));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seventh_stream_of_a_caller_is_429_until_one_is_closed() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(Stream::open(&driver, DRIVER_EVENTS, None).await);
    }
    let bearer = format!("Authorization: Bearer {}\r\n", driver.token);
    let socket = Socket::open(&app.base_url, "/v1/drivers/me/stream", &bearer).await;
    assert!(socket.is_ok(), "a WebSocket is the sixth");
    let seventh = ApiResponse::of(request(&driver, DRIVER_EVENTS, None)).await;
    assert_eq!(seventh.header("retry-after"), Some("5"));
    seventh.expect_problem(429, "too_many_streams");
    assert_eq!(Socket::open(&app.base_url, "/v1/drivers/me/stream", &bearer).await.err(), Some(429));
    Stream::open(&app.driver_at(HERE).await, DRIVER_EVENTS, None).await.expect("snapshot").await;

    streams.pop();
    app.until("the closed stream has released its permit", async || {
        let again = ApiResponse::of(request(&driver, DRIVER_EVENTS, None)).await;
        again.status.is_success().then_some(())
    })
    .await;
    app.stop().await;
}

/// Every stream used to read the events of its trip once a second. Blocked reads of events must not delay positions.
#[tokio::test(flavor = "multi_thread")]
async fn positions_need_no_query_per_stream() {
    let app = App::start().await;
    let mut rides = Vec::new();
    for _ in 0..2 {
        let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
        let trip = assigned(&app, &rider, &driver).await;
        let mut stream = Stream::open(&rider, &format!("/v1/trips/{}/events", id(&trip)), Some(4)).await;
        stream.until_position(HERE).await;
        rides.push((driver, stream));
    }
    let mut lock = app.sql().begin().await.unwrap();
    sqlx::query("lock table trip_events in access exclusive mode").execute(&mut *lock).await.unwrap();
    for step in 1..=2 {
        let there = (HERE.0 + 0.001 * f64::from(step), HERE.1);
        for (driver, stream) in &mut rides {
            driver.send_position(&app, there).await;
            stream.until_position(there).await;
        }
    }
    lock.rollback().await.unwrap();
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_a_non_matcher_says_that_positions_are_unavailable() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    let trip = assigned(&app, &rider, &driver).await;
    let other = app.second_process(|_| {}).await;
    let path = format!("/v1/trips/{}/events", id(&trip));
    let mut stream = Stream::open(&rider.at(&other), &path, Some(4)).await;
    let frame = stream.expect("positions_unavailable").await;
    assert_eq!((frame.id, frame.data), (None, json!({"reason": "not_the_matcher"})));
    // The trip's own events continue, and the first event is not repeated.
    rider.command(id(&trip), "cancel").await.expect(200);
    stream.expect("trip.cancelled").await;
    assert!(stream.next().await.is_none());
    other.stop().await;
    app.stop().await;
}
