//! Parsing of JSON bodies, with errors that name the field.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::platform::error::{Code, FieldError, Refusal, Result};
use crate::platform::ids::InvalidId;

/// Parses a whole body.
///
/// # Errors
/// 400 for invalid JSON or an invalid id; 422 for an invalid field. The error names the field.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = field_error(error.path(), error.inner());
        let code = match error.inner().is_data() {
            true if InvalidId::is_message(&field.detail) => Code::InvalidId,
            true => Code::InvalidRequest,
            false => Code::Malformed,
        };
        Refusal::new(code, format!("The body is invalid: {}.", field.detail)).field(field.pointer, field.detail)
    })?;
    deserializer.end().map_err(|error| {
        let detail = error.to_string();
        Refusal::new(Code::Malformed, format!("The body has characters after the end of the JSON value: {detail}."))
            .field("", detail)
    })?;
    Ok(value)
}

/// Parses a body that is an object. Serde would also accept an array of the right length for a struct.
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

/// Returns the field that an error is about. Serde names a missing or duplicate field only in its message.
pub fn field_error(path: &Path, error: &impl std::fmt::Display) -> FieldError {
    let detail = without_value(&error.to_string());
    let named =
        ["missing field `", "duplicate field `"].iter().find_map(|start| detail.strip_prefix(start)?.split_once('`'));
    let pointer = match named {
        Some((name, _)) => format!("{}/{name}", pointer(path)),
        None => pointer(path),
    };
    FieldError { pointer, detail }
}

/// Removes the value that serde quotes. It may be a secret or a card number, and clients log error messages.
fn without_value(message: &str) -> String {
    let is_of_a_value = message.starts_with("invalid type: ") || message.starts_with("invalid value: ");
    match (message.find(['`', '"']), message.rfind(", expected ")) {
        (Some(quote), Some(end)) if is_of_a_value && quote < end => {
            format!("{}{}", message[..quote].trim_end(), &message[end..])
        }
        _ => message.to_owned(),
    }
}

/// Returns a path as a JSON pointer (RFC 6901).
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
    fn message_does_not_quote_the_value() {
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
    fn error_names_the_field() {
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
