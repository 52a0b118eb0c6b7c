//! Server-sent events: they start with past events or a snapshot, resume after `Last-Event-ID`, and end with the trip or the process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use crate::harness::{Actor, ApiResponse, App, HERE, assigned, id, in_progress};
use reqwest::{Method, Response};
use serde_json::{Value, json};

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

impl Stream {
    async fn open(actor: &Actor, path: &str, after: Option<i64>) -> Self {
        let mut request = actor.request(Method::GET, path).header("Accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after.to_string());
        }
        let response = ApiResponse::open(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, rest: String::new() }
    }

    /// Returns the next event other than a position; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.rest.split_once("\n\n") {
                let frame = parse(frame);
                self.rest = rest.to_owned();
                match frame {
                    Some(frame) if frame.event != "driver_position" => return Some(frame),
                    _ => continue,
                }
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await.expect("a frame in time");
            self.rest.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
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
    let position = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            driver.send_position(&app, (HERE.0 + 0.001, HERE.1)).await;
            let chunk = tokio::time::timeout(Duration::from_millis(300), stream.response.chunk()).await;
            if let Ok(Ok(Some(chunk))) = chunk {
                stream.rest.push_str(std::str::from_utf8(&chunk).unwrap());
            }
            if let Some(frame) = stream.rest.split("\n\n").find(|frame| frame.contains("driver_position")) {
                return parse(frame).unwrap();
            }
        }
    })
    .await
    .expect("a position in time");
    assert_eq!((position.id, position.data["position"].is_object()), (None, true));
    driver.command(id(&trip), "complete").await.expect(200);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_for_open_streams() {
    let app = App::start().await;
    let driver = app.driver_at(HERE).await;
    let mut stream = Stream::open(&driver, "/v1/drivers/me/events", None).await;
    stream.expect("snapshot").await;
    tokio::time::timeout(Duration::from_secs(5), app.stop()).await.expect("stopped in time");
    assert!(matches!(stream.response.chunk().await, Ok(None) | Err(_)));
}
