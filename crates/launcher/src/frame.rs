//! Messages of the PostgreSQL protocol in a stream of bytes, see
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A longer body is skipped. A statement has a few kilobytes; longer messages carry parameters.
const BODY_BYTES_MAX: usize = 1 << 16;

/// Bytes before a body: tag and length.
const HEADER_BYTES: usize = 5;

/// Reassembles the messages of one direction from chunks.
#[derive(Debug)]
pub struct Frames {
    /// Header and body as far as received; nothing of a body that is skipped.
    buffer: Vec<u8>,
    /// Bytes of the current body that are still to be skipped.
    skip: usize,
    /// A client's first messages have no tag.
    is_startup: bool,
}

/// A complete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Type; zero for a start-up message.
    pub tag: u8,
    /// Contents without tag and length; empty if skipped.
    pub body: &'a [u8],
}

impl Frames {
    /// For the bytes of a client.
    pub fn from_client() -> Self {
        Self { buffer: Vec::new(), skip: 0, is_startup: true }
    }

    /// For the bytes of a server.
    pub fn from_server() -> Self {
        Self { buffer: Vec::new(), skip: 0, is_startup: false }
    }

    /// Processes the next chunk. Calls `on_message` for each message that ends in it, with the offset in the chunk where the message
    /// starts (zero if it started earlier). Stops when that returns `false`.
    pub fn push(&mut self, chunk: &[u8], mut on_message: impl FnMut(Message<'_>, usize) -> bool) {
        let mut at = 0;
        let mut start = 0;
        while at < chunk.len() {
            if self.skip > 0 {
                let skipped = self.skip.min(chunk.len() - at);
                self.skip -= skipped;
                at += skipped;
            } else {
                let missing = self.missing();
                let taken = missing.min(chunk.len() - at);
                self.buffer.extend_from_slice(&chunk[at..at + taken]);
                at += taken;
            }
            if self.skip > 0 || self.missing() > 0 {
                continue;
            }
            let header = self.header_bytes();
            let (tag, body) =
                if self.is_startup { (0, &self.buffer[header..]) } else { (self.buffer[0], &self.buffer[header..]) };
            let continues = on_message(Message { tag, body }, start);
            if self.is_startup {
                self.is_startup = requests_encryption(body);
            }
            self.buffer.clear();
            start = at;
            if !continues {
                return;
            }
        }
    }

    fn header_bytes(&self) -> usize {
        if self.is_startup { HEADER_BYTES - 1 } else { HEADER_BYTES }
    }

    /// Returns how many bytes of the message are still to be kept. A body that is too long is marked to be skipped.
    fn missing(&mut self) -> usize {
        let header = self.header_bytes();
        let Some(length) = self.buffer.get(header - 4..header) else { return header - self.buffer.len() };
        let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        // The length includes itself.
        let body = length.saturating_sub(4);
        if body > BODY_BYTES_MAX {
            if self.buffer.len() == header {
                // Marked as empty, so that it is skipped only once.
                self.skip = body;
                self.buffer[header - 4..header].copy_from_slice(&[0, 0, 0, 4]);
            }
            return 0;
        }
        (header + body).saturating_sub(self.buffer.len())
    }
}

/// Whether this is an SSLRequest or a GSSENCRequest. The start-up message follows its response.
fn requests_encryption(body: &[u8]) -> bool {
    const SSL: [u8; 4] = 80_877_103_u32.to_be_bytes();
    const GSS: [u8; 4] = 80_877_104_u32.to_be_bytes();
    body == SSL || body == GSS
}

/// Reads the start-up message of a client, and refuses encryption before that if requested. Returns the message with its length.
///
/// # Errors
/// If the connection fails or the message is malformed.
pub async fn refuse_encryption(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Vec<u8>> {
    loop {
        let length = client.read_u32().await?;
        // A start-up message contains a user, a database and a few settings.
        if !(8..=10_000).contains(&length) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or_default() - 4];
        client.read_exact(&mut body).await?;
        if requests_encryption(&body) {
            client.write_all(b"N").await?;
            continue;
        }
        return Ok([&length.to_be_bytes()[..], &body].concat());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn startup(body: &[u8]) -> Vec<u8> {
        message(0, body)[1..].to_vec()
    }

    #[test]
    fn messages_do_not_depend_on_the_chunks() {
        let long = vec![7; BODY_BYTES_MAX + 1];
        let ssl = 80_877_103_u32.to_be_bytes();
        let stream = [
            startup(&ssl),
            startup(b"\0\x03\0\0user\0me\0\0"),
            message(b'Q', b"begin\0"),
            message(b'd', &long),
            message(b'S', b""),
            message(b'X', b""),
        ]
        .concat();
        let expected: Vec<(u8, usize)> = vec![(0, 4), (0, 13), (b'Q', 6), (b'd', 0), (b'S', 0), (b'X', 0)];
        for size in [1, 2, 3, 7, 64, 1000, stream.len()] {
            let mut frames = Frames::from_client();
            let mut found = Vec::new();
            for chunk in stream.chunks(size) {
                frames.push(chunk, |message, _| {
                    found.push((message.tag, message.body.len()));
                    true
                });
            }
            assert_eq!(found, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn message_start_is_an_offset_in_the_chunk() {
        let stream = [message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat();
        let mut frames = Frames::from_server();
        let mut starts = Vec::new();
        frames.push(&stream[..14], |_, start| {
            starts.push(start);
            true
        });
        frames.push(&stream[14..], |_, start| {
            starts.push(start);
            true
        });
        // The second message starts in the first chunk: offset zero in the second.
        assert_eq!(starts, [0, 0]);
    }

    #[test]
    fn push_stops_on_false() {
        let stream = [message(b'C', b"A\0"), message(b'C', b"B\0")].concat();
        let mut count = 0;
        Frames::from_server().push(&stream, |_, _| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
