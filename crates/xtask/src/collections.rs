//! `collections/http`: the journeys of `collections/*.hurl` once more, as `.http` files for an editor (httpYac: Visual Studio
//! Code, or its command line). Hurl's files are the source, and CI runs them; these are written from them.
//!
//! Only as much of Hurl is understood as the journeys use, and anything else is an error: nothing is left out in silence, but
//! for those assertions that the other format cannot say.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use crate::workspace;

/// Waiting for something to happen: Hurl asks again and again, the other format looks once, this much later.
const PATIENCE_MS: u32 = 1_500;

const METHODS: [&str; 4] = ["GET", "PUT", "POST", "DELETE"];

/// Writes the files, or compares them with what would be written.
///
/// # Errors
/// If a file cannot be read or written, or has something in it that is not understood.
pub fn run(check: bool) -> workspace::Result<ExitCode> {
    let from = workspace::root().join("collections");
    let to = from.join("http");
    let mut stale = Vec::new();
    for journey in journeys(&from)? {
        let name = journey.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let written =
            export(&fs::read_to_string(&journey)?).map_err(|wrong| format!("{}: {wrong}", journey.display()))?;
        let file = to.join(format!("{name}.http"));
        if fs::read_to_string(&file).unwrap_or_default() != written {
            stale.push(file.clone());
        }
        if !check {
            fs::create_dir_all(&to)?;
            fs::write(&file, written)?;
        }
    }
    if check && !stale.is_empty() {
        eprintln!("stale: {stale:?}; write them anew: cargo xtask collections");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn journeys(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "hurl") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One request of a journey, and what is expected of its answer.
#[derive(Debug, Default)]
struct Entry {
    title: String,
    request: String,
    headers: Vec<String>,
    body: Option<String>,
    retried: bool,
    status: String,
    captures: Vec<String>,
    asserts: Vec<String>,
}

/// Where in an entry a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Request,
    Options,
    Captures,
    Asserts,
}

/// A journey in the other format.
///
/// # Errors
/// The line that is not understood.
fn export(hurl: &str) -> Result<String, String> {
    let (head, rest) = hurl.split_once("\n\n").ok_or("no heading")?;
    let mut out = format!(
        "{head}\n#\n# Written by `cargo xtask collections`, from the file of the same name beside this folder.\n\n"
    );
    out += "@base_url = http://127.0.0.1:8080\n";
    for (number, entry) in entries(rest)?.iter().enumerate() {
        write_entry(&mut out, number + 1, entry)?;
    }
    Ok(out)
}

fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let (mut title, mut section) = (String::new(), Section::Request);
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            title = comment.to_owned();
            continue;
        }
        if METHODS.contains(&line.split(' ').next().unwrap_or_default()) {
            section = Section::Request;
            entries.push(Entry { title: std::mem::take(&mut title), request: line.to_owned(), ..Entry::default() });
            continue;
        }
        let entry = entries.last_mut().ok_or_else(|| format!("before the first request: {line}"))?;
        match (section, line) {
            (_, "[Options]") => section = Section::Options,
            (_, "[Captures]") => section = Section::Captures,
            (_, "[Asserts]") => section = Section::Asserts,
            (_, line) if line.starts_with("HTTP ") => entry.status = line["HTTP ".len()..].to_owned(),
            (Section::Request, line) if line.starts_with('{') => entry.body = Some(line.to_owned()),
            (Section::Request, line) if line.contains(": ") => entry.headers.push(line.to_owned()),
            (Section::Options, line) if line.starts_with("retry") => entry.retried = true,
            (Section::Captures, line) => entry.captures.push(line.to_owned()),
            (Section::Asserts, line) => entry.asserts.push(line.to_owned()),
            (_, line) => return Err(format!("not understood: {line}")),
        }
    }
    Ok(entries)
}

fn write_entry(out: &mut String, number: usize, entry: &Entry) -> Result<(), String> {
    let own = |text: &str| text.replace("{{newUuid}}", "{{$guid}}");
    let mut say = |line: &str| {
        let _infallible = writeln!(out, "{line}");
    };
    say(&format!("\n### {number}. {}", entry.title));
    if entry.retried {
        say(&format!("# @sleep {PATIENCE_MS}"));
    }
    say(&entry.request);
    entry.headers.iter().for_each(|header| say(&own(header)));
    if let Some(body) = &entry.body {
        say("Content-Type: application/json\n");
        say(body);
    }
    if !entry.captures.is_empty() {
        say("\n{{");
        for capture in &entry.captures {
            let (name, what) = capture.split_once(": ").ok_or_else(|| format!("not understood: {capture}"))?;
            let value = value(what).ok_or_else(|| format!("not understood: {capture}"))?;
            say(&format!("  exports.{name} = {value};"));
        }
        say("}}");
    }
    say(&format!("\n?? status == {}", entry.status));
    entry.asserts.iter().filter_map(|assert| expectation(assert)).for_each(|line| say(&line));
    Ok(())
}

/// What Hurl captures, as a script of httpYac says it.
fn value(what: &str) -> Option<String> {
    match what.split_once(' ') {
        None if what == "body" => Some("response.body".to_owned()),
        Some(("jsonpath", path)) => member(path.trim_matches('"')),
        Some(("header", name)) => Some(format!("response.headers[\"{}\"]", name.trim_matches('"').to_lowercase())),
        _ => None,
    }
}

/// `$.items[0].id`, if it is that simple.
fn member(path: &str) -> Option<String> {
    let path = path.strip_prefix('$')?;
    let is_simple = path.chars().all(|c| c.is_ascii_alphanumeric() || "_.[]".contains(c));
    is_simple.then(|| format!("response.parsedBody{path}"))
}

/// An assertion that the other format can say, too.
fn expectation(assert: &str) -> Option<String> {
    let (what, wanted) = [" == ", " > ", " >= "].iter().find_map(|operator| {
        let (what, wanted) = assert.split_once(operator)?;
        Some((value(what)?, format!("{}{}", operator.trim_start(), wanted.trim_matches('"'))))
    })?;
    // A whole answer is too long to stand on one line.
    (what != "response.body").then(|| format!("?? js {what} {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journey_is_written_in_the_other_format() {
        let hurl = "# A journey\n\n# Somebody asks.\nPOST {{base_url}}/v1/trips\nIdempotency-Key: {{newUuid}}\n{\"a\": 1}\n[Options]\n\
            retry: 4\nHTTP 201\n[Captures]\ntrip: jsonpath \"$.items[0].id\"\nseen: header \"ETag\"\n[Asserts]\n\
            jsonpath \"$.state\" == \"requested\"\njsonpath \"$.price\" > 0\njsonpath \"$.items\" count == 2\n";
        let written = export(hurl).expect("understood");
        let wanted = "### 1. Somebody asks.\n# @sleep 1500\nPOST {{base_url}}/v1/trips\nIdempotency-Key: {{$guid}}\n\
            Content-Type: application/json\n\n{\"a\": 1}\n\n{{\n  exports.trip = response.parsedBody.items[0].id;\n  \
            exports.seen = response.headers[\"etag\"];\n}}\n\n?? status == 201\n?? js response.parsedBody.state == requested\n\
            ?? js response.parsedBody.price > 0\n";
        assert!(written.ends_with(wanted), "{written}");
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for line in ["[Cookies]\nx: 1", "[Captures]\nx: cookie \"y\"", "nonsense"] {
            let hurl = format!("# A journey\n\n# It.\nGET {{{{base_url}}}}/\n{line}\nHTTP 200\n");
            assert!(export(&hurl).is_err(), "{line}");
        }
    }
}
