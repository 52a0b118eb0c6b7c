//! What keeps a report on one page: sections that lose their last lines until the words fit. Pure.

/// The most words of a report.
pub const WORDS_MAX: usize = 600;

/// A section: a title and lines, the most important first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    title: &'static str,
    lines: Vec<String>,
    /// Lines that always stay.
    least: usize,
    /// Lines that are left out.
    hidden: usize,
}

impl Section {
    /// A section that keeps all lines.
    pub(super) fn whole(title: &'static str, lines: Vec<String>) -> Self {
        let all = lines.len();
        Self::capped(title, lines, (all, all))
    }

    /// A section of at most `most` lines that keeps its first `least`.
    pub(super) fn capped(title: &'static str, mut lines: Vec<String>, (least, most): (usize, usize)) -> Self {
        let hidden = lines.len().saturating_sub(most);
        lines.truncate(most);
        Self { title, lines, least, hidden }
    }

    fn spare(&self) -> usize {
        self.lines.len().saturating_sub(self.least)
    }

    /// The text; empty if there is nothing to say.
    pub(super) fn text(&self) -> String {
        if self.lines.is_empty() {
            return String::new();
        }
        let more = if self.hidden > 0 { format!("- … and {} more\n", self.hidden) } else { String::new() };
        format!("## {}\n\n{}\n{more}", self.title, self.lines.join("\n"))
    }
}

/// The words of a text.
pub fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Leaves out last lines, of the section with the most to spare first, until head and sections have at most [`WORDS_MAX`] words.
pub(super) fn fit(head: &str, sections: &mut [Section]) {
    while words(head) + sections.iter().map(|section| words(&section.text())).sum::<usize>() > WORDS_MAX {
        let Some(longest) = sections.iter_mut().max_by_key(|section| section.spare()).filter(|one| one.spare() > 0)
        else {
            return;
        };
        longest.lines.pop();
        longest.hidden += 1;
    }
}

/// The first words of a text, on one line. A word that is very long ends as well.
pub(super) fn excerpt(text: &str, words_max: usize) -> String {
    let mut words = text.split_whitespace();
    let line = words.by_ref().take(words_max).collect::<Vec<_>>().join(" ");
    let (chars_max, is_cut) = (words_max * WORD_CHARS_MAX, words.next().is_some());
    match line.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if is_cut => format!("{line}…"),
        None => line,
    }
}

/// The characters of a word with its space, on the average of an excerpt. English has six.
const WORD_CHARS_MAX: usize = 12;
