//! Events of trips and drivers, as lists and as server-sent events. A stream reads the database, so that `Last-Event-ID` resumes it
//! without a gap in any process. Each read also checks that the caller may still see the trip: nothing is sent without that.

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::drivers::current_work;
use super::trips::visible_trip;
use crate::geo::Eta;
use crate::platform::Platform;
use crate::platform::auth::Caller;
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{LastEventHeader, read_number};
use crate::platform::http::sse::{self, EventSender, KEEP_ALIVE, StreamEnded};
use crate::platform::http::{Drivers, HttpResult, Participants, Request, negotiate};
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::wake::Wake;
use crate::trips::store;
use crate::trips::views::EventBody;
use crate::trips::watch::{DriverPosition, TripWatch, WatchedTrip};

/// The most events per read.
const BATCH: i64 = 100;

/// The interval of a driver stream's reads without a wake: wakes from other processes may be lost.
const SLOW_POLL: Duration = Duration::from_secs(5);

/// The page of events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    /// `next_cursor` of the previous page, the number of its last event; absent for the first page.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Items on the page, 1 to 100; 100 if absent.
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<i64>,
}

/// A page of a trip's events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EventsBody {
    /// The events, oldest first.
    #[schema(max_items = 100)]
    items: Vec<EventBody>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(minimum = 1)]
    next_cursor: Option<i64>,
}

/// List or stream a trip's events
///
/// A list, oldest first. The events of a trip are kept for 180 days after its end, unless configured otherwise. With `Accept: text/event-stream`, a stream of server-sent events: past events (after `Last-Event-ID`, if given),
/// then new ones. The name of a server-sent event is the event's type, its `id` the `seq`, its data the object of the list.
///
/// The stream also has events without an `id`. `driver_position`, at most once a second: `{"position": …, "recorded_at": …}`, and while the car
/// drives to the pickup or to the end of the ride, how long it still drives: `eta_s`, seconds, and `eta_source`, `streets` or `estimate`.
/// `positions_unavailable`, with `{"reason": "not_the_matcher"}`: this process does not know where the driver is, because only the matcher
/// receives positions. The trip's own events continue, and positions follow if the process becomes the matcher. A comment every 15 s keeps the
/// connection alive.
///
/// The stream ends when the trip is over and all its events were sent, when the token expires, and when the caller may no longer see the
/// trip: a driver who cancelled or was unassigned receives nothing more. To resume, repeat the request with the last `id`. After the last event
/// of a trip that is over the response is 204: do not reconnect.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/events", tag = "trips", operation_id = "list_trip_events",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip"), EventsQuery, LastEventHeader),
    responses((status = 200, description = "The events", content((EventsBody = "application/json"), (sse::Event = "text/event-stream"))),
        (status = 204, description = "The trip is over, and it has no events after `Last-Event-ID`: the stream has nothing more")))]
pub(super) async fn trip_events(request: Request<Participants>, watch: web::Data<TripWatch>) -> HttpResult {
    let trip = visible_trip(&request).await?;
    let (query, after): (EventsQuery, _) = (request.query()?, last_event_id(&request.http)?);
    if !wants_stream(&request.http) {
        return Ok(list(&request.platform, trip.id, query).await?);
    }
    let after = after.unwrap_or(0);
    if trip.state.is_over() && !has_events_after(&request.platform, trip.id, after).await? {
        return Ok(HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish());
    }
    let (sender, response) = sse::stream(request.stream_permit()?);
    let (platform, caller) = (request.platform.clone(), request.caller());
    let stream = TripStream { platform, caller, trip: trip.id, after, sender, shown: None, is_unavailable: false };
    actix_web::rt::spawn(async move {
        let _ended = stream.run(&watch).await;
    });
    Ok(response)
}

/// Returns whether a trip has events after `after`. The events of a trip that ended long ago are deleted.
async fn has_events_after(platform: &Platform, trip: TripId, after: i64) -> Result<bool> {
    let read = platform.db.read((trip, after), |conn, (trip, after)| Box::pin(store::events(conn, *trip, *after, 1)));
    Ok(!read.await?.is_empty())
}

