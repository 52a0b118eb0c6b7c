//! Which wrong fix a user's changes are.

use super::{WrongFix, problems::recognizer};
use crate::export::edits::{self, FileChange};

/// Returns the first wrong fix that the patch is recognized as.
pub fn recognize<'a>(wrong: &'a [WrongFix], patch: &str) -> Option<&'a WrongFix> {
    let changes = edits::by_file(patch);
    wrong.iter().find(|wrong| wrong.recognize.iter().any(|pattern| matches(pattern, &changes)))
}

fn matches(pattern: &str, changes: &[FileChange]) -> bool {
    let Ok((file, pattern)) = recognizer(pattern) else { return false };
    let fits = |path: &str| file.is_none_or(|file| is_file(file, path));
    changes.iter().any(|change| fits(&change.file) && pattern.is_match(&change.lines))
}

/// Whether `pattern`, a path or a regular expression of one, is `path`.
fn is_file(pattern: &str, path: &str) -> bool {
    pattern == path || regex::Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(name: &str, recognize: &[&str]) -> WrongFix {
        let patterns: Vec<String> = recognize.iter().map(|pattern| format!("'{pattern}'")).collect();
        let text = format!("name = '{name}'\nwhy = ''\nrecognize = [{}]", patterns.join(", "));
        toml::from_str(&text).expect("a wrong fix")
    }

    #[test]
    fn wrong_fix_is_recognized_in_its_file_only() {
        let patch = "diff --git a/src/supply/radii.rs b/src/supply/radii.rs\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-const RADIUS: f64 = 1.0;\n+const RADIUS: f64 = 9.0;\n";
        let all = [
            wrong("other file", &["src/supply/routes.rs: RADIUS"]),
            wrong("radius", &["nothing", r"src/supply/(radii|routes)\.rs: ^\+.*RADIUS"]),
            wrong("any file", &["RADIUS"]),
        ];
        assert_eq!(recognize(&all, patch).map(|wrong| wrong.name.as_str()), Some("radius"));
        assert!(recognize(&all, "").is_none());
    }
}
