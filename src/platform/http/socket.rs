//! WebSockets: the handshake of an authenticated request, and a connection on which every wait is bounded.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, Session};

use super::Problem;
use super::audience::Audience;
use super::origin_check::check_origin;
use super::request::{admit, platform};
use super::stream_permit::{PermitEnd, StreamPermit};
use crate::platform::Platform;
use crate::platform::auth::{Caller, VerifiedToken};
use crate::platform::error::{Code, Refusal, Result};

/// The maximum length of a client's message, whole or in fragments, bytes.
const MESSAGE_BYTES_MAX: usize = 1024;

/// The maximum length of a close reason, bytes: a control frame holds 125, of which the code takes two (RFC 6455, 5.5).
const REASON_BYTES_MAX: usize = 120;

/// How long a send waits for the client to read earlier messages. A client that stays behind for longer is disconnected.
const SEND_MAX: Duration = Duration::from_secs(10);

/// The head of an authenticated request of one of the audience's roles. The body, the stream of messages, is not read.
#[derive(Debug)]
pub struct RequestHead<A> {
    /// The platform.
    pub platform: Platform,
    /// The actix request.
    pub http: HttpRequest,
    token: Option<VerifiedToken>,
    audience: PhantomData<A>,
}

impl<A: Audience> FromRequest for RequestHead<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(http: &HttpRequest, _body: &mut dev::Payload) -> Self::Future {
        let platform = platform(http);
        let token = match A::ROLES {
            [] => Ok(None),
            roles => admit(&platform, http, roles).map(Some),
        };
        let head = |token| Self { platform, http: http.clone(), token, audience: PhantomData };
        ready(token.map(head).map_err(Problem::from))
    }
}

impl<A: Audience> RequestHead<A> {
    /// The caller.
    ///
    /// # Panics
    /// For the audience [`Public`](super::Public), which is not authenticated.
    pub fn caller(&self) -> Caller {
        self.token.map_or_else(|| unreachable!("an audience with roles has a caller"), |token| token.caller)
    }

    /// Returns the permit for a WebSocket as the response.
    ///
    /// # Errors
    /// As [`StreamPermit::acquire`].
    pub fn stream_permit(&self) -> Result<StreamPermit> {
        StreamPermit::acquire(&self.platform, self.token)
    }

    /// Whether the request asks for a WebSocket. Offers of other protocols, such as HTTP/2, are ignored (RFC 9110, 7.8).
    pub fn wants_socket(&self) -> bool {
        let offered = self.http.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
        offered.is_some_and(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
    }
}

/// An open connection.
pub struct Socket {
    session: Session,
    messages: AggregatedMessageStream,
    permit: StreamPermit,
}

/// What was received from the client.
#[derive(Debug)]
pub enum Received {
    /// A text message.
    Text(String),
    /// A ping, which was answered with a pong, or a pong.
    KeepAlive,
}

/// Why a connection is closed.
#[derive(Debug)]
pub enum Disconnect {
    /// The client is gone, or the process shuts down. The client may reconnect.
    Gone,
    /// The client does not read. No close reason is sent.
    SlowReader,
    /// The client violated the protocol, or its token has expired.
    Violation(String),
}

impl From<Closed> for Disconnect {
    fn from(_: Closed) -> Self {
        Self::Gone
    }
}

impl From<PermitEnd> for Disconnect {
    fn from(end: PermitEnd) -> Self {
        match end {
            PermitEnd::TokenExpired => Self::Violation("the token has expired".to_owned()),
            PermitEnd::Shutdown => Self::Gone,
        }
    }
}

/// Sends while the permit lasts.
async fn permitted(permit: &StreamPermit, sending: impl Future<Output = Result<(), Closed>>) -> Result<(), Disconnect> {
    tokio::select! {
        biased;
        end = permit.ended() => Err(end.into()),
        sent = sent(sending) => sent,
    }
}

/// Waits for a send, at most [`SEND_MAX`]. After a timeout the message and the connection are lost.
async fn sent(sending: impl Future<Output = Result<(), Closed>>) -> Result<(), Disconnect> {
    Ok(tokio::time::timeout(SEND_MAX, sending).await.map_err(|_elapsed| Disconnect::SlowReader)??)
}

impl Socket {
    /// Completes the handshake. The connection closes when the permit ends.
    ///
    /// # Errors
    /// [`Code::Forbidden`] for a page of another origin; [`Code::UpgradeRequired`] for another version of the protocol;
    /// [`Code::Malformed`] for another invalid handshake.
    pub fn open<A>(head: &RequestHead<A>, body: web::Payload, permit: StreamPermit) -> Result<(Self, HttpResponse)> {
        check_origin(head.http.headers())?;
        let (response, session, messages) = actix_ws::handle(&head.http, body).map_err(|error| {
            let code = match error.error_response().status() {
                StatusCode::UPGRADE_REQUIRED => Code::UpgradeRequired,
                _ => Code::Malformed,
            };
            Refusal::new(code, format!("Invalid WebSocket handshake: {error}."))
        })?;
        let messages = messages.max_frame_size(MESSAGE_BYTES_MAX).aggregate_continuations();
        Ok((Self { session, messages: messages.max_continuation_size(MESSAGE_BYTES_MAX), permit }, response))
    }

    /// Receives the next message, while the permit lasts. Cancel safe.
    ///
    /// # Errors
    /// [`Disconnect`]
    pub async fn receive(&mut self) -> Result<Received, Disconnect> {
        let message = tokio::select! {
            biased;
            end = self.permit.ended() => return Err(end.into()),
            message = self.messages.recv() => message,
        };
        match message {
            Some(Ok(AggregatedMessage::Text(text))) => Ok(Received::Text(text.to_string())),
            Some(Ok(AggregatedMessage::Ping(bytes))) => {
                permitted(&self.permit, self.session.pong(&bytes)).await?;
                Ok(Received::KeepAlive)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(Received::KeepAlive),
            Some(Ok(AggregatedMessage::Close(_))) | None => Err(Disconnect::Gone),
            Some(Ok(AggregatedMessage::Binary(_))) => {
                Err(Disconnect::Violation("only text messages are supported".to_owned()))
            }
            Some(Err(error)) => Err(Disconnect::Violation(error.to_string())),
        }
    }

    /// Sends a text message. Waits at most 10 s for a slow client.
    ///
    /// # Errors
    /// [`Disconnect`]
    pub async fn text(&mut self, text: String) -> Result<(), Disconnect> {
        permitted(&self.permit, self.session.text(text)).await
    }

    /// Sends a binary message. Waits at most 10 s for a slow client.
    ///
    /// # Errors
    /// [`Disconnect`]
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<(), Disconnect> {
        permitted(&self.permit, self.session.binary(bytes)).await
    }

    /// Sends a ping. The client's pong is received as [`Received::KeepAlive`].
    ///
    /// # Errors
    /// [`Disconnect`]
    pub async fn ping(&mut self) -> Result<(), Disconnect> {
        permitted(&self.permit, self.session.ping(b"")).await
    }

    /// Sends a close frame with the reason.
    pub async fn close(self, disconnect: Disconnect) {
        let reason = match disconnect {
            Disconnect::SlowReader => return,
            Disconnect::Gone => CloseReason::from(CloseCode::Away),
            Disconnect::Violation(mut reason) => {
                reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
                CloseReason { code: CloseCode::Policy, description: Some(reason) }
            }
        };
        let _ = sent(self.session.close(Some(reason))).await;
    }
}
