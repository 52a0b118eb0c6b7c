//! A parser of `text/event-stream` (HTML standard, "Server-sent events").

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    /// The event type; empty if the server sends none.
    pub event: String,
    /// The `data` lines, joined with line feeds.
    pub data: String,
    /// The last id in the stream, of this event or an earlier one.
    pub last_id: Option<String>,
}

/// The longest event.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// The stream contains a too long event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {FRAME_BYTES_MAX} bytes")]
pub(crate) struct FrameTooLong;

/// An incremental parser, for chunks that end anywhere.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// The last byte was `\r`: a following `\n` belongs to it.
    after_return: bool,
    started: bool,
    frame: Frame,
    data_lines: usize,
    resume_from: Option<String>,
}

impl Parser {
    /// A parser for a stream that continues after the event with this id.
    pub fn after(last_id: Option<String>) -> Self {
        Self { frame: Frame { last_id: last_id.clone(), ..Frame::default() }, resume_from: last_id, ..Self::default() }
    }

    /// The id of the last complete event, after which the stream can be resumed.
    pub fn resume_from(&self) -> Option<&str> {
        self.resume_from.as_deref()
    }

    /// Parses the next bytes, and appends the completed events.
    ///
    /// # Errors
    /// An event or a line is too long; the stream cannot be continued.
    pub fn read(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameTooLong> {
        for &byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_return) => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&line, frames);
                    // Reuse the allocation.
                    self.line = line;
                    self.line.clear();
                }
                _ => {
                    self.after_return = false;
                    self.line.push(byte);
                }
            }
            if self.line.len() + self.frame.data.len() > FRAME_BYTES_MAX {
                return Err(FrameTooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, line: &[u8], frames: &mut Vec<Frame>) {
        let line = if self.started { line } else { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) };
        self.started = true;
        if line.is_empty() {
            return self.end_frame(frames);
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.frame.event),
            "data" => {
                if self.data_lines > 0 {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
                self.data_lines += 1;
            }
            "id" if !value.contains('\0') => self.frame.last_id = Some(value.to_owned()),
            // A comment (empty name), `retry` (this client has its own back-off), or an unknown field.
            _ => {}
        }
    }

    /// An event without data is ignored, except for its id.
    fn end_frame(&mut self, frames: &mut Vec<Frame>) {
        self.resume_from.clone_from(&self.frame.last_id);
        let next = Frame { last_id: self.frame.last_id.clone(), ..Frame::default() };
        let frame = std::mem::replace(&mut self.frame, next);
        if std::mem::take(&mut self.data_lines) > 0 {
            frames.push(frame);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = "\u{FEFF}: keep-alive\n\nid: 7\nevent: trip.offered\ndata: {\"a\":\ndata: 1}\n\n\
        event:no space\r\ndata:é\r\n\r\ndata\rid: 8\r\rid: 9\n\nretry: 10\nwhat: else\ndata:  two blanks\n\nevent: cut\ndata: off\n";

    fn frame(event: &str, data: &str, id: &str) -> Frame {
        Frame { event: event.into(), data: data.into(), last_id: Some(id.into()) }
    }

    fn expected() -> Vec<Frame> {
        let frames =
            [("trip.offered", "{\"a\":\n1}", "7"), ("no space", "é", "7"), ("", "", "8"), ("", " two blanks", "9")];
        frames.map(|(event, data, id)| frame(event, data, id)).into()
    }

    #[test]
    fn events_are_complete_wherever_the_chunks_end() {
        let bytes = STREAM.as_bytes();
        for cut in 0..=bytes.len() {
            let (mut parser, mut frames) = (Parser::default(), Vec::new());
            parser.read(&bytes[..cut], &mut frames).unwrap();
            parser.read(&bytes[cut..], &mut frames).unwrap();
            assert_eq!(frames, expected(), "cut at {cut}");
        }
        let (mut parser, mut frames) = (Parser::default(), Vec::new());
        bytes.iter().for_each(|byte| parser.read(&[*byte], &mut frames).unwrap());
        assert_eq!(frames, expected());
        assert_eq!(parser.resume_from(), Some("9"));
    }

    #[test]
    fn incomplete_event_is_resumed_from_the_one_before() {
        let mut parser = Parser::after(Some("6".into()));
        parser.read(b"id: 7\ndata: half an ev", &mut Vec::new()).unwrap();
        assert_eq!(parser.resume_from(), Some("6"));
    }

    #[test]
    fn endless_event_is_an_error() {
        let mut parser = Parser::default();
        let line = "data: ".to_owned() + &"x".repeat(1000) + "\n";
        let read = (0..2_000).try_for_each(|_| parser.read(line.as_bytes(), &mut Vec::new()));
        assert_eq!(read, Err(FrameTooLong));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let (mut parser, mut frames) = (Parser::default(), Vec::new());
            for chunk in chunks {
                parser.read(&chunk, &mut frames).unwrap();
            }
        }
    }
}
