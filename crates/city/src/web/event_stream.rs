//! An event stream that reconnects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;

use super::call::AttemptError;
use super::sse::{Frame, Parser};
use super::{Backoff, CallError, Client, Session};

/// The service sends a comment every 15 s; a connection without three of them is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// Returns the endless events of a stream. When a connection ends, reconnects after the last event, with back-off. Dropping
/// a pending `next()` loses no event.
pub(crate) fn event_stream(client: Arc<Client>, session: Arc<Session>, path: String) -> BoxStream<'static, Frame> {
    EventStream::new(client, session, path, WhenNotFound::Retry).into_stream()
}

/// Returns the events of an object as [`event_stream`] does. Ends when the service has no such object (404), for example after a
/// reset.
pub(crate) fn object_events(client: Arc<Client>, session: Arc<Session>, path: String) -> BoxStream<'static, Frame> {
    EventStream::new(client, session, path, WhenNotFound::End).into_stream()
}

/// What a response 404 means for a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenNotFound {
    Retry,
    End,
}

struct EventStream {
    client: Arc<Client>,
    session: Arc<Session>,
    path: String,
    parser: Parser,
    open: Option<Response>,
    ready: VecDeque<Frame>,
    backoff: Backoff,
    when_not_found: WhenNotFound,
    has_ended: bool,
}

impl EventStream {
    fn new(client: Arc<Client>, session: Arc<Session>, path: String, when_not_found: WhenNotFound) -> Self {
        let backoff = Backoff::new(session.name());
        let (parser, open, ready) = (Parser::default(), None, VecDeque::new());
        Self { client, session, path, parser, open, ready, backoff, when_not_found, has_ended: false }
    }

    fn into_stream(self) -> BoxStream<'static, Frame> {
        futures_util::stream::unfold(self, |mut stream| async {
            let frame = stream.next().await?;
            Some((frame, stream))
        })
        .boxed()
    }

    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.has_ended {
                return None;
            }
            match self.open.take() {
                Some(response) => self.read(response).await,
                None => self.connect().await,
            }
        }
    }

    /// Reads the next bytes of the connection, and keeps it unless it has ended.
    async fn read(&mut self, mut response: Response) {
        match tokio::time::timeout(SILENCE_TIMEOUT, response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let mut frames = Vec::new();
                if self.parser.read(&bytes, &mut frames).is_ok() {
                    self.open = Some(response);
                }
                self.backoff.reset();
                self.ready.extend(frames);
            }
            // The server ended the stream: wait before reconnecting.
            Ok(Ok(None)) => self.pause(None).await,
            Ok(Err(_)) | Err(_) => {
                self.client.count_broken_stream();
                self.pause(None).await;
            }
        }
    }

    async fn connect(&mut self) {
        let last_id = self.parser.resume_from().map(str::to_owned);
        match self.client.open(&self.session, &self.path, last_id.as_deref()).await {
            Ok(response) => {
                // Discard the incomplete event of the previous connection.
                self.parser = Parser::after(last_id);
                self.open = Some(response);
            }
            Err(AttemptError::Transient { retry_after, .. }) => self.pause(retry_after).await,
            Err(AttemptError::TokenRejected) => self.pause(None).await,
            Err(AttemptError::Permanent(CallError::Rejected { status: 404, .. }))
                if self.when_not_found == WhenNotFound::End =>
            {
                self.has_ended = true;
            }
            Err(AttemptError::Permanent(_)) => {
                // The service may no longer have the last event: start again without it.
                self.parser = Parser::default();
                self.pause(None).await;
            }
        }
    }

    async fn pause(&mut self, retry_after: Option<Duration>) {
        let wait = self.backoff.wait(retry_after);
        tokio::time::sleep(wait).await;
    }
}
