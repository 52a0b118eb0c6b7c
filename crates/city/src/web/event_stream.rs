//! An event stream that reconnects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;

use super::call::AttemptError;
use super::sse::{Frame, Parser};
use super::{Backoff, Client, Session};

/// The service sends a comment every 15 s; a connection without three of them is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(45);

/// Returns the endless events of a stream. When a connection ends, reconnects after the last event, with back-off. Dropping
/// a pending `next()` loses no event.
pub(crate) fn event_stream(client: Arc<Client>, session: Arc<Session>, path: String) -> BoxStream<'static, Frame> {
    let backoff = Backoff::new(session.name());
    let stream =
        EventStream { client, session, path, parser: Parser::default(), open: None, ready: VecDeque::new(), backoff };
    futures_util::stream::unfold(stream, |mut stream| async {
        let frame = stream.next().await;
        Some((frame, stream))
    })
    .boxed()
}

struct EventStream {
    client: Arc<Client>,
    session: Arc<Session>,
    path: String,
    parser: Parser,
    open: Option<Response>,
    ready: VecDeque<Frame>,
    backoff: Backoff,
}

impl EventStream {
    async fn next(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return frame;
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
