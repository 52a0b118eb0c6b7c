//! The service's log: JSON lines, filtered.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use launcher::BoxError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Lines that are returned unless the filter says otherwise.
const LAST: usize = 40;

/// Which lines.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// An id of a trip, a payment, an offer, or a trace: lines that contain it, at every level.
    pub id: Option<String>,
    /// A regular expression over the line.
    pub pattern: Option<String>,
    /// Whether lines at level info and below are shown as well; always with `id`.
    pub all_levels: bool,
    /// The most lines, the newest; 40 if absent.
    pub last: Option<usize>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// The time as it is in the log.
    pub at: String,
    /// The level.
    pub level: String,
    /// The module.
    pub target: String,
    /// The message.
    pub message: String,
    /// All other members.
    pub fields: Value,
}

/// Returns the lines of the logs that a filter selects, oldest first within each log.
///
/// # Errors
/// If a log cannot be read, or the pattern is none.
pub fn read(logs: &[PathBuf], filter: &LogFilter) -> Result<Vec<LogLine>, BoxError> {
    let pattern = filter.pattern.as_deref().map(regex::Regex::new).transpose()?;
    let mut lines = Vec::new();
    for log in logs {
        for line in BufReader::new(std::fs::File::open(log)?).lines() {
            let line = line?;
            let is_wanted = filter.id.as_deref().is_none_or(|id| line.contains(id))
                && pattern.as_ref().is_none_or(|pattern| pattern.is_match(&line));
            let Some(parsed) = is_wanted.then(|| parse(&line)) else { continue };
            if filter.all_levels || filter.id.is_some() || matches!(parsed.level.as_str(), "WARN" | "ERROR" | "") {
                lines.push(parsed);
            }
        }
    }
    let first = lines.len().saturating_sub(filter.last.unwrap_or(LAST));
    Ok(lines.split_off(first))
}

/// Reads a line. One that is no JSON, as of a panic, is all message.
fn parse(line: &str) -> LogLine {
    let object = serde_json::from_str(line).ok().filter(Value::is_object);
    let mut members = object.unwrap_or_else(|| serde_json::json!({ "message": line }));
    let mut fields = members["fields"].take();
    let mut take = |name: &str| match members[name].take() {
        Value::String(text) => text,
        Value::Null => match fields[name].take() {
            Value::String(text) => text,
            _ => String::new(),
        },
        other => other.to_string(),
    };
    let (at, level, target, message) = (take("timestamp"), take("level"), take("target"), take("message"));
    let mut rest = serde_json::Map::new();
    for value in [members, fields] {
        let Value::Object(value) = value else { continue };
        rest.extend(value.into_iter().filter(|(name, value)| !value.is_null() && name != "spans"));
    }
    LogLine { at, level, target, message, fields: Value::Object(rest) }
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, level, target, message, fields } = self;
        if level.is_empty() {
            return f.write_str(message);
        }
        write!(f, "{at} {level:<5} {target}: {message}")?;
        for (name, value) in fields.as_object().into_iter().flatten() {
            match value {
                Value::String(text) => write!(f, " {name}={text}")?,
                Value::Object(members) if name == "span" => {
                    for (name, value) in members.iter().filter(|(name, _)| *name != "name") {
                        write!(f, " {name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
                    }
                }
                other => write!(f, " {name}={other}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_shown_and_lines_of_an_id_at_every_level() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = [
            r#"{"timestamp":"T1","level":"INFO","target":"a","fields":{"message":"one","trip_id":"trip_1"}}"#,
            r#"{"timestamp":"T2","level":"WARN","target":"b","fields":{"message":"two"},"span":{"name":"request","path":"/x"}}"#,
            "thread 'main' panicked",
        ];
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let logs = [file.path().to_owned()];
        let text = |filter: LogFilter| {
            let lines = read(&logs, &filter).unwrap();
            lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(text(LogFilter::default()), "T2 WARN  b: two path=/x\nthread 'main' panicked");
        let id = Some("trip_1".to_owned());
        assert_eq!(text(LogFilter { id, ..LogFilter::default() }), "T1 INFO  a: one trip_id=trip_1");
        let pattern = Some("tw[o]".to_owned());
        assert_eq!(read(&logs, &LogFilter { pattern, ..LogFilter::default() }).unwrap().len(), 1);
    }
}
