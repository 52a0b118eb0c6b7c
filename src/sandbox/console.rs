//! The console's files, in the program itself: one page, its style, and its modules, with no build step and nothing from elsewhere.

use std::borrow::Cow;
use std::path::Path;

use sha2::{Digest, Sha256};

/// A file of the console.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Its name under `/console/`.
    pub name: &'static str,
    embedded: &'static [u8],
}

macro_rules! files {
    ($($name:literal)*) => {
        /// Every file of the console.
        pub const FILES: &[File] = &[$(File { name: $name, embedded: include_bytes!(concat!("console/", $name)) }),*];
    };
}

files! {
    "index.html"
    "style.css"
    "theme.js"
    "icon.svg"
    "api.js"
    "bus.js"
    "car.js"
    "cars.js"
    "cast.js"
    "charts.js"
    "clock.js"
    "dom.js"
    "domain.js"
    "drive.js"
    "experiments.js"
    "gestures.js"
    "inspector.js"
    "live.js"
    "log.js"
    "machine.js"
    "main.js"
    "map.js"
    "mercator.js"
    "money.js"
    "panel.js"
    "prometheus.js"
    "ride.js"
    "rider.js"
    "rides.js"
    "session.js"
    "shapes.js"
    "streets.js"
    "trials.js"
    "trip.js"
    "trips.js"
}

impl File {
    /// The file of this name.
    pub fn named(name: &str) -> Option<Self> {
        FILES.iter().copied().find(|file| file.name == name)
    }

    /// What is in it. A debug build reads the source tree, where there is one: whoever works on the page reloads it.
    pub fn content(self) -> Cow<'static, [u8]> {
        if cfg!(debug_assertions) {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/console").join(self.name);
            if let Ok(content) = std::fs::read(source) {
                return Cow::Owned(content);
            }
        }
        Cow::Borrowed(self.embedded)
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self.name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "application/octet-stream",
        }
    }
}

/// The tag of a content: it changes whenever the content does.
pub fn tag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    format!("\"{}\"", hex::encode(&digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module that is not in the table would be missing from the program, and nobody would see it in a debug build.
    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/console");
        let entries = std::fs::read_dir(folder).expect("the folder");
        let mut found: Vec<_> = entries.map(|entry| entry.expect("a file").file_name()).collect();
        found.sort();
        let mut served: Vec<_> = FILES.iter().map(|file| std::ffi::OsString::from(file.name)).collect();
        served.sort();
        assert_eq!(served, found);
    }

    #[test]
    fn every_file_has_a_media_type_and_a_tag_of_its_own() {
        for file in FILES {
            assert_ne!(file.media_type(), "application/octet-stream", "{}", file.name);
        }
        assert_ne!(tag(b"one"), tag(b"other"));
        assert_eq!(tag(b"one"), tag(b"one"));
    }

    /// The policy that the page is sent with forbids all three, and a browser would only say so in its console.
    #[test]
    fn nothing_is_inline_or_from_elsewhere() {
        for file in FILES {
            let content = file.content();
            let text = std::str::from_utf8(&content).expect("text");
            let is_page = file.name.ends_with(".html");
            assert!(!is_page || !text.contains("style="), "{} has an inline style", file.name);
            assert!(!is_page || !text.contains("<script>"), "{} has an inline script", file.name);
            let elsewhere = text.match_indices("://").filter(|(at, _)| {
                !text[..*at].ends_with("http") || {
                    let rest = &text[at + 3..];
                    !rest.starts_with("www.w3.org/") // names of XML, fetched by nobody
                }
            });
            let elsewhere: Vec<_> =
                elsewhere.map(|(at, _)| &text[at.saturating_sub(8)..(at + 24).min(text.len())]).collect();
            assert!(elsewhere.is_empty(), "{}: {elsewhere:?}", file.name);
        }
    }
}
