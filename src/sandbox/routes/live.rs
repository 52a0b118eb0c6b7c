//! The live map's WebSocket.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Payload;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::socket::{Disconnect, Received, RequestHead, Socket};
use crate::platform::http::{HttpResult, Problem, Public, json};
use crate::platform::ids::DriverId;
use crate::sandbox::Sandbox;
use crate::sandbox::live::{Area, Drivers, Feed, Rides, Subscription, WorldBody};

/// The most unacknowledged messages. A map gets no more until it acknowledges, and then the newest state: a slow reader misses
/// frames but never lags.
const UNACKNOWLEDGED_MAX: u64 = 3;

/// A map without a message for this long is closed: its tab may be suspended, and can reconnect.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The most invalid messages of a connection. A map that sends more has a fault that no answer mends, and is closed.
const INVALID_MAX: u32 = 20;

/// Watch the live map
///
/// Without an upgrade: the world once. As a WebSocket, the data of the console's map. The client sends JSON text:
///
/// - `{"view": {"south": …, "west": …, "north": …, "east": …}}`: the visible area, degrees; first, and after each change. Across the
///   antimeridian `east` exceeds 180.
/// - `{"ack": 12}`: how many messages it has processed. The service sends at most three unacknowledged ones.
/// - `{"identify": 17}`: whose handle is 17? The answer is `{"type": "driver", "handle": 17, "driver_id": "drv_…"}`; `driver_id` is null for
///   an unknown handle.
/// - `{"locate": "drv_…"}`: the reverse; the answer also has the driver's `position`, null if they are not online.
///
/// An invalid message is answered with `{"type": "problem", "problem": {…}}`, which names the field, and changes nothing else. The
/// connection closes after more than 20 of them.
///
/// The service sends trips and counts as text, once a second: the same object as without an upgrade, with the trips in view. It sends driver
/// positions in binary frames, up to four a second, for the view and a margin of a quarter: little-endian; u8 kind (1 replaces all drivers,
/// 2 has changes), 3 bytes padding, u32 *n*, u32 *m*, 4 bytes padding; f64 south, west, north, east of the area; *n* u32 handles, *m* u32
/// handles of removed drivers; *n* u16 x and *n* u16 y, from 0 at the western and southern edges to 65535; *n* u8: 0 free, 1 offered, 2 to
/// pickup, 3 on trip, 4 stale.
#[utoipa::path(get, path = "/v1/sandbox/live", tag = "sandbox", operation_id = "watch_city", security(()),
    responses((status = 200, description = "The world", body = WorldBody),
        (status = 101, description = "A WebSocket, as described")))]
pub(super) async fn live(head: RequestHead<Public>, body: Payload, sandbox: web::Data<Sandbox>) -> HttpResult {
    let live = &sandbox.live;
    let permit = head.stream_permit()?;
    if !head.wants_socket() {
        return Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(live.snapshot().await?));
    }
    let (socket, response) = Socket::open(&head, body, permit)?;
    let map = Map {
        subscription: live.subscribe(),
        socket,
        feed: None,
        sent_rides: None,
        sent: 0,
        acknowledged: 0,
        invalid: 0,
    };
    actix_web::rt::spawn(map.run());
    Ok(response)
}

/// A message of a map: exactly one of the fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageFields {
    view: Option<Area>,
    ack: Option<u64>,
    identify: Option<u32>,
    locate: Option<DriverId>,
}

/// A valid message of a map.
enum MapMessage {
    View(Area),
    Ack(u64),
    Identify(u32),
    Locate(DriverId),
}

