//! The text of all sections, which the page's search reads.

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};
use serde::Serialize;

use super::render::{anchor, parse, text_of};
use super::{CHAPTERS, Chapter};

/// A section as plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The address of the section.
    path: String,
    /// The title of its chapter, with the number.
    chapter: String,
    /// Its heading. Empty for the text before the first section.
    section: String,
    /// Its text.
    text: String,
}

/// Returns the sections of the whole book in order.
pub fn index() -> Vec<Entry> {
    CHAPTERS.iter().flat_map(sections).collect()
}

fn sections(chapter: &Chapter) -> Vec<Entry> {
    let markdown = chapter.markdown();
    let title = chapter.numbered_title();
    let entry = |path: String, section: String| Entry { path, chapter: title.clone(), section, text: String::new() };
    let events: Vec<Event> = parse(&markdown).collect();
    let mut found = vec![entry(chapter.path(), String::new())];
    let mut is_title = false;
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => is_title = true,
            Event::Start(Tag::Heading { level: HeadingLevel::H2, .. }) => {
                let heading = text_of(&events[at..]);
                found.push(entry(format!("{}#{}", chapter.path(), anchor(&heading)), heading));
                is_title = true;
            }
            Event::End(TagEnd::Heading(_)) if is_title => is_title = false,
            _ if is_title => {}
            _ => found.last_mut().into_iter().for_each(|last| append(&mut last.text, event)),
        }
    }
    found.retain(|entry| !entry.text.trim().is_empty());
    found
}

/// Appends what an event shows. Blocks, cells and lines are apart; a word that is partly emphasized is one.
fn append(text: &mut String, event: &Event) {
    match event {
        Event::Text(part) | Event::Code(part) => text.push_str(part),
        Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link | TagEnd::Image) => {}
        Event::SoftBreak | Event::HardBreak | Event::End(_) if !text.ends_with(char::is_whitespace) => text.push(' '),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_plain_text_with_their_addresses() {
        let embedded = "# A title\n\nBefore *it*.\n\n## One `two`\n\nA **wo**rd,\n[a link](x.md).\n\n\
                        | a | b |\n| --- | --- |\n| c | d |\n";
        let found = sections(&Chapter { name: "99-a-test", embedded });
        let entry = |path: &str, section: &str, text: &str| Entry {
            path: path.to_owned(),
            chapter: "99. A title".to_owned(),
            section: section.to_owned(),
            text: text.to_owned(),
        };
        let one = entry("/book/99-a-test#one-two", "One two", "A word, a link. a b c d ");
        assert_eq!(found, [entry("/book/99-a-test", "", "Before it. "), one]);
    }

    #[test]
    fn every_chapter_can_be_found() {
        let found = index();
        for chapter in CHAPTERS {
            assert!(found.iter().any(|entry| entry.path.starts_with(&chapter.path())), "{chapter:?}");
        }
    }
}
