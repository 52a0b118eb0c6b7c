//! Markdown of the book as HTML: sections have anchors, and files of the repository, which are not served, are listed as sources.

use std::fmt::Write as _;

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::PATH;

/// The folder of the book.
const FOLDER: &str = "docs/book";

/// A section of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The id of its heading.
    pub anchor: String,
    /// The heading as plain text.
    pub title: String,
}

/// A page of the book, without its frame.
#[derive(Debug, Clone, Default)]
pub struct Rendered {
    /// The title as plain text.
    pub title: String,
    /// The sections in order.
    pub sections: Vec<Section>,
    /// The content.
    pub html: String,
}

/// What a link of the Markdown leads to.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// An address of a page.
    Page(String),
    /// A path in the repository, which is shown and not linked.
    Source(String),
}

/// Parses Markdown with tables.
pub fn parse(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES)
}

/// Renders a page.
pub fn render(markdown: &str) -> Rendered {
    let mut renderer = Renderer::default();
    let events: Vec<Event> = parse(markdown).collect();
    for at in 0..events.len() {
        renderer.add(&events[at..]);
    }
    let mut rendered = renderer.rendered;
    html::push_html(&mut rendered.html, renderer.events.into_iter());
    // A heading without words is none to a screen reader; what scrolls has to be reached by keys.
    rendered.html = rendered.html.replace("<th></th>", "<td></td>").replace("<pre>", "<pre tabindex=\"0\">");
    push_sources(&mut rendered.html, &renderer.sources);
    rendered
}