async fn list(platform: &Platform, trip: TripId, query: EventsQuery) -> Result<HttpResponse> {
    let limit = query.limit.unwrap_or(BATCH);
    if !(1..=BATCH).contains(&limit) {
        let detail = format!("must be 1 to {BATCH}");
        return Err(Refusal::new(Code::InvalidRequest, format!("`limit` {detail}.")).field("limit", detail).into());
    }
    let after = query.cursor.unwrap_or(0);
    if after < 0 {
        let detail = "must be the number of an event";
        return Err(Refusal::new(Code::InvalidRequest, format!("`cursor` {detail}.")).field("cursor", detail).into());
    }
    let input = (trip, after, limit + 1);
    let events = platform
        .db
        .read(input, |conn, (trip, after, limit)| Box::pin(store::events(conn, *trip, *after, *limit)))
        .await?;
    let more = events.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    let mut items: Vec<EventBody> = events.into_iter().map(EventBody::from).collect();
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| more).map(EventBody::seq);
    Ok(HttpResponse::Ok().json(EventsBody { items, next_cursor }))
}

fn wants_stream(http: &HttpRequest) -> bool {
    negotiate(http, &[("application/json", false), ("text/event-stream", true)])
}

/// Returns the event after which the stream resumes.
pub(super) fn last_event_id(http: &HttpRequest) -> Result<Option<i64>> {
    let Some(value) = http.headers().get("last-event-id") else { return Ok(None) };
    let detail = "must be the number of an event of this stream";
    let wrong = || Refusal::new(Code::Malformed, format!("`Last-Event-ID` {detail}.")).field("Last-Event-ID", detail);
    Ok(Some(value.to_str().ok().and_then(read_number).ok_or_else(wrong)?))
}

struct TripStream {
    platform: Platform,
    caller: Caller,
    trip: TripId,
    /// The last event sent, or named by the client.
    after: i64,
    sender: EventSender,
    /// When the last position sent was recorded, and the ETA sent with it.
    shown: Option<(DomainTime, Option<Eta>)>,
    /// Whether the client knows that there are no positions.
    is_unavailable: bool,
}

impl TripStream {
    async fn run(mut self, watch: &TripWatch) -> Result<Infallible, StreamEnded> {
        let mut wakes = self.platform.db.wake_hub().subscribe(Wake::Trip(self.trip.uuid()));
        let mut watched = watch.subscribe(self.trip);
        self.send_events().await?;
        loop {
            tokio::select! {
                () = self.sender.ended() => return Err(StreamEnded),
                () = wakes.changed() => self.send_events().await?,
                trip = watched.next() => self.follow(trip).await?,
                () = tokio::time::sleep(KEEP_ALIVE) => {}
            }
            self.sender.keep_alive().await?;
        }
    }

    /// Sends the position of a trip as it was read. If there may be more to send or to check, reads the events instead.
    async fn follow(&mut self, watched: Option<WatchedTrip>) -> Result<(), StreamEnded> {
        match watched {
            Some(WatchedTrip { trip, position, eta, .. })
                if trip.is_visible_to(self.caller) && trip.version <= self.after && !trip.state.is_over() =>
            {
                self.send_position(position, eta).await
            }
            _ => self.send_events().await,
        }
    }

    /// Sends the new events.
    ///
    /// # Errors
    /// [`StreamEnded`] also if the caller may no longer see the trip, and if it is over.
    async fn send_events(&mut self) -> Result<(), StreamEnded> {
        loop {
            let input = (self.trip, self.caller, self.after);
            let read = self.platform.db.read(input, |conn, (trip, caller, after)| {
                Box::pin(async move {
                    let trip = store::find_visible(conn, *trip, *caller).await?;
                    Ok((store::events(conn, trip.id, *after, BATCH).await?, trip))
                })
            });
            let (mut events, trip) = read.await.map_err(|_| StreamEnded)?;
            let is_whole = i64::try_from(events.len()).is_ok_and(|count| count < BATCH);
            // An event after this version may be of a later driver: the caller's right to it is checked with the next read.
            events.retain(|event| event.seq <= trip.version);
            for event in events.into_iter().map(EventBody::from) {
                self.sender.send(Some(event.seq()), event.kind(), &event).await?;
                self.after = event.seq();
            }
            if is_whole {
                self.after = self.after.max(trip.version);
                return if trip.state.is_over() { Err(StreamEnded) } else { Ok(()) };
            }
        }
    }

