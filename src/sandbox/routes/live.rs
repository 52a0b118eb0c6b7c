//! The live map's WebSocket.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Payload;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::platform::Platform;
use crate::platform::http::socket::{End, Head, Heard, Socket};
use crate::platform::http::{Everybody, Reply};
use crate::platform::ids::DriverId;
use crate::sandbox::Sandbox;
use crate::sandbox::live::{Area, Drivers, Feed, Rides, Watcher, WorldBody};

/// Messages that a map may be behind. It gets no more until it says that it has seen some, and then what is true by then: a slow
/// reader sees fewer moments, not older ones.
const UNSEEN_MAX: u64 = 3;

/// A map that has said nothing for so long is not looking; its tab may be asleep. It may come again.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// Watch the city move
///
/// Without an upgrade: the world as it is now, once. As a WebSocket, what the console's map is made of; a map speaks in JSON text:
///
/// - `{"view": {"south": …, "west": …, "north": …, "east": …}}`: what it looks at, in degrees; first thing, and whenever it
///   changes. Across the antimeridian `east` goes on past 180.
/// - `{"seen": 12}`: how many messages it has been through. No more than three unseen ones are sent.
/// - `{"who": 17}`: whose handle is it? The answer is `{"type": "driver", "handle": 17, "driver_id": "drv_…"}`, null if nobody's.
/// - `{"where": "drv_…"}`: the other way round; the answer has the driver's `position` too, null if they are not online.
///
/// It hears of trips and counts as text, once a second: the same object as without an upgrade, with the
/// trips in view. Where drivers are it hears in binary frames, up to four a second, of those in view and a quarter around it:
/// little-endian; u8 kind (1: forget what was before, 2: changes), 3 bytes of nothing, u32 *n*, u32 *m*, 4 bytes of nothing; f64
/// south, west, north, east of the area; *n* u32 handles, *m* u32 handles of drivers who are gone; *n* u16 x and *n* u16 y, from
/// 0 at the western and southern edge to 65535; *n* u8: 0 free, 1 offered, 2 to pickup, 3 on trip, 4 silent.
#[utoipa::path(get, path = "/v1/sandbox/live", tag = "sandbox", operation_id = "watch_city", security(()),
    responses((status = 200, description = "The world now", body = WorldBody),
        (status = 101, description = "A WebSocket, as described")))]
pub(super) async fn live(head: Head<Everybody>, body: Payload, sandbox: web::Data<Sandbox>) -> Reply {
    let live = sandbox.live();
    if !head.wants_socket() {
        return Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(live.glance().await?));
    }
    let watcher = live.watch()?;
    let (socket, response) = Socket::open(&head, body)?;
    let map = Map { platform: head.platform, watcher, socket, feed: None, told: None, sent: 0, seen: 0 };
    actix_web::rt::spawn(map.run());
    Ok(response)
}

/// What a map says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    View(Area),
    Seen(u64),
    Who(u32),
    Where(DriverId),
}

/// One map, and how far it is.
struct Map {
    platform: Platform,
    watcher: Watcher,
    socket: Socket,
    feed: Option<Feed>,
    /// Those that it was told of last; none since its view has changed.
    told: Option<Arc<Rides>>,
    sent: u64,
    seen: u64,
}

impl Map {
    async fn run(mut self) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        self.socket.close(end).await;
    }

    /// Waits for one thing, and deals with it.
    async fn turn(&mut self) -> Result<(), End> {
        let may_send = self.feed.is_some() && self.sent.saturating_sub(self.seen) < UNSEEN_MAX;
        tokio::select! {
            () = self.platform.shutdown.cancelled() => Err(End::Gone),
            () = tokio::time::sleep(SILENT_MAX) => Err(End::Wrong("nothing was seen for a minute".to_owned())),
            heard = self.socket.hear() => match heard? {
                Heard::Text(text) => self.hear(&text).await,
                Heard::Life => Ok(()),
            },
            news = self.watcher.drivers.changed(), if may_send => {
                news.map_err(|_| End::Gone)?;
                self.show().await
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Result<(), End> {
        match serde_json::from_str(text).map_err(|error| End::Wrong(error.to_string()))? {
            Said::View(view) => {
                let area = Area::around(view).map_err(|error| End::Wrong(error.to_string()))?;
                self.feed = Some(Feed::new(area));
                self.told = None;
                self.watcher.drivers.mark_changed();
            }
            Said::Seen(seen) => self.seen = seen.min(self.sent),
            Said::Who(handle) => {
                let driver_id = self.watcher.drivers.borrow().driver(handle);
                self.tell(json!({"type": "driver", "handle": handle, "driver_id": driver_id}).to_string()).await?;
            }
            Said::Where(driver_id) => {
                let found = self.watcher.drivers.borrow().find(driver_id);
                let (handle, position) = found.map(|(handle, dot)| (handle, dot.place)).unzip();
                let answer = json!({"type": "driver", "handle": handle, "driver_id": driver_id, "position": position});
                self.tell(answer.to_string()).await?;
            }
        }
        Ok(())
    }

    /// Sends what is new of drivers and trips.
    async fn show(&mut self) -> Result<(), End> {
        let drivers: Arc<Drivers> = self.watcher.drivers.borrow_and_update().clone();
        let Some(feed) = &mut self.feed else { return Ok(()) };
        if let Some(frame) = feed.next(&drivers) {
            self.sent += 1;
            self.socket.binary(frame).await?;
        }
        let rides = self.watcher.rides.borrow_and_update().clone();
        if self.told.as_ref().is_some_and(|told| Arc::ptr_eq(told, &rides)) {
            return Ok(());
        }
        let world = rides.body(&drivers, Some(feed.area()));
        self.told = Some(rides);
        self.tell(serde_json::to_string(&world).map_err(|error| End::Wrong(error.to_string()))?).await
    }

    async fn tell(&mut self, text: String) -> Result<(), End> {
        self.sent += 1;
        self.socket.text(text).await
    }
}
