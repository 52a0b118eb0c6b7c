//! The files of the rehearsal's pages, embedded in the program.

use std::borrow::Cow;
use std::path::Path;

/// A file of the page: name, media type, content.
#[derive(Debug, Clone, Copy)]
pub struct PageFile {
    /// The name under `/rehearse/files/`.
    pub name: &'static str,
    /// The media type.
    pub media_type: &'static str,
    embedded: &'static str,
}

macro_rules! files {
    ($($name:literal $media_type:literal)*) => {
        /// Every file.
        pub const FILES: &[PageFile] =
            &[$(PageFile { name: $name, media_type: $media_type, embedded: include_str!(concat!("page/", $name)) }),*];
    };
}

files! {
    "partner.html" "text/html; charset=utf-8"
    "rehearsal.html" "text/html; charset=utf-8"
    "rehearsal.css" "text/css; charset=utf-8"
    "partner.js" "text/javascript; charset=utf-8"
    "partner_interview.js" "text/javascript; charset=utf-8"
    "partner_marking.js" "text/javascript; charset=utf-8"
    "rehearsal.js" "text/javascript; charset=utf-8"
    "rehearsal_cards.js" "text/javascript; charset=utf-8"
    "rehearsal_connection.js" "text/javascript; charset=utf-8"
    "rehearsal_interview.js" "text/javascript; charset=utf-8"
    "rehearsal_marking.js" "text/javascript; charset=utf-8"
    "rehearsal_marks.js" "text/javascript; charset=utf-8"
    "rehearsal_pair.js" "text/javascript; charset=utf-8"
    "rehearsal_recording.js" "text/javascript; charset=utf-8"
    "rehearsal_report.js" "text/javascript; charset=utf-8"
    "rehearsal_start.js" "text/javascript; charset=utf-8"
    "rehearsal_texts.js" "text/javascript; charset=utf-8"
}

impl PageFile {
    /// Returns the file with this name.
    pub fn named(name: &str) -> Option<Self> {
        FILES.iter().copied().find(|file| file.name == name)
    }

    /// Returns the content. A debug build reads the source tree if present, so that a change needs only a reload.
    pub fn content(self) -> Cow<'static, str> {
        if cfg!(debug_assertions) {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/rehearsal/page").join(self.name);
            if let Ok(content) = std::fs::read_to_string(source) {
                return Cow::Owned(content);
            }
        }
        Cow::Borrowed(self.embedded)
    }
}