/// Replaces the characters that have a meaning in HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Returns the id of a heading, as repository hosts make it: letters and digits in lower case, and `-` for each space.
pub fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the plain text of the element that the first event starts.
pub fn text_of(events: &[Event]) -> String {
    let mut depth = 0;
    let mut text = String::new();
    for event in events {
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Text(part) | Event::Code(part) => text.push_str(part),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    text
}

fn target(link: &str) -> Target {
    if link.contains("://") || link.starts_with(['#', '/']) {
        return Target::Page(link.to_owned());
    }
    let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
    let path = joined(file);
    let fragment = if fragment.is_empty() { String::new() } else { format!("#{fragment}") };
    let page = match path.strip_prefix("docs/book/") {
        Some("README.md") => Some(PATH.to_owned()),
        Some(name) if name.starts_with("images/") => Some(format!("{PATH}/{name}")),
        Some(name) => name.strip_suffix(".md").map(|name| format!("{PATH}/{name}")),
        None => None,
    };
    page.map_or(Target::Source(path), |page| Target::Page(page + &fragment))
}

/// Returns the path of a link's file from the root of the repository.
fn joined(file: &str) -> String {
    let mut parts: Vec<&str> = FOLDER.split('/').collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[derive(Default)]
struct Renderer<'a> {
    rendered: Rendered,
    events: Vec<Event<'a>>,
    /// Paths of the repository in the order of their first link.
    sources: Vec<String>,
    /// What ends the current link.
    link_end: Option<String>,
}

impl<'a> Renderer<'a> {
    /// Adds the first event; the others tell what it contains.
    fn add(&mut self, events: &[Event<'a>]) {
        match &events[0] {
            Event::Start(Tag::Heading { level, .. }) => self.heading(*level, &text_of(events)),
            Event::Start(Tag::Link { dest_url, .. }) => self.link(dest_url, &text_of(events)),
            Event::End(TagEnd::Link) => {
                let end = self.link_end.take().unwrap_or_default();
                self.html(end);
            }
            Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
                let (Target::Page(address) | Target::Source(address)) = target(dest_url);
                let (link_type, title, id) = (*link_type, title.clone(), id.clone());
                self.events.push(Event::Start(Tag::Image { link_type, dest_url: address.into(), title, id }));
            }
            // An alignment would be an inline style, which the policy forbids.
            Event::Start(Tag::Table(columns)) => {
                self.html("<div class=\"table\" tabindex=\"0\">".to_owned());
                let columns = vec![pulldown_cmark::Alignment::None; columns.len()];
                self.events.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => {
                self.events.push(Event::End(TagEnd::Table));
                self.html("</div>\n".to_owned());
            }
            event => self.events.push(event.clone()),
        }
    }

    fn html(&mut self, text: String) {
        self.events.push(Event::InlineHtml(CowStr::from(text)));
    }

    fn heading(&mut self, level: HeadingLevel, text: &str) {
        let section = Section { anchor: anchor(text), title: text.to_owned() };
        let id = (level != HeadingLevel::H1).then(|| CowStr::from(section.anchor.clone()));
        match level {
            HeadingLevel::H1 => self.rendered.title = section.title,
            HeadingLevel::H2 => self.rendered.sections.push(section),
            _ => {}
        }
        self.events.push(Event::Start(Tag::Heading { level, id, classes: Vec::new(), attrs: Vec::new() }));
    }

    fn link(&mut self, dest_url: &str, text: &str) {
        let (start, end) = match target(dest_url) {
            Target::Page(address) => (format!("<a href=\"{}\">", escape(&address)), "</a>".to_owned()),
            Target::Source(path) if path == text || path == text.trim_end_matches('/') => {
                ("<span class=\"source\">".to_owned(), "</span>".to_owned())
            }
            Target::Source(path) => {
                let number = self.source(&path);
                let start = format!("<span class=\"source\" title=\"{}\">", escape(&path));
                (start, format!("<sup><a href=\"#source-{number}\">{number}</a></sup></span>"))
            }
        };
        self.link_end = Some(end);
        self.html(start);
    }

    /// Returns the number of a source, from 1.
    fn source(&mut self, path: &str) -> usize {
        let known = self.sources.iter().position(|own| own == path);
        1 + known.unwrap_or_else(|| {
            self.sources.push(path.to_owned());
            self.sources.len() - 1
        })
    }
}

fn push_sources(html: &mut String, sources: &[String]) {
    if sources.is_empty() {
        return;
    }
    html.push_str("<section class=\"sources\" aria-labelledby=\"sources\">\n<h2 id=\"sources\">Sources</h2>\n");
    html.push_str("<p>Files of the repository, with the measurements and the code.</p>\n<ol>\n");
    for (number, path) in (1..).zip(sources) {
        let _infallible = writeln!(html, "<li id=\"source-{number}\"><code>{}</code></li>", escape(path));
    }
    html.push_str("</ol>\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_of_the_book_and_to_sources() {
        for (link, page) in [
            ("README.md", "/book"),
            ("01-requirements.md", "/book/01-requirements"),
            ("01-requirements.md#good-better-best", "/book/01-requirements#good-better-best"),
            ("images/a.svg", "/book/images/a.svg"),
            ("#here", "#here"),
            ("/docs/", "/docs/"),
            ("https://example.com/", "https://example.com/"),
        ] {
            assert_eq!(target(link), Target::Page(page.to_owned()), "{link}");
        }
        for (link, path) in [
            ("../decisions/no-redis.md#a", "docs/decisions/no-redis.md"),
            ("../../src/trips/", "src/trips"),
            ("./../real-demand.md", "docs/real-demand.md"),
        ] {
            assert_eq!(target(link), Target::Source(path.to_owned()), "{link}");
        }
    }

    #[test]
    fn source_is_numbered_once_and_a_path_needs_no_number() {
        let markdown = "[one](../a.md), [two](../b.md), [again](../a.md), [`src/lib.rs`](../../src/lib.rs)";
        let html = render(markdown).html;
        assert!(html.contains("<span class=\"source\" title=\"docs/a.md\">one<sup><a href=\"#source-1\">1</a></sup>"));
        assert!(html.contains("again<sup><a href=\"#source-1\">1</a></sup>"), "{html}");
        assert!(html.contains("<span class=\"source\"><code>src/lib.rs</code></span>"), "{html}");
        assert!(html.ends_with("<li id=\"source-2\"><code>docs/b.md</code></li>\n</ol>\n</section>\n"), "{html}");
    }

    #[test]
    fn headings_have_anchors_and_tables_no_inline_style() {
        let rendered = render("# A *title*\n\n## At 10 × and `100`\n\n| a | b |\n| --- | ---: |\n| 1 | 2 |\n");
        assert_eq!(rendered.title, "A title");
        let expected = Section { anchor: "at-10--and-100".to_owned(), title: "At 10 × and 100".to_owned() };
        assert_eq!(rendered.sections, [expected]);
        assert!(rendered.html.contains("<h2 id=\"at-10--and-100\">"), "{}", rendered.html);
        assert!(rendered.html.contains("<div class=\"table\" tabindex=\"0\"><table>"), "{}", rendered.html);
        assert!(rendered.html.contains("<td>2</td>"), "{}", rendered.html);
        let labelled = render("| | b |\n| --- | --- |\n| 1 | 2 |\n").html;
        assert!(labelled.contains("<tr><td></td><th>b</th></tr>"), "{labelled}");
        assert!(render("```\n1\n```\n").html.contains("<pre tabindex=\"0\"><code>1\n"));
    }

    #[test]
    fn image_has_the_address_of_the_service() {
        let html = render("![The *tables*](images/tables.svg)").html;
        assert!(html.contains("<img src=\"/book/images/tables.svg\" alt=\"The tables\" />"), "{html}");
    }

    #[test]
    fn characters_of_html_are_escaped() {
        assert_eq!(escape("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
    }
}
