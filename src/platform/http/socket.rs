//! WebSockets: the handshake of an authenticated request, and an open connection on which nothing waits without a bound. The work on
//! it stays with the room; what holds for all of them stands here.

use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;

use actix_web::dev;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Closed, Message, MessageStream, Session};

use super::Problem;
use super::request::{Audience, admit, platform};
use super::strangers::refuse_strangers;
use crate::platform::Platform;
use crate::platform::auth::Pass;
use crate::platform::error::{Code, Refusal, Result};

/// The longest message that anybody may send, bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024;

/// The longest reason for a close, bytes: a control frame holds 125, two of them for the code.
const REASON_BYTES_MAX: usize = 120;

/// How long a message waits for the other end to read what was sent before it. Whoever has not read for so long is not there.
const SEND_MAX: Duration = Duration::from_secs(10);

/// The head of an authenticated request of one of the audience's roles. Its body is not read: a WebSocket's has no end.
#[derive(Debug)]
pub struct Head<A> {
    /// The platform that serves it.
    pub platform: Platform,
    /// The bare request.
    pub http: HttpRequest,
    pass: Option<Pass>,
    audience: PhantomData<A>,
}

impl<A: Audience> FromRequest for Head<A> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(http: &HttpRequest, _body: &mut dev::Payload) -> Self::Future {
        let platform = platform(http);
        let pass = match A::ROLES {
            [] => Ok(None),
            roles => admit(&platform, http, roles).map(Some),
        };
        let head = |pass| Self { platform, http: http.clone(), pass, audience: PhantomData };
        ready(pass.map(head).map_err(Problem::from))
    }
}

impl<A: Audience> Head<A> {
    /// Who asks, and until when.
    ///
    /// # Panics
    /// For an audience of everybody, who has no name.
    pub fn pass(&self) -> Pass {
        self.pass.unwrap_or_else(|| unreachable!("an audience with roles has a caller"))
    }

    /// Whether a WebSocket is wanted, and not an answer.
    pub fn wants_socket(&self) -> bool {
        self.http.headers().contains_key(header::UPGRADE)
    }
}

/// An open connection.
pub struct Socket {
    session: Session,
    messages: MessageStream,
}

/// What comes from the other end.
#[derive(Debug)]
pub enum Heard {
    /// A message.
    Text(String),
    /// A sign of life: a ping, which has been answered, or the answer to ours.
    Life,
}

/// Why a connection ends.
#[derive(Debug)]
pub enum End {
    /// Nobody is there any more, or the process ends: it may come again.
    Gone,
    /// The other end does not read what it is sent. Nobody can be told.
    Unread,
    /// The other end has done what it must not.
    Wrong(String),
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Gone
    }
}

/// Waits for a message to be taken, but not for ever. One that is given up is lost, and so is the connection.
async fn sent(sending: impl Future<Output = Result<(), Closed>>) -> Result<(), End> {
    Ok(tokio::time::timeout(SEND_MAX, sending).await.map_err(|_elapsed| End::Unread)??)
}

impl Socket {
    /// Answers the handshake.
    ///
    /// # Errors
    /// [`Code::Forbidden`] for a page of somebody else's; [`Code::Malformed`] if it is no handshake.
    pub fn open<A>(head: &Head<A>, body: web::Payload) -> Result<(Self, HttpResponse)> {
        refuse_strangers(head.http.headers())?;
        let (response, session, messages) = actix_ws::handle(&head.http, body)
            .map_err(|error| Refusal::new(Code::Malformed, format!("This is no WebSocket handshake: {error}.")))?;
        Ok((Self { session, messages: messages.max_frame_size(MESSAGE_BYTES_MAX) }, response))
    }

    /// Waits for what comes next. Nothing is lost when it is not waited for to its end.
    ///
    /// # Errors
    /// The end.
    pub async fn hear(&mut self) -> Result<Heard, End> {
        match self.messages.recv().await {
            Some(Ok(Message::Text(text))) => Ok(Heard::Text(text.to_string())),
            Some(Ok(Message::Ping(bytes))) => {
                sent(self.session.pong(&bytes)).await?;
                Ok(Heard::Life)
            }
            Some(Ok(Message::Pong(_) | Message::Nop)) => Ok(Heard::Life),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone),
            Some(Ok(_)) => Err(End::Wrong("only whole text messages are understood".to_owned())),
            Some(Err(error)) => Err(End::Wrong(error.to_string())),
        }
    }

    /// Sends text; waits while the other end is slow, 10 seconds at most.
    ///
    /// # Errors
    /// The end.
    pub async fn text(&mut self, text: String) -> Result<(), End> {
        sent(self.session.text(text)).await
    }

    /// Sends bytes; waits as [`Socket::text`] does.
    ///
    /// # Errors
    /// The end.
    pub async fn binary(&mut self, bytes: Vec<u8>) -> Result<(), End> {
        sent(self.session.binary(bytes)).await
    }

    /// Asks whether anybody is there; the answer is [`Heard::Life`].
    ///
    /// # Errors
    /// The end.
    pub async fn ping(&mut self) -> Result<(), End> {
        sent(self.session.ping(b"")).await
    }

    /// Says good-bye, and why, to whoever still reads.
    pub async fn close(self, end: End) {
        let reason = match end {
            End::Unread => return,
            End::Gone => CloseReason::from(CloseCode::Away),
            End::Wrong(mut why) => {
                why.truncate(why.floor_char_boundary(REASON_BYTES_MAX));
                CloseReason { code: CloseCode::Policy, description: Some(why) }
            }
        };
        let _gone = sent(self.session.close(Some(reason))).await;
    }
}