    async fn send_position(&mut self, position: DriverPosition, eta: Option<Eta>) -> Result<(), StreamEnded> {
        let was_unavailable = std::mem::replace(&mut self.is_unavailable, position == DriverPosition::Unavailable);
        match position {
            DriverPosition::Known(known) if self.shown != Some((known.recorded_at, eta)) => {
                self.shown = Some((known.recorded_at, eta));
                let mut data = json!({"position": known.position, "recorded_at": known.recorded_at});
                if let Some(eta) = eta {
                    data["eta_s"] = eta.seconds().into();
                    data["eta_source"] = eta.source.as_str().into();
                }
                self.sender.send(None, "driver_position", &data).await
            }
            DriverPosition::Unavailable if !was_unavailable => {
                self.sender.send(None, "positions_unavailable", &json!({"reason": "not_the_matcher"})).await
            }
            _ => Ok(()),
        }
    }
}

/// Stream the driver's events
///
/// Server-sent events. The stream starts with a `snapshot`, or with `Last-Event-ID` after that event. `offer.created`, `offer.accepted`,
/// `offer.declined`, `offer.expired` and `offer.withdrawn` have the `offer`; `trip.` with a state, and `trip.driver_unassigned`, have the
/// `trip`. `driver.offline` comes when the service takes the driver offline, with `because`: `inactive` after 15 minutes without a position.
/// `hint.created` comes where demand is short of cars, to an idle driver, once in twenty minutes at most: `id`, `cell`, `position` (where to
/// go), `reason` and `expires_at`. Nothing follows from ignoring it.
/// All have `seq`, `type` and `at`. A comment every 15 s keeps the connection alive. The stream ends when the token expires: reconnect
/// with a new token and the last `id`, as after a broken connection. A caller may have six streams open; the seventh is a 429.
#[utoipa::path(get, path = "/v1/drivers/me/events", tag = "drivers", operation_id = "follow_driver_events",
    security(("driver" = [])), params(LastEventHeader),
    responses((status = 200, description = "The stream", body = sse::Event, content_type = "text/event-stream")))]
pub(super) async fn driver_events(request: Request<Drivers>) -> HttpResult {
    let Some(driver) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let after = last_event_id(&request.http)?;
    let (sender, response) = sse::stream(request.stream_permit()?);
    let stream = DriverStream { platform: request.platform.clone(), driver, sender };
    actix_web::rt::spawn(async move {
        let _ended = stream.run(after).await;
    });
    Ok(response)
}

struct DriverStream {
    platform: Platform,
    driver: DriverId,
    sender: EventSender,
}

impl DriverStream {
    async fn run(mut self, after: Option<i64>) -> Result<Infallible, StreamEnded> {
        let mut wakes = self.platform.db.wake_hub().subscribe(Wake::Driver(self.driver.uuid()));
        let mut after = match after {
            Some(after) => after,
            None => {
                let (after, snapshot) = driver_snapshot(&self.platform, self.driver).await.map_err(|_| StreamEnded)?;
                self.sender.send(Some(after), "snapshot", &snapshot).await?;
                after
            }
        };
        loop {
            let input = (self.driver, after);
            let events = self
                .platform
                .db
                .read(input, |conn, (driver, after)| Box::pin(store::driver_events(conn, *driver, *after, BATCH)));
            let events = events.await.map_err(|_| StreamEnded)?;
            let is_whole = i64::try_from(events.len()).is_ok_and(|count| count < BATCH);
            for event in events {
                after = event.seq;
                self.sender.send(Some(after), &event.kind, &driver_frame(&event)).await?;
            }
            if !is_whole {
                continue;
            }
            tokio::select! {
                () = self.sender.ended() => return Err(StreamEnded),
                () = wakes.changed() => {}
                () = tokio::time::sleep(SLOW_POLL) => {}
            }
            self.sender.keep_alive().await?;
        }
    }
}

/// Returns the driver's snapshot and the number of their last event. The snapshot may include the effect of a later event, which is
/// then sent as well.
pub(super) async fn driver_snapshot(platform: &Platform, driver: DriverId) -> Result<(i64, Value)> {
    let read = platform.db.read(driver, |conn, driver| {
        Box::pin(async move {
            let after = store::last_driver_seq(conn, *driver).await?;
            let (offer, trip) = current_work(conn, *driver).await?;
            Ok((after, json!({"type": "snapshot", "offer": offer, "trip": trip})))
        })
    });
    read.await
}

/// Returns a driver event as JSON: its data with number, type and time.
pub(super) fn driver_frame(event: &store::DriverEvent) -> Value {
    let mut data = event.data.clone();
    data["seq"] = event.seq.into();
    data["type"] = event.kind.clone().into();
    data["at"] = json!(event.at);
    data
}
