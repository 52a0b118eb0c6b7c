//! A stream of events that outlives its connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use reqwest::Response;

use super::call::Setback;
use super::sse::{Frame, Parser};
use super::{Backoff, Client, Session};

/// The service sends a comment every 15 s; a connection that is silent for three of them is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Follows an event stream for ever. When a connection ends or breaks it is taken up again after the last event's id, with
/// a jittered back-off. Dropping a `next()` half-way loses nothing.
pub(crate) fn follow(client: Arc<Client>, session: Arc<Session>, path: String) -> BoxStream<'static, Frame> {
    let backoff = Backoff::new(session.name());
    let follower =
        Follower { client, session, path, parser: Parser::default(), open: None, ready: VecDeque::new(), backoff };
    stream::unfold(follower, |mut follower| async {
        let frame = follower.next().await;
        Some((frame, follower))
    })
    .boxed()
}

struct Follower {
    client: Arc<Client>,
    session: Arc<Session>,
    path: String,
    parser: Parser,
    open: Option<Response>,
    ready: VecDeque<Frame>,
    backoff: Backoff,
}

impl Follower {
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

    /// Reads the next bytes of the connection, and keeps it unless it is over.
    async fn read(&mut self, mut response: Response) {
        match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let mut frames = Vec::new();
                if self.parser.read(&bytes, &mut frames).is_ok() {
                    self.open = Some(response);
                }
                self.backoff.reset();
                self.ready.extend(frames);
            }
            // The server ended the stream; it may have nothing more to say, so it isn't asked again at once.
            Ok(Ok(None)) => self.rest(None).await,
            Ok(Err(_)) | Err(_) => {
                self.client.count_broken_stream();
                self.rest(None).await;
            }
        }
    }

    async fn connect(&mut self) {
        let last_id = self.parser.resume_from().map(str::to_owned);
        match self.client.open(&self.session, &self.path, last_id.as_deref()).await {
            Ok(response) => {
                // Half an event of the lost connection must not run into the first of this one.
                self.parser = Parser::after(last_id);
                self.open = Some(response);
            }
            Err(Setback::Passing { asked, .. }) => self.rest(asked).await,
            Err(Setback::TokenRefused) => self.rest(None).await,
            Err(Setback::Definite(_)) => {
                // Should the service not know that id any more, a stream from the start is better than none.
                self.parser = Parser::default();
                self.rest(None).await;
            }
        }
    }

    async fn rest(&mut self, asked: Option<Duration>) {
        let wait = self.backoff.wait(asked);
        tokio::time::sleep(wait).await;
    }
}
