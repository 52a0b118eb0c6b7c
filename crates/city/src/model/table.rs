//! A lenient CSV reader, which accepts or rejects each row by itself.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::RejectedRow;

/// Why a file cannot be read as a table.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TableError {
    #[error("{file}: {source}")]
    Unreadable { file: &'static str, source: std::io::Error },
    #[error("{file} has no column `{column}`")]
    MissingColumn { file: &'static str, column: &'static str },
}

/// A row: its line, and its fields by column.
pub(crate) struct Row<'a> {
    pub line: u64,
    header: &'a [String],
    record: &'a csv::ByteRecord,
}

impl Row<'_> {
    /// A field without surrounding blanks and quotes; `None` if the row ends before it.
    ///
    /// # Errors
    /// The field is not UTF-8.
    pub fn get(&self, column: &str) -> Result<Option<&str>, String> {
        let Some(at) = self.header.iter().position(|name| name == column) else {
            return Ok(None);
        };
        let Some(bytes) = self.record.get(at) else {
            return Ok(None);
        };
        let text = std::str::from_utf8(bytes).map_err(|_| format!("`{column}` is not UTF-8"))?;
        Ok(Some(bare(text)))
    }

    /// A required field.
    ///
    /// # Errors
    /// The field is missing, empty or not UTF-8.
    pub fn text(&self, column: &str) -> Result<&str, String> {
        match self.get(column)? {
            Some("") => Err(format!("`{column}` is empty")),
            Some(text) => Ok(text),
            None => Err(format!("`{column}` is missing")),
        }
    }

    /// A required number.
    ///
    /// # Errors
    /// The field is missing or not a number.
    pub fn number(&self, column: &str) -> Result<f64, String> {
        let text = self.text(column)?;
        text.parse().map_err(|_| format!("`{column}` is not a number: `{}`", clipped(text)))
    }
}

/// The accepted and the rejected rows of a file.
pub(crate) struct Table<T> {
    pub rows: Vec<T>,
    pub rejected: Vec<RejectedRow>,
}

/// Reads a file with a header line, and converts each row to a value or a reason.
///
/// Accepts a byte-order mark, `\r\n`, blank lines, extra columns, and rows that are too short or too long. A row is a line:
/// if quotes could span lines, one unmatched quote would hide the rest of the file.
///
/// # Errors
/// The file cannot be read, or lacks a column of `required`.
pub(crate) fn read<T>(
    folder: &Path,
    file: &'static str,
    required: &[&'static str],
    mut convert: impl FnMut(&Row<'_>) -> Result<T, String>,
) -> Result<Table<T>, TableError> {
    let unreadable = |source| TableError::Unreadable { file, source };
    let content = BufReader::new(File::open(folder.join(file)).map_err(unreadable)?);
    let mut header: Option<Vec<String>> = None;
    let mut table = Table { rows: Vec::new(), rejected: Vec::new() };
    for (line, text) in (1..).zip(content.split(b'\n')) {
        let text = text.map_err(unreadable)?;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let reject = |reason| RejectedRow { file, line, reason };
        match (fields(&text), &header) {
            (Ok(record), None) => header = Some(names(&record)),
            (Ok(record), Some(header)) => match convert(&Row { line, header, record: &record }) {
                Ok(value) => table.rows.push(value),
                Err(reason) => table.rejected.push(reject(reason)),
            },
            (Err(error), _) => table.rejected.push(reject(error.to_string())),
        }
    }
    let header = header.unwrap_or_default();
    match required.iter().find(|column| !header.iter().any(|name| name == *column)) {
        Some(column) => Err(TableError::MissingColumn { file, column }),
        None => Ok(table),
    }
}

/// The fields of one line.
fn fields(line: &[u8]) -> Result<csv::ByteRecord, csv::Error> {
    let mut record = csv::ByteRecord::new();
    csv::ReaderBuilder::new()
        .has_headers(false)
        .buffer_capacity(512)
        .from_reader(line)
        .read_byte_record(&mut record)?;
    Ok(record)
}

fn names(header: &csv::ByteRecord) -> Vec<String> {
    header.iter().map(|name| bare(&String::from_utf8_lossy(name)).to_owned()).collect()
}

fn bare(text: &str) -> &str {
    text.trim().trim_matches('"').trim()
}

/// The start of a value, for a message.
pub(crate) fn clipped(text: &str) -> String {
    text.chars().take(40).collect()
}