impl MapMessage {
    /// Parses a message, and adds the margin to a view.
    ///
    /// # Errors
    /// If it is not an object with exactly one of the fields, or the field is invalid. The error names the field.
    fn parse(text: &str) -> Result<Self> {
        let invalid = |pointer: &str, detail: String| {
            Refusal::new(Code::InvalidRequest, format!("The message is invalid: {detail}.")).field(pointer, detail)
        };
        let MessageFields { view, ack, identify, locate } = json::read_object(text.as_bytes())?;
        Ok(match (view, ack, identify, locate) {
            (Some(view), None, None, None) => {
                Self::View(Area::around(view).map_err(|error| invalid("/view", error.to_string()))?)
            }
            (None, Some(ack), None, None) => Self::Ack(ack),
            (None, None, Some(identify), None) => Self::Identify(identify),
            (None, None, None, Some(locate)) => Self::Locate(locate),
            _ => return Err(invalid("", "must have one of `view`, `ack`, `identify`, `locate`".to_owned()).into()),
        })
    }
}

/// A connected map.
struct Map {
    subscription: Subscription,
    socket: Socket,
    feed: Option<Feed>,
    /// The trips sent last; `None` since the view changed.
    sent_rides: Option<Arc<Rides>>,
    sent: u64,
    acknowledged: u64,
    /// Invalid messages so far.
    invalid: u32,
}

impl Map {
    async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.step().await {
                break end;
            }
        };
        self.socket.close(end).await;
    }

    /// Waits for one event and handles it.
    async fn step(&mut self) -> Result<(), Disconnect> {
        let may_send = self.feed.is_some() && self.sent.saturating_sub(self.acknowledged) < UNACKNOWLEDGED_MAX;
        tokio::select! {
            () = tokio::time::sleep(IDLE_MAX) => Err(Disconnect::Violation("no message for a minute".to_owned())),
            received = self.socket.receive() => match received? {
                Received::Text(text) => self.handle(&text).await,
                Received::KeepAlive => Ok(()),
            },
            changed = self.subscription.drivers.changed(), if may_send => {
                changed.map_err(|_| Disconnect::Gone)?;
                self.send_changes().await
            }
        }
    }

    async fn handle(&mut self, text: &str) -> Result<(), Disconnect> {
        let message = match MapMessage::parse(text) {
            Ok(message) => message,
            Err(error) => return self.refuse(error.into()).await,
        };
        match message {
            MapMessage::View(area) => {
                self.feed = Some(Feed::new(area));
                self.sent_rides = None;
                self.subscription.drivers.mark_changed();
            }
            MapMessage::Ack(count) => self.acknowledged = count.min(self.sent),
            MapMessage::Identify(handle) => {
                let driver_id = self.subscription.drivers.borrow().driver(handle);
                self.send(json!({"type": "driver", "handle": handle, "driver_id": driver_id}).to_string()).await?;
            }
            MapMessage::Locate(driver_id) => {
                let found = self.subscription.drivers.borrow().find(driver_id);
                let (handle, position) = found.map(|(handle, dot)| (handle, dot.position)).unzip();
                let answer = json!({"type": "driver", "handle": handle, "driver_id": driver_id, "position": position});
                self.send(answer.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Answers an invalid message; closes the connection after too many.
    async fn refuse(&mut self, problem: Problem) -> Result<(), Disconnect> {
        self.invalid += 1;
        if self.invalid > INVALID_MAX {
            return Err(Disconnect::Violation(format!("more than {INVALID_MAX} invalid messages")));
        }
        self.send(json!({"type": "problem", "problem": problem.document()}).to_string()).await
    }

    /// Sends changes of drivers and trips.
    async fn send_changes(&mut self) -> Result<(), Disconnect> {
        let drivers: Arc<Drivers> = self.subscription.drivers.borrow_and_update().clone();
        let Some(feed) = &mut self.feed else { return Ok(()) };
        if let Some(frame) = feed.next(&drivers) {
            self.sent += 1;
            self.socket.binary(frame).await?;
        }
        let rides = self.subscription.rides.borrow_and_update().clone();
        if self.sent_rides.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, &rides)) {
            return Ok(());
        }
        let world = rides.body(&drivers, Some(feed.area()));
        self.sent_rides = Some(rides);
        self.send(serde_json::to_string(&world).map_err(|error| Disconnect::Violation(error.to_string()))?).await
    }

    async fn send(&mut self, text: String) -> Result<(), Disconnect> {
        self.sent += 1;
        self.socket.text(text).await
    }
}
