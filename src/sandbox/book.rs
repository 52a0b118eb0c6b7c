//! The design book: the Markdown of `docs/book` as pages with contents, a search and diagrams, embedded in the program.

mod render;
mod search;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use self::render::{Rendered, escape, render};

pub use search::{Entry, index};

/// The path of the contents. A chapter's path is below it.
pub const PATH: &str = "/book";

/// The page around a chapter.
const TEMPLATE: &str = include_str!("book/page.html");

/// A chapter: a Markdown file of `docs/book`. The first one has the contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chapter {
    /// The name of the file, without `.md`.
    name: &'static str,
    embedded: &'static str,
}

macro_rules! chapters {
    ($($name:literal)*) => {
        /// Every chapter in the order of the book.
        const CHAPTERS: &[Chapter] =
            &[$(Chapter { name: $name, embedded: include_str!(concat!("../../docs/book/", $name, ".md")) }),*];
    };
}

chapters! {
    "README"
    "01-requirements"
    "02-estimates"
    "03-api"
    "04-data-model"
    "05-high-level-design"
    "06-nearest-driver"
    "07-no-double-assignment"
    "08-idempotent-payments"
    "09-the-unknown"
    "10-location-firehose"
    "11-dispatch-policy"
    "12-surge-and-trending"
    "13-consistency-and-failure"
    "14-past-one-machine"
    "15-operating-it"
}

/// A file beside the chapters: the path below `/book/`, the media type, the content.
type File = (&'static str, &'static str, &'static str);

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The style sheet and the modules of the search.
const ASSETS: &[File] = &[
    ("files/book.css", CSS, include_str!("book/book.css")),
    ("files/book.js", JS, include_str!("book/book.js")),
    ("files/find.js", JS, include_str!("book/find.js")),
];

macro_rules! images {
    ($($name:literal)*) => {
        /// The diagrams.
        const IMAGES: &[File] =
            &[$((concat!("images/", $name), SVG, include_str!(concat!("../../docs/book/images/", $name)))),*];
    };
}

images! {
    "areas.svg"
    "checks-by-time.svg"
    "components.svg"
    "fencing.svg"
    "greedy-or-assignment.svg"
    "idempotent-payments.svg"
    "location-firehose.svg"
    "nearest-driver.svg"
    "no-double-assignment.svg"
    "surge-flow.svg"
    "tables.svg"
    "the-unknown.svg"
}

/// Returns the media type and the content of a file below `/book/`.
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    files().find(|(own, ..)| *own == path).map(|(_, media_type, content)| (*media_type, *content))
}

fn files() -> impl Iterator<Item = &'static File> {
    ASSETS.iter().chain(IMAGES)
}

/// Returns the page at `/book/{name}`, with the placeholders of the shell. Without a name, the contents.
pub fn page(name: Option<&str>) -> Option<String> {
    let at = match name {
        None => 0,
        // The contents have an address of their own.
        Some(name) => 1 + CHAPTERS[1..].iter().position(|chapter| chapter.name == name)?,
    };
    let rendered = render(&CHAPTERS[at].markdown());
    let previous = at.checked_sub(1).and_then(|at| CHAPTERS.get(at));
    let page = TEMPLATE
        .replacen("{{title}}", &escape(&rendered.title), 1)
        .replacen("{{contents}}", &contents(at, &rendered), 1)
        .replacen("{{turn}}", &turn(previous, CHAPTERS.get(at + 1)), 1);
    Some(page.replacen("{{body}}", &rendered.html, 1))
}

/// Returns the list of all chapters, with the sections of the current one.
fn contents(current: usize, rendered: &Rendered) -> String {
    let mut list = String::new();
    for (at, chapter) in CHAPTERS.iter().enumerate() {
        let mark = if at == current { " aria-current=\"page\"" } else { "" };
        let _infallible =
            write!(list, "<li><a href=\"{}\"{mark}>{}</a>", chapter.path(), escape(&chapter.numbered_title()));
        if at == current {
            list.push_str("<ol>");
            for section in &rendered.sections {
                let _infallible =
                    write!(list, "<li><a href=\"#{}\">{}</a></li>", section.anchor, escape(&section.title));
            }
            list.push_str("</ol>");
        }
        list.push_str("</li>\n");
    }
    list
}

/// Returns the links to the chapters before and after.
fn turn(previous: Option<&Chapter>, next: Option<&Chapter>) -> String {
    let link = |rel: &str, word: &str, chapter: &Chapter| {
        let title = escape(&chapter.numbered_title());
        format!("<a rel=\"{rel}\" href=\"{}\"><small>{word}</small> {title}</a>", chapter.path())
    };
    let previous = previous.map(|chapter| link("prev", "Previous", chapter));
    let next = next.map(|chapter| link("next", "Next", chapter));
    [previous, next].into_iter().flatten().collect()
}

