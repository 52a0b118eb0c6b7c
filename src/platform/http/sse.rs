//! Server-sent events: a task writes events into a bounded channel, and the response streams them. When the client disconnects or the
//! stream's permit ends, the task ends.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::stream_permit::StreamPermit;
use crate::platform::clock::Stopwatch;

/// The most events that wait for a slow client. Beyond them, the task waits.
const FRAMES_MAX: usize = 64;

/// How long the task waits for a slow client. A client that stays behind for longer is disconnected.
const SEND_MAX: Duration = Duration::from_secs(10);

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

/// The sending end of a stream. The stream ends when it is dropped.
#[derive(Debug)]
pub struct EventSender {
    frames: mpsc::Sender<Bytes>,
    permit: StreamPermit,
    /// Since the last frame.
    quiet: Stopwatch,
}

/// The stream has ended: the client is gone or too slow, the permit has ended, or there is nothing more to send.
#[derive(Debug)]
pub struct StreamEnded;

impl EventSender {
    /// Sends an event. `id` is the value for `Last-Event-ID`; events without a number have none.
    ///
    /// # Errors
    /// [`StreamEnded`]
    pub async fn send(&mut self, id: Option<i64>, event: &str, data: &impl Serialize) -> Result<(), StreamEnded> {
        let data = serde_json::to_string(data).map_err(|_| StreamEnded)?;
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.raw(format!("{id}event: {event}\ndata: {data}\n\n")).await
    }

    /// Sends a comment that keeps the connection alive, if nothing was sent for [`KEEP_ALIVE`].
    ///
    /// # Errors
    /// [`StreamEnded`]
    pub async fn keep_alive(&mut self) -> Result<(), StreamEnded> {
        if self.quiet.elapsed() < KEEP_ALIVE {
            return Ok(());
        }
        self.raw(": keep-alive\n\n".to_owned()).await
    }

    /// Waits until the client disconnects or the permit ends.
    pub async fn ended(&self) {
        tokio::select! {
            _end = self.permit.ended() => {}
            () = self.frames.closed() => {}
        }
    }

    async fn raw(&mut self, frame: String) -> Result<(), StreamEnded> {
        let sending = tokio::time::timeout(SEND_MAX, self.frames.send(Bytes::from(frame)));
        let sent = tokio::select! {
            biased;
            _end = self.permit.ended() => return Err(StreamEnded),
            sent = sending => sent,
        };
        self.quiet = Stopwatch::start();
        sent.map_err(|_elapsed| StreamEnded)?.map_err(|_closed| StreamEnded)
    }
}

/// Returns a streaming response and its sender.
pub fn stream(permit: StreamPermit) -> (EventSender, HttpResponse) {
    let (frames, receiver) = mpsc::channel(FRAMES_MAX);
    let body = stream::unfold(receiver, |mut receiver| async move {
        let frame = receiver.recv().await?;
        Some((Ok::<_, actix_web::Error>(frame), receiver))
    });
    let response = HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body);
    (EventSender { frames, permit, quiet: Stopwatch::start() }, response)
}
