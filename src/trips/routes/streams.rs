//! Events of trips and drivers, as lists and as server-sent events. A stream reads the database, so that `Last-Event-ID` resumes it
//! without a gap in any process.

use std::time::Duration;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::drivers::current_work;
use super::trips::visible_trip;
use crate::platform::Platform;
use crate::platform::clock::Stopwatch;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{LastEventHeader, read_number};
use crate::platform::http::sse::{self, Disconnected, EventSender, KEEP_ALIVE};
use crate::platform::http::{Audience, Drivers, HttpResult, Participants, Request};
use crate::platform::ids::{DriverId, Id, TripId};
use crate::platform::wake::{Wake, WakeSubscription};
use crate::supply::Supply;
use crate::trips::store;
use crate::trips::views::EventBody;

/// The most events per read.
const BATCH: i64 = 100;

/// The interval of reads without a wake: wakes from other processes may be lost.
const SLOW_POLL: Duration = Duration::from_secs(5);

/// The shortest interval between two positions on a stream.
const POSITION_EVERY: Duration = Duration::from_secs(1);

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
/// A list, oldest first. With `Accept: text/event-stream`, a stream of server-sent events: past events (after `Last-Event-ID`, if given),
/// then new ones until the trip is over. The name of a server-sent event is the event's type, its `id` the `seq`, its data the object of
/// the list. The stream also has `driver_position`, without an `id`, at most once a second: `{"position": …, "recorded_at": …}`. A comment
/// every 15 s keeps the connection alive.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/events", tag = "trips", operation_id = "list_trip_events",
    security(("rider" = []), ("driver" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip"), EventsQuery, LastEventHeader),
    responses((status = 200, description = "The events", content((EventsBody = "application/json"), (sse::Event = "text/event-stream")))))]
