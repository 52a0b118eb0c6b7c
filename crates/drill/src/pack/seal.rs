//! Sealing: compressed and encoded, so that neither a search nor a glance shows an answer. It keeps surprises, not secrets.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, GzBuilder, read::GzDecoder};

use crate::Result;

/// The first line of a sealed pack.
const HEADER: &str = "A sealed drill. `cargo drill reveal` shows it after a try, `cargo drill open` to its author.";

/// Characters in a line.
const LINE: usize = 100;

/// The longest text that is opened: a damaged file must not fill the memory.
const TEXT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Seals a text. The same text always gives the same bytes.
///
/// # Errors
///
/// Compression fails.
pub fn seal(text: &str) -> Result<String> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    let encoded = STANDARD.encode(encoder.finish()?);
    let mut sealed = format!("{HEADER}\n");
    for line in encoded.as_bytes().chunks(LINE) {
        sealed.push_str(&String::from_utf8_lossy(line));
        sealed.push('\n');
    }
    Ok(sealed)
}

/// Opens a sealed text.
///
/// # Errors
///
/// It is not one, or it is damaged.
pub fn open(sealed: &str) -> Result<String> {
    let encoded: String = sealed.lines().skip(1).flat_map(str::chars).filter(|char| !char.is_whitespace()).collect();
    let compressed = STANDARD.decode(encoded).map_err(|error| format!("damaged: {error}"))?;
    let mut text = String::new();
    GzDecoder::new(compressed.as_slice())
        .take(TEXT_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("damaged: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_again_and_hides_its_words() {
        let text = "component = 'supply'\n".repeat(100);
        let sealed = seal(&text).expect("sealed");
        assert_eq!(open(&sealed).expect("opened"), text);
        assert_eq!(seal(&text).expect("sealed"), sealed);
        assert!(!sealed.contains("supply") && sealed.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn damaged_pack_is_an_error() {
        let sealed = seal("text").expect("sealed");
        for damaged in ["", "one line", &sealed[..sealed.len() - 8], &sealed.replace('A', "!")] {
            assert!(open(damaged).is_err(), "{damaged}");
        }
    }
}
