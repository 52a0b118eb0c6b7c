//! Evidence: a pattern of a pack, and what a user names.

use std::fmt;

use regex::Regex;

use super::model::EvidenceKind;
use crate::Result;

/// The kinds and their names.
const KINDS: [(&str, EvidenceKind); 7] = [
    ("log", EvidenceKind::Log),
    ("metric", EvidenceKind::Metric),
    ("request", EvidenceKind::Request),
    ("sql", EvidenceKind::Sql),
    ("commit", EvidenceKind::Commit),
    ("source", EvidenceKind::Source),
    ("environment", EvidenceKind::Environment),
];

/// A pattern of evidence: `KIND:REGEX`.
#[derive(Debug, Clone)]
pub struct EvidencePattern {
    /// The kind.
    pub kind: EvidenceKind,
    /// What is searched in the text, whatever its case.
    pub pattern: Regex,
}

impl EvidencePattern {
    /// Reads `KIND:REGEX`.
    ///
    /// # Errors
    ///
    /// There is no such kind, or the rest is no regular expression.
    pub fn parse(text: &str) -> Result<Self> {
        let (kind, pattern) = split(text)?;
        Ok(Self { kind, pattern: Regex::new(&format!("(?is){pattern}"))? })
    }

    /// Whether it matches what the user named, `KIND:TEXT`.
    pub fn matches(&self, named: &str) -> bool {
        split(named).is_ok_and(|(kind, text)| kind == self.kind && self.pattern.is_match(text))
    }
}

impl fmt::Display for EvidenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

/// Splits `KIND:TEXT`.
///
/// # Errors
///
/// There is no such kind.
pub fn split(text: &str) -> Result<(EvidenceKind, &str)> {
    let known = || KINDS.map(|(name, _)| name).join(", ");
    let unknown = || format!("`{text}` does not begin with a kind of evidence and a colon: {}", known());
    let (name, rest) = text.split_once(':').ok_or_else(unknown)?;
    let found = KINDS.iter().find(|(kind, _)| *kind == name.trim()).ok_or_else(unknown)?;
    Ok((found.1, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_matches_by_kind_and_pattern() {
        let pattern = EvidencePattern::parse("metric:index_drivers.*free").expect("a pattern");
        assert!(pattern.matches("metric: ridematch_INDEX_drivers{state=\"free\"} 38"));
        for other in ["log:index_drivers free", "metric:index", "index_drivers free", ""] {
            assert!(!pattern.matches(other), "{other}");
        }
        assert!(EvidencePattern::parse("rumor:x").is_err() && EvidencePattern::parse("log:(").is_err());
    }
}
