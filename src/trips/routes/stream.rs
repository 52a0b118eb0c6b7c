//! A driver's one connection: news down, as on the stream of events, and positions up.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Payload;
use actix_web::{HttpResponse, web};
use serde_json::json;
use utoipa::ToSchema;

use super::seats::{Seat, Seats};
use super::streams::{driver_frame, driver_snapshot, last_event_id};
use crate::platform::Platform;
use crate::platform::auth::Pass;
use crate::platform::clock::Stopwatch;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::names::published;
use crate::platform::http::request::LastEventHeader;
use crate::platform::http::socket::{End, Head, Heard, Socket};
use crate::platform::http::{Drivers, Problem, Reply, json};
use crate::platform::ids::{DriverId, Id};
use crate::platform::telemetry;
use crate::platform::wake::{Follower, Wake};
use crate::supply::Supply;
use crate::supply::routes::take_position;
use crate::trips::store;
use crate::trips::views::{DriverTrip, OfferBody};

/// Events read in one go.
const BATCH: i64 = 100;

/// How often it looks although nobody woke it: wakes from other processes may be lost.
const SLOW_POLL: Duration = Duration::from_secs(5);

/// How often it asks whether anybody is there.
const PING_EVERY: Duration = Duration::from_secs(15);

/// A driver of whom nothing has been heard for so long, not even the answer to a ping, is not there.
const SILENT_MAX: Duration = Duration::from_secs(60);

published! {
    /// What a snapshot is.
    SnapshotType = ["snapshot"];
}

/// What is live for a driver.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document: `driver_snapshot` makes it")]
struct DriverSnapshot {
    /// Always `snapshot`.
    r#type: SnapshotType,
    /// The offer that waits for an answer; `null` if none does.
    offer: Option<OfferBody>,
    /// The trip that they are on; `null` if they are on none.
    trip: Option<DriverTrip>,
}

/// Follow and report in one
///
/// Without an upgrade: the `snapshot` of what is live now, once. As a WebSocket, what `GET /v1/drivers/me/events` shows, as JSON text:
/// a `snapshot` first, or with `Last-Event-ID` what came after that event; each message has `type`, all but the snapshot `seq` and `at`.
/// Up go positions as in `PUT /v1/drivers/me/location`: `{"position": {"lat": …, "lon": …}, "recorded_at": …}`. Each is answered, by
/// `{"type": "position", "verdict": "accepted"}` or by `{"type": "problem", "problem": {…}}` with the problem document that a
/// request would have got. Each counts against the rate limit as a request does. A ping goes out every 15 seconds; after a minute
/// without a sign of life the connection is closed, and after a message of more than 1024 bytes at once; so it is when the token has
/// expired, and when nothing has been read for 10 seconds of what is to be sent. Four may be open at a time: the fifth gets a 429.
#[utoipa::path(get, path = "/v1/drivers/me/stream", tag = "drivers", operation_id = "open_driver_stream",
    security(("driver" = [])), params(LastEventHeader),
    responses((status = 200, description = "What is live now", body = DriverSnapshot),
        (status = 101, description = "A WebSocket, as described")))]
pub(super) async fn driver_stream(
    head: Head<Drivers>,
    body: Payload,
    supply: web::Data<Supply>,
    seats: web::Data<Seats>,
) -> Reply {
    let pass = head.pass();
    let Some(driver) = pass.caller.driver() else { unreachable!("the audience is drivers") };
    let after = last_event_id(&head.http)?;
    if !head.wants_socket() {
        let (_, snapshot) = driver_snapshot(&head.platform, driver).await?;
        return Ok(HttpResponse::Ok().json(snapshot));
    }
    let seat = seats.take(driver)?;
    let (socket, response) = Socket::open(&head, body)?;
    let stream =
        Stream { platform: head.platform, supply: supply.into_inner(), pass, driver, socket, after, _seat: seat };
    // What goes wrong on it is told under the trace of its handshake.
    actix_web::rt::spawn(telemetry::within(telemetry::context(), stream.run()));
    Ok(response)
}

struct Stream {
    platform: Platform,
    supply: Arc<Supply>,
    pass: Pass,
    driver: DriverId,
    socket: Socket,
    /// The last event that was sent, or that the driver has already.
    after: Option<i64>,
    _seat: Seat,
}

impl Stream {
    async fn run(mut self) {
        let end = match self.serve().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        self.socket.close(end).await;
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        let mut follower = self.platform.db.hub().follow(Wake::Driver(self.driver.uuid()));
        let (mut heard, mut asked) = (Stopwatch::start(), Stopwatch::start());
        self.show_news().await?;
        loop {
            let heard_now = self.wait(&mut follower).await?;
            if self.pass.has_expired(self.platform.clock.machine()) {
                return Err(End::Wrong("the token has expired".to_owned()));
            }
            match heard_now {
                Some(Heard::Text(text)) => {
                    heard = Stopwatch::start();
                    self.take(&text).await?;
                }
                Some(Heard::Life) => heard = Stopwatch::start(),
                None => self.show_news().await?,
            }
            if asked.elapsed() >= PING_EVERY {
                asked = Stopwatch::start();
                self.socket.ping().await?;
            }
            if heard.elapsed() >= SILENT_MAX {
                return Err(End::Wrong("nothing was heard for a minute".to_owned()));
            }
        }
    }

    /// Waits for the driver to say something, or until there may be news.
    async fn wait(&mut self, follower: &mut Follower) -> Result<Option<Heard>, End> {
        tokio::select! {
            () = self.platform.shutdown.cancelled() => Err(End::Gone),
            heard = self.socket.hear() => heard.map(Some),
            () = follower.changed() => Ok(None),
            () = tokio::time::sleep(SLOW_POLL) => Ok(None),
        }
    }

    /// Sends what has happened since the last time; what is live, the first time.
    async fn show_news(&mut self) -> Result<(), End> {
        let Some(mut after) = self.after else {
            let (after, snapshot) = driver_snapshot(&self.platform, self.driver).await.map_err(|_| End::Gone)?;
            self.after = Some(after);
            return self.socket.text(snapshot.to_string()).await;
        };
        loop {
            let input = (self.driver, after);
            let read = self
                .platform
                .db
                .read(input, |conn, (driver, after)| Box::pin(store::driver_events(conn, *driver, *after, BATCH)));
            let events = read.await.map_err(|_| End::Gone)?;
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

    /// Takes a position in, and says what became of it.
    async fn take(&mut self, text: &str) -> Result<(), End> {
        let answer = match self.position(text) {
            Ok(verdict) => json!({"type": "position", "verdict": verdict}),
            Err(problem) => json!({"type": "problem", "problem": problem.document()}),
        };
        self.socket.text(answer.to_string()).await
    }

    fn position(&self, text: &str) -> Result<&'static str, Problem> {
        if let Some(seconds) = self.platform.limits.check(self.pass.caller).retry_after_s {
            let detail = format!("Too many messages. Slow down, for {seconds} s or so.");
            return Err(Refusal::new(Code::RateLimited, detail).into());
        }
        let verdict = take_position(&self.platform, &self.supply, self.driver, json::read_object(text.as_bytes())?)?;
        Ok(verdict.as_str())
    }
}