impl Chapter {
    /// Returns the path of the chapter's page.
    fn path(&self) -> String {
        if self.name == CHAPTERS[0].name { PATH.to_owned() } else { format!("{PATH}/{}", self.name) }
    }

    /// Returns the source. A debug build reads the source tree if present, so that a change needs only a reload.
    fn markdown(&self) -> Cow<'static, str> {
        if cfg!(debug_assertions) {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/book").join(format!("{}.md", self.name));
            if let Ok(content) = std::fs::read_to_string(source) {
                return Cow::Owned(content);
            }
        }
        Cow::Borrowed(self.embedded)
    }

    /// Returns the title.
    fn title(&self) -> String {
        let markdown = self.markdown();
        let title = markdown.lines().find_map(|line| line.strip_prefix("# "));
        title.unwrap_or(self.name).trim().to_owned()
    }

    /// Returns the title with the number of the chapter: `5. High-level design`. The contents have no number.
    fn numbered_title(&self) -> String {
        let title = self.title();
        let number = self.name.split_once('-').and_then(|(number, _)| number.parse::<u8>().ok());
        match number {
            Some(number) if !title.starts_with(|c: char| c.is_ascii_digit()) => format!("{number}. {title}"),
            _ => title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let entries = std::fs::read_dir(folder).expect("the folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_file_of_the_book_is_served() {
        let mut chapters: Vec<_> = CHAPTERS.iter().map(|chapter| format!("{}.md", chapter.name)).collect();
        chapters.push("images".to_owned());
        chapters.sort();
        assert_eq!(folder("docs/book"), chapters);
        let below = |start: &str| {
            let mut found: Vec<_> =
                files().filter_map(|(path, ..)| path.strip_prefix(start)).map(str::to_owned).collect();
            found.sort();
            found
        };
        assert_eq!(folder("docs/book/images"), below("images/"));
        let is_asset = |name: &String| name.ends_with(".css") || name.ends_with(".js");
        let assets: Vec<_> = folder("src/sandbox/book").into_iter().filter(is_asset).collect();
        assert_eq!(assets, below("files/"));
    }

    #[test]
    fn every_chapter_is_a_page_with_contents_and_both_neighbors() {
        for (at, chapter) in CHAPTERS.iter().enumerate() {
            let page = page((at > 0).then_some(chapter.name)).expect("a page");
            for placeholder in ["{{title}}", "{{contents}}", "{{turn}}", "{{body}}"] {
                assert!(!page.contains(placeholder), "{}: {placeholder}", chapter.name);
            }
            assert!(page.contains("{{head}}") && page.contains("{{header}}"), "{}: the shell fills them", chapter.name);
            let current = format!("<a href=\"{}\" aria-current=\"page\">", chapter.path());
            assert_eq!(page.matches(&current).count(), 1, "{}", chapter.name);
            assert_eq!(page.contains("rel=\"prev\""), at > 0, "{}", chapter.name);
            assert_eq!(page.contains("rel=\"next\""), at + 1 < CHAPTERS.len(), "{}", chapter.name);
        }
        for missing in ["README", "nothing", "", "01-requirements.md"] {
            assert_eq!(page(Some(missing)), None, "{missing}");
        }
    }

    /// The page's content security policy forbids inline styles and scripts, and other hosts.
    #[test]
    fn pages_have_nothing_inline_or_external() {
        let pages = CHAPTERS.iter().enumerate().filter_map(|(at, chapter)| page((at > 0).then_some(chapter.name)));
        for page in pages {
            for forbidden in [" style=", "<script>", "src=\"http", "<iframe"] {
                assert!(!page.contains(forbidden), "{forbidden}: {page}");
            }
        }
        for (path, _, content) in files() {
            let elsewhere = content.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("://"), "{path}");
        }
    }

    /// A link to a page or an image of the book has a target, and so has each section that it names.
    #[test]
    fn links_within_the_book_have_targets() {
        let pages: Vec<_> = CHAPTERS.iter().map(|chapter| (chapter.path(), render(&chapter.markdown()).html)).collect();
        for (path, html) in &pages {
            for start in ["href=\"", "src=\""] {
                for target in html.split(start).skip(1).filter_map(|rest| rest.split('"').next()) {
                    let (page, anchor) = target.split_once('#').unwrap_or((target, ""));
                    let page = if page.is_empty() { path } else { page };
                    if !page.starts_with(PATH) {
                        continue;
                    }
                    let found = pages.iter().find(|(other, _)| other == page);
                    let is_file = page.strip_prefix("/book/").is_some_and(|name| file(name).is_some());
                    assert!(found.is_some() || is_file, "{path}: {target} has no target");
                    let has_anchor = found.is_some_and(|(_, html)| html.contains(&format!("id=\"{anchor}\"")));
                    assert!(anchor.is_empty() || has_anchor, "{path}: {target} has no such section");
                }
            }
        }
    }
}
