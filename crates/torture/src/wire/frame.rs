//! Messages in a stream of bytes (PostgreSQL's documentation, chapter "Message Formats").

/// A message whose body is longer than this is not looked into. A statement has a few kilobytes; long ones are parameters.
const BODY_BYTES_MAX: usize = 1 << 16;

/// Bytes before a body: a tag and a length.
const HEADER_BYTES: usize = 5;

/// The messages of one direction, put together from chunks.
#[derive(Debug)]
pub struct Frames {
    /// The header, and the body as far as it is there; nothing of a body that is too long to be looked into.
    buffer: Vec<u8>,
    /// Bytes of the current body that are still to come and not to be kept.
    skip: usize,
    /// A client's first messages have no tag.
    is_startup: bool,
}

/// A whole message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type; zero for a start-up message.
    pub tag: u8,
    /// Without tag and length; empty if it was too long to be looked into.
    pub body: &'a [u8],
}

impl Frames {
    /// What a client sends.
    pub fn from_client() -> Self {
        Self { buffer: Vec::new(), skip: 0, is_startup: true }
    }

    /// What a server sends.
    pub fn from_server() -> Self {
        Self { buffer: Vec::new(), skip: 0, is_startup: false }
    }

    /// Takes the next chunk. `seen` is called for each message that ends in it, with the place in the chunk where the message
    /// begins, zero if it began before; it stops the reading by saying no.
    pub fn push(&mut self, chunk: &[u8], mut seen: impl FnMut(Message<'_>, usize) -> bool) {
        let mut at = 0;
        let mut began = 0;
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
            let goes_on = seen(Message { tag, body }, began);
            if self.is_startup {
                self.is_startup = asks_for_encryption(body);
            }
            self.buffer.clear();
            began = at;
            if !goes_on {
                return;
            }
        }
    }

    fn header_bytes(&self) -> usize {
        if self.is_startup { HEADER_BYTES - 1 } else { HEADER_BYTES }
    }

    /// How many bytes of the message are still to be kept. Once the header is there, a body that is too long is set to be skipped.
    fn missing(&mut self) -> usize {
        let header = self.header_bytes();
        let Some(length) = self.buffer.get(header - 4..header) else { return header - self.buffer.len() };
        let length = length.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
        // The length counts itself.
        let body = length.saturating_sub(4);
        if body > BODY_BYTES_MAX {
            if self.buffer.len() == header {
                // Marked as empty, so that it is skipped once only.
                self.skip = body;
                self.buffer[header - 4..header].copy_from_slice(&[0, 0, 0, 4]);
            }
            return 0;
        }
        (header + body).saturating_sub(self.buffer.len())
    }
}

/// SSLRequest and GSSENCRequest: after the answer, the start-up message comes all the same.
fn asks_for_encryption(body: &[u8]) -> bool {
    const SSL: [u8; 4] = 80_877_103_u32.to_be_bytes();
    const GSS: [u8; 4] = 80_877_104_u32.to_be_bytes();
    body == SSL || body == GSS
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
    fn finds_the_same_messages_whatever_the_chunks() {
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
    fn says_where_a_message_begins() {
        let stream = [message(b'C', b"BEGIN\0"), message(b'Z', b"T")].concat();
        let mut frames = Frames::from_server();
        let mut starts = Vec::new();
        frames.push(&stream[..14], |_, began| {
            starts.push(began);
            true
        });
        frames.push(&stream[14..], |_, began| {
            starts.push(began);
            true
        });
        // The second one began in the first chunk, as the reader of the second sees it: before its beginning.
        assert_eq!(starts, [0, 0]);
    }

    #[test]
    fn stops_when_told() {
        let stream = [message(b'C', b"A\0"), message(b'C', b"B\0")].concat();
        let mut count = 0;
        Frames::from_server().push(&stream, |_, _| {
            count += 1;
            false
        });
        assert_eq!(count, 1);
    }
}
