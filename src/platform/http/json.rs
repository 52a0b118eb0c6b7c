//! Bodies: JSON in, and an answer that names the field when it cannot be read.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::platform::error::{Code, FieldError, Refusal, Result};
use crate::platform::ids::InvalidId;

/// Reads a body, all of it.
///
/// # Errors
/// 400 for what is not JSON, or has an id of the wrong kind; 422 for a field that cannot be right. The field is named.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let fault = at_fault(error.path(), error.inner());
        let code = match error.inner().is_data() {
            true if InvalidId::is_told_by(&fault.detail) => Code::InvalidId,
            true => Code::InvalidRequest,
            false => Code::Malformed,
        };
        Refusal::new(code, format!("The body cannot be read: {}.", fault.detail)).field(fault.pointer, fault.detail)
    })?;
    deserializer.end().map_err(|error| {
        let detail = error.to_string();
        Refusal::new(Code::Malformed, format!("There is something after the end of the JSON: {detail}."))
            .field("", detail)
    })?;
    Ok(value)
}

/// Reads a body that is an object. Serde takes an array of the right length for a struct, and clients must not come to rely on it.
///
/// # Errors
/// As [`read`], and 422 for an array.
pub fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        let detail = "must be an object, not an array";
        return Err(Refusal::new(Code::InvalidRequest, format!("The body {detail}.")).field("", detail).into());
    }
    read(body)
}

/// Which field an error is about, and what is wrong with it. Serde names one that is missing, or there twice, in its message only.
pub fn at_fault(path: &Path, error: &impl std::fmt::Display) -> FieldError {
    let detail = without_value(&error.to_string());
    let named =
        ["missing field `", "duplicate field `"].iter().find_map(|start| detail.strip_prefix(start)?.split_once('`'));
    let pointer = match named {
        Some((name, _)) => format!("{}/{name}", pointer(path)),
        None => pointer(path),
    };
    FieldError { pointer, detail }
}

/// Serde quotes the value that it did not want. Its sender knows it, and others read what his program logs: it may be a key, or
/// the number of a card.
fn without_value(message: &str) -> String {
    let is_of_a_value = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    match (message.find(['`', '"']), message.rfind(", expected ")) {
        (Some(quote), Some(end)) if is_of_a_value && quote < end => {
            format!("{}{}", message[..quote].trim_end(), &message[end..])
        }
        _ => message.to_owned(),
    }
}

/// A path as a JSON pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => format!("{pointer}/{index}"),
        Segment::Map { key } => format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { .. } | Segment::Unknown => pointer,
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::platform::error::Error;
    use crate::platform::ids::TripId;
    use crate::platform::money::Money;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors matter")]
    struct Body {
        trips: Vec<TripId>,
        charge: Option<Money>,
    }

    fn refused(text: &str) -> (Code, String) {
        match read_object::<Body>(text.as_bytes()) {
            Err(Error::Refused(refusal)) => (refusal.code, refusal.fields[0].pointer.clone()),
            other => panic!("{text} is {other:?}"),
        }
    }

    #[test]
    fn what_it_holds_is_not_quoted() {
        for (message, shown) in [
            (
                "invalid type: string \"4242, expected\", expected i64 at line 1",
                "invalid type: string, expected i64 at line 1",
            ),
            ("invalid value: integer `4242`, expected i8", "invalid value: integer, expected i8"),
            ("invalid type: null, expected a `x`", "invalid type: null, expected a `x`"),
            ("unknown field `x`, expected `y`", "unknown field `x`, expected `y`"),
        ] {
            assert_eq!(without_value(message), shown);
        }
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let cases = [
            ("{", Code::Malformed, ""),
            ("[[], null]", Code::InvalidRequest, ""),
            ("{} {}", Code::InvalidRequest, "/trips"),
            (r#"{"trips": []} x"#, Code::Malformed, ""),
            (r#"{"trips": [], "charge": {"amount": 1}}"#, Code::InvalidRequest, "/charge/currency"),
            (r#"{"trips": [], "charge": {"amount": "1"}}"#, Code::InvalidRequest, "/charge/amount"),
            (r#"{"trips": [], "charge": {"a/b~": 1}}"#, Code::InvalidRequest, "/charge/a~1b~0"),
            (r#"{"trips": [], "trips": []}"#, Code::InvalidRequest, "/trips"),
            (r#"{"trips": ["trip_01h455vb4pex5vsknk084sn02q", "ofr_x"]}"#, Code::InvalidId, "/trips/1"),
            (r#"{"trips": ["trip_x"]}"#, Code::InvalidId, "/trips/0"),
        ];
        for (text, code, pointer) in cases {
            assert_eq!(refused(text), (code, pointer.to_owned()), "{text}");
        }
    }
}
