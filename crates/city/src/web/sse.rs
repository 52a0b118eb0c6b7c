//! `text/event-stream`, as the HTML standard describes it ("Server-sent events", parsing an event stream).

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Frame {
    /// `message` in the standard when the server names none; here empty.
    pub event: String,
    /// Its `data` lines, joined by line feeds.
    pub data: String,
    /// The last id that the stream has carried, in this event or before it.
    pub last_id: Option<String>,
}

/// An event that is longer than this is no event of ours.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// The stream sent an event that is too long to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {FRAME_BYTES_MAX} bytes")]
pub(crate) struct FrameTooLong;

/// Takes bytes as they come, cut anywhere, and gives events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    line: Vec<u8>,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    after_return: bool,
    started: bool,
    frame: Frame,
    data_lines: usize,
    resume_from: Option<String>,
}

impl Parser {
    /// A parser for a stream that goes on after the event with this id.
    pub fn after(last_id: Option<String>) -> Self {
        Self { frame: Frame { last_id: last_id.clone(), ..Frame::default() }, resume_from: last_id, ..Self::default() }
    }

    /// The id of the last event that came whole: after it the stream can be taken up again.
    pub fn resume_from(&self) -> Option<&str> {
        self.resume_from.as_deref()
    }

    /// Reads the next bytes, and appends the events that they complete.
    ///
    /// # Errors
    /// When an event or a line passes the bound; the stream is then of no more use.
    pub fn read(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) -> Result<(), FrameTooLong> {
        for &byte in bytes {
            match byte {
                b'\n' if std::mem::take(&mut self.after_return) => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    self.end_line(&line, frames);
                    // Given back for the next line: no allocation per line.
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
            // A comment (no name), `retry` (this client has a back-off of its own), or nothing the standard knows.
            _ => {}
        }
    }

    /// An event without data is none, but its id counts.
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
    fn events_are_read_whole_wherever_the_stream_is_cut() {
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
    fn an_event_that_was_cut_off_is_asked_for_again() {
        let mut parser = Parser::after(Some("6".into()));
        parser.read(b"id: 7\ndata: half an ev", &mut Vec::new()).unwrap();
        assert_eq!(parser.resume_from(), Some("6"));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut parser = Parser::default();
        let line = "data: ".to_owned() + &"x".repeat(1000) + "\n";
        let read = (0..2_000).try_for_each(|_| parser.read(line.as_bytes(), &mut Vec::new()));
        assert_eq!(read, Err(FrameTooLong));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let (mut parser, mut frames) = (Parser::default(), Vec::new());
            for chunk in chunks {
                parser.read(&chunk, &mut frames).unwrap();
            }
        }
    }
}
