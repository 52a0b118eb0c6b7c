//! A minimal WebSocket client (RFC 6455): no extensions, a mask of zeros. It sends fragments, and expects none.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Timeout of an expected message.
const SOON: Duration = Duration::from_secs(30);

/// A write that takes longer is blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(2);

/// A message of the service.
#[derive(Debug)]
pub enum Message {
    Text(Value),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// The close code.
    Close(u16),
}

/// An open connection.
pub struct Socket(TcpStream);

impl Socket {
    /// Opens a connection.
    ///
    /// # Errors
    /// The status of the response, if it is not 101.
    pub async fn open(base_url: &str, path: &str, headers: &str) -> Result<Self, u16> {
        let host = base_url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            response.push(stream.read_u8().await.unwrap());
        }
        let response = String::from_utf8(response).unwrap();
        let status = response.split(' ').nth(1).unwrap().parse().unwrap();
        if status == 101 { Ok(Self(stream)) } else { Err(status) }
    }

    pub async fn send_json(&mut self, message: &Value) {
        self.send_frame(0x1, message.to_string().as_bytes()).await;
    }

    /// Sends a text message in fragments, at least two.
    pub async fn send_fragments(&mut self, fragments: &[&[u8]]) {
        let [first, middle @ .., last] = fragments else { panic!("a single frame is no fragment") };
        self.send_first_fragment(first).await;
        for fragment in middle {
            self.send_raw(0x0, fragment).await;
        }
        self.send_last_fragment(last).await;
    }

    pub async fn send_first_fragment(&mut self, payload: &[u8]) {
        self.send_raw(0x1, payload).await;
    }

    pub async fn send_last_fragment(&mut self, payload: &[u8]) {
        self.send_raw(0x80, payload).await;
    }

    pub async fn send_frame(&mut self, kind: u8, payload: &[u8]) {
        self.send_raw(0x80 | kind, payload).await;
    }

    async fn send_raw(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match u8::try_from(payload.len()) {
            Ok(short @ 0..126) => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).await.unwrap();
    }

    /// Sends the same message repeatedly, without reading, until the other end blocks.
    pub async fn send_until_blocked(&mut self, message: &str) {
        for _ in 0..500_000 {
            if tokio::time::timeout(BLOCKED_AFTER, self.send_frame(0x1, message.as_bytes())).await.is_err() {
                return;
            }
        }
        panic!("the service never blocks");
    }

    /// Returns the next message.
    pub async fn next(&mut self) -> Message {
        tokio::time::timeout(SOON, self.read()).await.expect("a message in time")
    }

    /// Returns the next message, which must be text.
    pub async fn text(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => text,
            other => panic!("not text: {other:?}"),
        }
    }

    /// Returns the next message, if one arrives within a time.
    pub async fn next_within(&mut self, time: Duration) -> Option<Message> {
        // A timeout during a read would lose a part of the message.
        let mut first = [0; 1];
        tokio::time::timeout(time, self.0.peek(&mut first)).await.ok()?.ok()?;
        Some(self.next().await)
    }

    /// Reads frames up to the next message. Answers pings, as every client does: on a busy machine a test meets them.
    async fn read(&mut self) -> Message {
        loop {
            let (kind, payload) = self.read_frame().await;
            return match kind {
                0x1 => Message::Text(serde_json::from_slice(&payload).unwrap()),
                0x2 => Message::Binary(payload),
                0xa => Message::Pong(payload),
                0x8 => Message::Close(u16::from_be_bytes([payload[0], payload[1]])),
                0x9 => {
                    self.send_frame(0xa, &payload).await;
                    continue;
                }
                other => panic!("a frame of kind {other}"),
            };
        }
    }

    async fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let kind = self.0.read_u8().await.unwrap();
        assert_eq!(kind & 0x80, 0x80, "a fragment");
        let length = match self.0.read_u8().await.unwrap() {
            126 => usize::from(self.0.read_u16().await.unwrap()),
            127 => usize::try_from(self.0.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.unwrap();
        (kind & 0x0f, payload)
    }
}
