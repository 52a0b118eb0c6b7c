//! Server-sent events: a task writes events into a bounded channel, and the response streams them. When the client disconnects,
//! the channel closes and the task ends.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// The most events that wait for a slow client. Beyond them, the task waits.
const FRAMES_MAX: usize = 64;

/// The interval of comments on an idle stream, so that both sides notice a dead connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event of a stream. OpenAPI cannot describe a stream of events, so the document shows one.
#[derive(Debug, ToSchema)]
#[schema(as = ServerSentEvent)]
#[expect(dead_code, reason = "a schema; `EventSender::send` writes the text")]
pub struct Event {
    /// The value for `Last-Event-ID`; absent for events without a number.
    #[schema(nullable = false, pattern = "^[0-9]+$", max_length = 19, example = "4")]
    id: Option<String>,
    /// The type of the event.
    #[schema(max_length = 64, example = "trip.assigned")]
    event: String,
    /// A JSON object on one line.
    #[schema(content_media_type = "application/json", max_length = 65_536)]
    data: String,
}

/// The sending end of a stream.
#[derive(Debug, Clone)]
pub struct EventSender(mpsc::Sender<Bytes>);

/// The client disconnected.
#[derive(Debug)]
pub struct Disconnected;

impl EventSender {
    /// Sends an event. `id` is the value for `Last-Event-ID`; events without a number have none.
    ///
    /// # Errors
    /// [`Disconnected`]
    pub async fn send(&self, id: Option<i64>, event: &str, data: &impl Serialize) -> Result<(), Disconnected> {
        let data = serde_json::to_string(data).map_err(|_| Disconnected)?;
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.raw(format!("{id}event: {event}\ndata: {data}\n\n")).await
    }

    /// Sends a comment that keeps the connection alive.
    ///
    /// # Errors
    /// [`Disconnected`]
    pub async fn keep_alive(&self) -> Result<(), Disconnected> {
        self.raw(": keep-alive\n\n".to_owned()).await
    }

    /// Waits until the client disconnects.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    async fn raw(&self, frame: String) -> Result<(), Disconnected> {
        self.0.send(Bytes::from(frame)).await.map_err(|_| Disconnected)
    }
}

/// Returns a streaming response and its sender.
pub fn stream() -> (EventSender, HttpResponse) {
    let (sender, receiver) = mpsc::channel(FRAMES_MAX);
    let body = stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, actix_web::Error>(frame), receiver))
    });
    let response = HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body);
    (EventSender(sender), response)
}