pub(super) async fn trip_events(request: Request<Participants>, supply: web::Data<Supply>) -> HttpResult {
    let trip = visible_trip(&request).await?;
    let (query, after): (EventsQuery, _) = (request.query()?, last_event_id(&request.http)?);
    if !wants_stream(&request) {
        return Ok(list(&request.platform, trip.id, query).await?);
    }
    let after = after.unwrap_or(0);
    let (sender, response) = sse::stream();
    let stream = TripStream { platform: request.platform.clone(), supply: supply.into_inner(), trip: trip.id, sender };
    actix_web::rt::spawn(async move {
        let _disconnected = stream.run(after).await;
    });
    Ok(response)
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

fn wants_stream<A: Audience>(request: &Request<A>) -> bool {
    let accept = request.http.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// Returns the event after which the stream resumes.
pub(super) fn last_event_id(http: &HttpRequest) -> Result<Option<i64>> {
    let Some(value) = http.headers().get("last-event-id") else { return Ok(None) };
    let wrong = || Refusal::new(Code::Malformed, "`Last-Event-ID` must be the number of an event of this stream.");
    Ok(Some(value.to_str().ok().and_then(read_number).ok_or_else(wrong)?))
}

/// Waits for a wake or for `pause`, after which there may be new events.
///
/// # Errors
/// If the client has disconnected or the process shuts down.
async fn wait(
    platform: &Platform,
    subscription: &mut WakeSubscription,
    sender: &EventSender,
    pause: Duration,
) -> Result<(), Disconnected> {
    tokio::select! {
        () = platform.shutdown.cancelled() => Err(Disconnected),
        () = subscription.changed() => Ok(()),
        () = tokio::time::sleep(pause) => Ok(()),
        () = sender.closed() => Err(Disconnected),
    }
}

struct TripStream {
    platform: Platform,
    supply: std::sync::Arc<Supply>,
    trip: TripId,
    sender: EventSender,
}

impl TripStream {
    async fn run(self, mut after: i64) -> Result<(), Disconnected> {
        let mut subscription = self.platform.db.wake_hub().subscribe(Wake::Trip(self.trip.uuid()));
        let (mut quiet, mut driver, mut shown) = (Stopwatch::start(), self.driver().await?, None);
        loop {
            let input = (self.trip, after);
            let events =
                self.platform.db.read(input, |conn, (trip, after)| Box::pin(store::events(conn, *trip, *after, BATCH)));
            let events = events.await.map_err(|_| Disconnected)?;
            if !events.is_empty() {
                driver = self.driver().await?;
                quiet = Stopwatch::start();
            }
            for event in events.into_iter().map(EventBody::from) {
                after = event.seq();
                self.sender.send(Some(after), event.kind(), &event).await?;
                if event.is_last() {
                    return Ok(());
                }
            }
            let pause = if driver.is_some() { POSITION_EVERY } else { SLOW_POLL };
            wait(&self.platform, &mut subscription, &self.sender, pause).await?;
            self.show_position(driver, &mut shown).await?;
            if quiet.elapsed() >= KEEP_ALIVE {
                self.sender.keep_alive().await?;
                quiet = Stopwatch::start();
            }
        }
    }

    async fn driver(&self) -> Result<Option<DriverId>, Disconnected> {
        let trip = self
            .platform
            .db
            .read(self.trip, |conn, id| Box::pin(store::find(conn, *id)))
            .await
            .map_err(|_| Disconnected)?;
        Ok(trip.filter(|trip| trip.state.has_driver()).and_then(|trip| trip.driver_id))
    }

    async fn show_position(
        &self,
        driver: Option<DriverId>,
        shown: &mut Option<(Stopwatch, i64)>,
    ) -> Result<(), Disconnected> {
        let Some(known) = driver.and_then(|driver| self.supply.position(driver)) else { return Ok(()) };
        let recorded = known.recorded_at.utc().timestamp_micros();
        let is_new = shown.is_none_or(|(since, last)| last != recorded && since.elapsed() >= POSITION_EVERY);
        if is_new {
            *shown = Some((Stopwatch::start(), recorded));
            let data = json!({"position": known.position, "recorded_at": known.recorded_at});
            self.sender.send(None, "driver_position", &data).await?;
        }
        Ok(())
    }
}

/// Stream the driver's events
///
/// Server-sent events. The stream starts with a `snapshot`, or with `Last-Event-ID` after that event. `offer.created`, `offer.accepted`,
/// `offer.declined`, `offer.expired` and `offer.withdrawn` have the `offer`; `trip.` with a state, and `trip.driver_unassigned`, have the
/// `trip`. All have `seq`, `type` and `at`. A comment every 15 s keeps the connection alive. The stream never ends: reconnect with the last
/// `id` when it breaks.
#[utoipa::path(get, path = "/v1/drivers/me/events", tag = "drivers", operation_id = "follow_driver_events",
    security(("driver" = [])), params(LastEventHeader),
    responses((status = 200, description = "The stream", body = sse::Event, content_type = "text/event-stream")))]
pub(super) async fn driver_events(request: Request<Drivers>) -> HttpResult {
    let Some(driver) = request.caller().driver() else { unreachable!("the audience is drivers") };
    let after = last_event_id(&request.http)?;
    let (sender, response) = sse::stream();
    let stream = DriverStream { platform: request.platform.clone(), driver, sender };
    actix_web::rt::spawn(async move {
        let _disconnected = stream.run(after).await;
    });
    Ok(response)
}

struct DriverStream {
    platform: Platform,
    driver: DriverId,
    sender: EventSender,
}

impl DriverStream {
    async fn run(self, after: Option<i64>) -> Result<(), Disconnected> {
        let mut subscription = self.platform.db.wake_hub().subscribe(Wake::Driver(self.driver.uuid()));
        let mut after = match after {
            Some(after) => after,
            None => {
                let (after, snapshot) = driver_snapshot(&self.platform, self.driver).await.map_err(|_| Disconnected)?;
                self.sender.send(Some(after), "snapshot", &snapshot).await?;
                after
            }
        };
        let mut quiet = Stopwatch::start();
        loop {
            let input = (self.driver, after);
            let events = self
                .platform
                .db
                .read(input, |conn, (driver, after)| Box::pin(store::driver_events(conn, *driver, *after, BATCH)));
            for event in events.await.map_err(|_| Disconnected)? {
                after = event.seq;
                self.sender.send(Some(after), &event.kind, &driver_frame(&event)).await?;
                quiet = Stopwatch::start();
            }
            wait(&self.platform, &mut subscription, &self.sender, SLOW_POLL).await?;
            if quiet.elapsed() >= KEEP_ALIVE {
                self.sender.keep_alive().await?;
                quiet = Stopwatch::start();
            }
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
