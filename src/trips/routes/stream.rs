//! The driver's WebSocket: driver events to the client, positions to the service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Payload;
use actix_web::{HttpResponse, web};
use serde_json::json;
use utoipa::ToSchema;

use super::streams::{driver_frame, driver_snapshot, last_event_id};
use crate::platform::Platform;
use crate::platform::auth::Caller;
use crate::platform::clock::Stopwatch;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::LastEventHeader;
use crate::platform::http::socket::{Disconnect, Received, RequestHead, Socket};
use crate::platform::http::{Drivers, HttpResult, Problem, json};
use crate::platform::ids::{DriverId, Id};
use crate::platform::names::string_enum;
use crate::platform::telemetry;
use crate::platform::wake::{Wake, WakeSubscription};
use crate::supply::Supply;
use crate::supply::ingest::{LocationRequest, PositionResult, ingest_one};
use crate::trips::store;
use crate::trips::views::{DriverTrip, OfferBody};

/// The most events per read.
const BATCH: i64 = 100;

/// The interval of reads without a wake: wakes from other processes may be lost.
const SLOW_POLL: Duration = Duration::from_secs(5);

/// The interval of pings.
const PING_EVERY: Duration = Duration::from_secs(15);

/// The time without any frame, pongs included, that closes the connection.
const IDLE_MAX: Duration = Duration::from_secs(60);

string_enum! {
    /// The type of a snapshot.
    enum SnapshotType {
        /// The pending offer and the active trip.
        Snapshot = "snapshot",
    }
}

/// The driver's pending offer and active trip.
#[derive(ToSchema)]
#[expect(dead_code, reason = "schema only; `driver_snapshot` builds the value")]
struct DriverSnapshot {
    /// Always `snapshot`.
    r#type: SnapshotType,
    /// The pending offer; `null` if there is none.
    offer: Option<OfferBody>,
    /// The active trip; `null` if there is none.
    trip: Option<DriverTrip>,
}

/// Open the driver's WebSocket
///
/// Without an upgrade, returns one `snapshot`. The WebSocket sends the events of `GET /v1/drivers/me/events` as JSON text: a `snapshot`
/// first, or with `Last-Event-ID` the events after it. Each message has `type`; all but the snapshot have `seq` and `at`. The client sends
/// positions as in `PUT /v1/drivers/me/location`: `{"position": {"lat": …, "lon": …}, "recorded_at": …}`. The response to each is
/// `{"type": "position", "verdict": "accepted"}`, with `ahead_ms` as there, or `{"type": "problem", "problem": {…}}` with a problem
/// document. Each counts against the rate limit like a request. The service pings every 15 s. It closes the connection after 60 s without
/// a frame, after a message of more than 1024 bytes, when the token expires, and when the client reads nothing for 10 s. A caller may have
/// six streams open, event streams included; the seventh is a 429.
#[utoipa::path(get, path = "/v1/drivers/me/stream", tag = "drivers", operation_id = "open_driver_stream",
    security(("driver" = [])), params(LastEventHeader),
    responses((status = 200, description = "The pending offer and the active trip", body = DriverSnapshot),
        (status = 101, description = "The WebSocket")))]
pub(super) async fn driver_stream(head: RequestHead<Drivers>, body: Payload, supply: web::Data<Supply>) -> HttpResult {
    let caller = head.caller();
    let Some(driver) = caller.driver() else { unreachable!("the audience is drivers") };
    let after = last_event_id(&head.http)?;
    if !head.wants_socket() {
        let (_, snapshot) = driver_snapshot(&head.platform, driver).await?;
        return Ok(HttpResponse::Ok().json(snapshot));
    }
    let (socket, response) = Socket::open(&head, body, head.stream_permit()?)?;
    let stream = Stream { platform: head.platform, supply: supply.into_inner(), caller, driver, socket, after };
    // Logs of the stream keep the trace of the handshake.
    actix_web::rt::spawn(telemetry::in_context(telemetry::context(), stream.run()));
    Ok(response)
}

struct Stream {
    platform: Platform,
    supply: Arc<Supply>,
    caller: Caller,
    driver: DriverId,
    socket: Socket,
    /// The last event sent, or named by the client.
    after: Option<i64>,
}

impl Stream {
    async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.socket.close(end).await;
    }

    async fn serve(&mut self) -> Result<Infallible, Disconnect> {
        let mut subscription = self.platform.db.wake_hub().subscribe(Wake::Driver(self.driver.uuid()));
        let (mut since_frame, mut since_ping) = (Stopwatch::start(), Stopwatch::start());
        self.send_events().await?;
        loop {
            match self.wait(&mut subscription).await? {
                Some(Received::Text(text)) => {
                    since_frame = Stopwatch::start();
                    self.handle_text(&text).await?;
                }
                Some(Received::KeepAlive) => since_frame = Stopwatch::start(),
                None => self.send_events().await?,
            }
            if since_ping.elapsed() >= PING_EVERY {
                since_ping = Stopwatch::start();
                self.socket.ping().await?;
            }
            if since_frame.elapsed() >= IDLE_MAX {
                return Err(Disconnect::Violation("no frame for 60 s".to_owned()));
            }
        }
    }

    /// Waits for a frame; returns `None` when there may be new events.
    async fn wait(&mut self, subscription: &mut WakeSubscription) -> Result<Option<Received>, Disconnect> {
        tokio::select! {
            received = self.socket.receive() => received.map(Some),
            () = subscription.changed() => Ok(None),
            () = tokio::time::sleep(SLOW_POLL) => Ok(None),
        }
    }

    /// Sends the events since the last one sent; the snapshot the first time.
    async fn send_events(&mut self) -> Result<(), Disconnect> {
        let Some(mut after) = self.after else {
            let (after, snapshot) = driver_snapshot(&self.platform, self.driver).await.map_err(|_| Disconnect::Gone)?;
            self.after = Some(after);
            return self.socket.text(snapshot.to_string()).await;
        };
        loop {
            let input = (self.driver, after);
            let read = self
                .platform
                .db
                .read(input, |conn, (driver, after)| Box::pin(store::driver_events(conn, *driver, *after, BATCH)));
            let events = read.await.map_err(|_| Disconnect::Gone)?;
            for event in &events {
                self.socket.text(driver_frame(event).to_string()).await?;
                after = event.seq;
                self.after = Some(after);
            }
            if i64::try_from(events.len()).unwrap_or(BATCH) < BATCH {
                return Ok(());
            }
        }
    }

    /// Ingests a position, and sends the verdict.
    async fn handle_text(&mut self, text: &str) -> Result<(), Disconnect> {
        let message = match self.position(text) {
            Ok(PositionResult { verdict, ahead_ms: None }) => json!({"type": "position", "verdict": verdict}),
            Ok(result) => json!({"type": "position", "verdict": result.verdict, "ahead_ms": result.ahead_ms}),
            Err(problem) => json!({"type": "problem", "problem": problem.document()}),
        };
        self.socket.text(message.to_string()).await
    }

    fn position(&self, text: &str) -> Result<PositionResult, Problem> {
        if let Some(seconds) = self.platform.limits.check(self.caller).retry_after_s {
            let detail = format!("Too many messages. Wait {seconds} s.");
            return Err(Refusal::new(Code::RateLimited, detail).into());
        }
        let location: LocationRequest = json::read_object(text.as_bytes())?;
        Ok(ingest_one(&self.platform, &self.supply, location.reported_by(self.driver))?)
    }
}
