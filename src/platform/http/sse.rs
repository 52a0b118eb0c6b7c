//! Server-sent events: a task writes frames into a small channel, the response streams them out. When the client goes, the
//! channel closes and the task ends.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

/// Frames that wait for a slow client before its task waits for it.
const FRAMES_MAX: usize = 64;

/// A comment is sent when nothing else was for this long, so that both sides notice a dead connection.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One event of a stream, for the published document, which has no word for "any number of these".
#[derive(Debug, ToSchema)]
#[schema(as = ServerSentEvent)]
#[expect(dead_code, reason = "`Frames::send` writes it as text")]
pub struct Event {
    /// What `Last-Event-ID` resumes from; absent where the event is not numbered.
    #[schema(nullable = false, pattern = "^[0-9]+$", max_length = 19, example = "4")]
    id: Option<String>,
    /// What it is about.
    #[schema(max_length = 64, example = "trip.assigned")]
    event: String,
    /// A JSON object, in one line.
    #[schema(content_media_type = "application/json", max_length = 65_536)]
    data: String,
}

/// The writing end of a stream.
#[derive(Debug, Clone)]
pub struct Frames(mpsc::Sender<Bytes>);

/// The client has gone.
#[derive(Debug)]
pub struct Gone;

impl Frames {
    /// Sends an event. `id` is what `Last-Event-ID` resumes from; news that are not numbered have none.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    pub async fn send(&self, id: Option<i64>, event: &str, data: &impl Serialize) -> Result<(), Gone> {
        let data = serde_json::to_string(data).map_err(|_| Gone)?;
        let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        self.raw(format!("{id}event: {event}\ndata: {data}\n\n")).await
    }

    /// Sends a comment that keeps the connection alive.
    ///
    /// # Errors
    /// [`Gone`] when nobody reads any more.
    pub async fn keep_alive(&self) -> Result<(), Gone> {
        self.raw(": keep-alive\n\n".to_owned()).await
    }

    /// Returns when nobody reads any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    async fn raw(&self, frame: String) -> Result<(), Gone> {
        self.0.send(Bytes::from(frame)).await.map_err(|_| Gone)
    }
}

/// A response that streams what the returned end is given.
pub fn stream() -> (Frames, HttpResponse) {
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
    (Frames(sender), response)
}
