//! The files of the front page and of the console, embedded in the program, without a build step.

use std::borrow::Cow;
use std::path::Path;

/// A file of the console.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// The name under `/console/`.
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
    "city.html"
    "front.html"
    "style.css"
    "front.css"
    "address.js"
    "stories.css"
    "api.js"
    "audit.js"
    "map.css"
    "basemap.js"
    "bus.js"
    "car.js"
    "cars.js"
    "actors.js"
    "charts.js"
    "clock.js"
    "dom.js"
    "domain.js"
    "drive.js"
    "experiment_cards.js"
    "front.js"
    "faults.css"
    "gestures.js"
    "inspector.js"
    "labels.js"
    "live.js"
    "log.js"
    "state_machine.js"
    "main.js"
    "map.js"
    "mercator.js"
    "money.js"
    "panel.js"
    "prometheus.js"
    "proof.js"
    "request.js"
    "ride.js"
    "rider.js"
    "rides.js"
    "search.js"
    "routes.js"
    "scale_bar.js"
    "session.js"
    "shapes.js"
    "shell.js"
    "states.js"
    "experiments.js"
    "explain.js"
    "candidates.js"
    "object_link.js"
    "offer.js"
    "sequence.js"
    "story.js"
    "streets.js"
    "timeline.css"
    "timeline.js"
    "trip.js"
    "trips.js"
    "zones.js"
}

impl File {
    /// Returns the file with this name.
    pub fn named(name: &str) -> Option<Self> {
        FILES.iter().copied().find(|file| file.name == name)
    }

    /// Returns the content. A debug build reads the source tree if present, so that a change needs only a reload.
    pub fn content(self) -> Cow<'static, [u8]> {
        if cfg!(debug_assertions) {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/console").join(self.name);
            if let Ok(content) = std::fs::read(source) {
                return Cow::Owned(content);
            }
        }
        Cow::Borrowed(self.embedded)
    }

    /// Returns the media type.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trips::State;

    /// Debug builds read the files from the folder, so only this test notices a file missing from the table.
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
    fn every_file_has_a_media_type() {
        for file in FILES {
            assert_ne!(file.media_type(), "application/octet-stream", "{}", file.name);
        }
    }

    /// The page's content security policy forbids all three, and a browser reports it only in its log.
    #[test]
    fn files_have_nothing_inline_or_external() {
        for file in FILES {
            let content = file.content();
            let text = std::str::from_utf8(&content).expect("text");
            let is_page = file.name.ends_with(".html");
            assert!(!is_page || !text.contains("style="), "{} has an inline style", file.name);
            assert!(!is_page || !text.contains("<script>"), "{} has an inline script", file.name);
            let elsewhere = text.match_indices("://").filter(|(at, _)| {
                !text[..*at].ends_with("http") || {
                    let rest = &text[at + 3..];
                    !rest.starts_with("www.w3.org/") // an XML namespace, never fetched
                }
            });
            let elsewhere: Vec<_> =
                elsewhere.map(|(at, _)| &text[at.saturating_sub(8)..(at + 24).min(text.len())]).collect();
            assert!(elsewhere.is_empty(), "{}: {elsewhere:?}", file.name);
        }
    }

    /// Rewrites the file if it is stale, so that a second run passes.
    #[test]
    fn states_js_is_generated() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/console/states.js");
        let current = std::fs::read_to_string(&path).expect("the file");
        let (head, rest) = current.split_once("= {\n").expect("the table");
        let (_, tail) = rest.split_once("};\n").expect("its end");
        let rows = State::ALL.map(|state| {
            let (is_over, has_driver) = (state.is_over(), state.has_driver());
            let rider_in_car = state.rider_in_car();
            format!("  {state}: {{ isOver: {is_over}, hasDriver: {has_driver}, riderInCar: {rider_in_car} }},\n")
        });
        let expected = format!("{head}= {{\n{}}};\n{tail}", rows.concat());
        if current != expected {
            std::fs::write(&path, &expected).expect("writable");
        }
        assert_eq!(current, expected, "states.js was stale and is rewritten");
    }

    /// The other modules ask `states.js` what a state means.
    #[test]
    fn console_lists_no_states() {
        for file in FILES.iter().filter(|file| file.name.ends_with(".js") && file.name != "states.js") {
            let content = file.content();
            let text = std::str::from_utf8(&content).expect("text").replace("\n", " ");
            for list in text.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
                let words: Vec<_> = list.split(',').map(|word| word.trim().trim_matches('"')).collect();
                let states = words.iter().filter(|word| State::parse(word).is_some()).count();
                let is_presentation = (file.name, words.first()) == ("ride.js", Some(&"requested"))
                    || (file.name == "trips.js" && words.contains(&"authorizing"))
                    || (file.name == "trips.js" && words.contains(&"capture_failed"));
                assert!(states < 2 || is_presentation, "{} lists states: [{list}]", file.name);
            }
        }
    }
}
