//! Lengths: a file or function over the limit is on a list with its allowed length, and the list may only shrink.

use crate::{names, rules::Violation, source::Source};

/// The most lines of a file.
const FILE_LINES_MAX: usize = 400;

/// The most lines of a function: it fits on one screen.
const FUNCTION_LINES_MAX: usize = 70;

/// How far below its allowed length an entry may be before the list must be updated.
const SLACK_LINES: usize = 10;

/// A measured file, or function as `file::name`.
struct Measured {
    key: String,
    file: String,
    line: usize,
    lines: usize,
    max: usize,
}

/// Compares every file and function with the list of allowed exceptions: `(key, lines)`.
///
/// # Panics
/// If a file is not Rust.
pub fn lengths(sources: &[Source], long: &[(&str, usize)]) -> Vec<Violation> {
    let measured: Vec<Measured> = sources.iter().flat_map(measure).collect();
    let mut found = Vec::new();
    for Measured { key, file, line, lines, max } in &measured {
        let ceiling = long.iter().find(|(name, _)| name == key).map(|(_, ceiling)| *ceiling);
        let message = match ceiling {
            None if lines > max => {
                format!("{key} has {lines} lines, more than {max}; split it along what it does")
            }
            Some(_) if lines <= max => {
                format!("{key} is down to {lines} lines: take it off the list in tests/architecture/main.rs")
            }
            Some(ceiling) if *lines > ceiling => {
                format!("{key} grew to {lines} lines, past its ceiling of {ceiling}; the list may only shrink")
            }
            Some(ceiling) if lines + SLACK_LINES < ceiling => {
                format!("{key} is down to {lines} lines: lower its ceiling of {ceiling} in tests/architecture/main.rs")
            }
            _ => continue,
        };
        found.push(Violation { file: file.clone(), line: *line, rule: "lengths", message });
    }
    for (name, _) in long.iter().filter(|(name, _)| !measured.iter().any(|m| m.key == *name)) {
        let (file, message) =
            ((*name).to_owned(), "is gone: take it off the list in tests/architecture/main.rs".to_owned());
        found.push(Violation { file, line: 1, rule: "lengths", message });
    }
    found
}

fn measure(source: &Source) -> Vec<Measured> {
    let file = syn::parse_file(&source.text).unwrap_or_else(|error| panic!("{}: {error}", source.path));
    let functions = names::facts(&file, &[]).functions.into_iter().map(|function| Measured {
        key: format!("{}::{}", source.path, function.name),
        file: source.path.clone(),
        line: function.line,
        lines: function.lines,
        max: FUNCTION_LINES_MAX,
    });
    let whole = Measured {
        key: source.path.clone(),
        file: source.path.clone(),
        line: 1,
        lines: source.text.lines().count(),
        max: FILE_LINES_MAX,
    };
    functions.chain([whole]).collect()
}

#[test]
fn lengths_only_shrink() {
    let long = |lines: usize| [Source::new("src/a.rs", &format!("fn f() {{\n{}}}\n", "g();\n".repeat(lines - 2)))];
    let check = |lines, list: &[(&str, usize)]| -> Vec<String> {
        lengths(&long(lines), list).into_iter().map(|violation| violation.message).collect()
    };
    assert_eq!(check(70, &[]), Vec::<String>::new());
    assert!(check(71, &[])[0].contains("more than 70"));
    assert_eq!(check(80, &[("src/a.rs::f", 80)]), Vec::<String>::new());
    assert!(check(81, &[("src/a.rs::f", 80)])[0].contains("grew to 81"));
    assert!(check(80, &[("src/a.rs::f", 91)])[0].contains("lower its ceiling"));
    assert!(check(70, &[("src/a.rs::f", 80)])[0].contains("take it off"));
    assert!(check(9, &[("src/gone.rs", 500)])[0].contains("is gone"));
    assert!(check(401, &[("src/a.rs::f", 401)])[0].contains("more than 400"));
}
