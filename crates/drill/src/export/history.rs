//! The exported history as a stream for `git fast-import`. The same trees and the same day always give the same commits.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use sha2::{Digest, Sha256};
use worktree::Tree;

use crate::pack::{changes::subject, model::Commit};

/// Authors of commits without one.
const AUTHORS: [&str; 6] =
    ["Amara Okafor", "Daniel Lindqvist", "Hana Kobayashi", "Luca Moretti", "Priya Raman", "Tomasz Zielinski"];

/// The message of the first commit.
const IMPORT: &str = "Import the service from the former repository";

/// How many days before the oldest commit the import is.
const IMPORT_DAYS_BEFORE: u64 = 3;

/// Working hours, UTC: when commits are made.
const FIRST_HOUR: u64 = 8;
const HOURS: u64 = 9;

/// Returns the stream.
pub fn stream(trees: &[(Option<&Commit>, Tree)], executable: &BTreeSet<String>, today: NaiveDate) -> Vec<u8> {
    let oldest = trees.iter().filter_map(|(commit, _)| commit.map(|commit| u64::from(commit.days_ago))).max();
    let import_days = oldest.unwrap_or(0) + IMPORT_DAYS_BEFORE;
    let empty = Tree::new();
    let mut before = &empty;
    let mut stream = Vec::new();
    let mut last_time = 0;
    for (at, (commit, tree)) in trees.iter().enumerate() {
        let message = commit.map_or(IMPORT, |commit| commit.message.trim());
        let days = commit.map_or(import_days, |commit| u64::from(commit.days_ago));
        let author = commit.and_then(|commit| commit.author.as_deref()).unwrap_or_else(|| chosen_author(message));
        // A day's commits keep their order.
        last_time = time(today, days, message).max(last_time + 240);
        let identity = format!("{author} <{}> {last_time} +0000", address(author));
        stream.extend(format!("commit refs/heads/main\nmark :{}\n", at + 1).bytes());
        stream.extend(format!("author {identity}\ncommitter {identity}\n").bytes());
        data(&mut stream, format!("{message}\n").as_bytes());
        if at > 0 {
            stream.extend(format!("from :{at}\n").bytes());
        }
        for path in before.keys().filter(|path| !tree.contains_key(*path)) {
            stream.extend(format!("D {}\n", quoted(path)).bytes());
        }
        for (path, bytes) in tree.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes)) {
            let mode = if executable.contains(path) { "100755" } else { "100644" };
            stream.extend(format!("M {mode} inline {}\n", quoted(path)).bytes());
            data(&mut stream, bytes);
        }
        stream.push(b'\n');
        before = tree;
    }
    stream.extend(b"done\n");
    stream
}

fn data(stream: &mut Vec<u8>, bytes: &[u8]) {
    stream.extend(format!("data {}\n", bytes.len()).bytes());
    stream.extend(bytes);
    stream.push(b'\n');
}

/// A path as git quotes it in C style.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn digest(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(7).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn chosen_author(message: &str) -> &'static str {
    let at = usize::try_from(digest(message) % AUTHORS.len() as u64).unwrap_or(0);
    AUTHORS[at]
}

fn address(author: &str) -> String {
    format!("{}@ridematch.example", author.to_lowercase().replace(' ', "."))
}

/// A second in the working hours of a day, by the message. Of today, a second of its first hour.
fn time(today: NaiveDate, days_ago: u64, message: &str) -> i64 {
    let day = today.checked_sub_days(Days::new(days_ago)).unwrap_or(today);
    let midnight = day.and_hms_opt(0, 0, 0).map_or(0, |time| time.and_utc().timestamp());
    let subject = subject(message);
    let within =
        if days_ago == 0 { digest(subject) % 3_600 } else { FIRST_HOUR * 3_600 + digest(subject) % (HOURS * 3_600) };
    midnight + i64::try_from(within).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_the_same_each_time_and_its_times_grow() {
        let commit = |message: &str, days_ago| Commit {
            message: message.to_owned(),
            days_ago,
            author: None,
            fault: false,
            replace: Vec::new(),
            add: std::collections::BTreeMap::new(),
            environment: std::collections::BTreeMap::new(),
        };
        let tree = |text: &str| Tree::from([("a \"b\".rs".to_owned(), text.as_bytes().to_vec())]);
        let commits = [commit("One", 9), commit("Two", 1), commit("Three", 1), commit("Four", 1)];
        let mut trees = vec![(None, tree("0"))];
        trees.extend(commits.iter().enumerate().map(|(at, commit)| (Some(commit), tree(&at.to_string()))));
        let today = NaiveDate::from_ymd_opt(2026, 3, 4).expect("a day");
        let bytes = stream(&trees, &BTreeSet::new(), today);
        assert_eq!(bytes, stream(&trees, &BTreeSet::new(), today));
        let text = String::from_utf8(bytes).expect("text");
        let times: Vec<i64> = text
            .lines()
            .filter(|line| line.starts_with("author "))
            .filter_map(|line| line.split(' ').rev().nth(1)?.parse().ok())
            .collect();
        assert!(times.len() == 5 && times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert!(text.contains("M 100644 inline \"a \\\"b\\\".rs\"\ndata 1\n"), "{text}");
    }
}
