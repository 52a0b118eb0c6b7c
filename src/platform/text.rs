//! Texts that people write and read: names, number plates, notes.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::platform::error::{Code, Refusal};

/// Characters that show nothing, besides white space: the Unicode property `Default_Ignorable_Code_Point`, and the blank Braille pattern.
const INVISIBLE: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// The longest note of an operator, characters.
pub const NOTE_CHARS_MAX: usize = 500;

/// Which characters a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// No control characters.
    One,
    /// No NUL, which PostgreSQL does not store.
    Many,
}

/// Checks the text in the field `name`: it fits, and a reader sees something.
///
/// # Errors
/// 422 that names the field.
pub fn check_text(name: &str, text: &str, chars_max: usize, lines: Lines) -> Result<(), Refusal> {
    let (has_refused, refused) = match lines {
        Lines::One => (text.chars().any(char::is_control), "control character"),
        Lines::Many => (text.contains('\0'), "NUL"),
    };
    if (1..=chars_max).contains(&text.chars().count()) && !has_refused && text.chars().any(is_visible) {
        return Ok(());
    }
    let detail = format!("must be 1 to {chars_max} characters, at least one of them visible and none a {refused}");
    Err(Refusal::new(Code::InvalidRequest, format!("`{name}` {detail}.")).field(format!("/{name}"), detail))
}

/// Returns the schema of the texts that [`check_text`] accepts, almost: see the comment on characters beyond U+FFFF.
pub fn text_schema(description: &str, chars_max: usize, lines: Lines) -> RefOr<Schema> {
    let any = match lines {
        Lines::One => r"[^\x00-\x1f\x7f-\x9f]",
        Lines::Many => r"[^\x00]",
    };
    // Characters beyond U+FFFF are left out: engines without Unicode mode read them as two. They are refused all the same.
    let range = |(first, last): &(char, char)| format!(r"\u{:04x}-\u{:04x}", u32::from(*first), u32::from(*last));
    let invisible: String = INVISIBLE.iter().filter(|(_, last)| *last <= '\u{ffff}').map(range).collect();
    let pattern = format!(r"^{any}*[^\s\x00-\x1f\x7f-\x9f{invisible}]{any}*$");
    let text = ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    text.min_length(Some(1)).max_length(Some(chars_max)).pattern(Some(pattern)).into()
}

/// Declares schemas of texts: name, longest length in characters, lines, description.
macro_rules! text_schemas {
    ($($vis:vis $name:ident: $chars_max:expr, $lines:expr, $description:literal;)*) => {$(
        #[doc = $description]
        $vis enum $name {}

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::platform::text::text_schema($description, $chars_max, $lines)
            }
        }

        impl utoipa::ToSchema for $name {}
    )*};
}
pub(crate) use text_schemas;

text_schemas! {
    pub OperatorNote: NOTE_CHARS_MAX, Lines::Many, "A note of an operator: at least one visible character.";
}

fn is_visible(char: char) -> bool {
    let is_ignorable = INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&char));
    !(char.is_whitespace() || char.is_control() || is_ignorable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_must_show_something() {
        for visible in
            ["x", "a b", "Zo\u{eb}", "\u{645}\u{62d}", "\u{1f469}\u{200d}\u{1f467}", "\u{202e}lleb", "\u{301}"]
        {
            assert_eq!(check_text("name", visible, 80, Lines::One), Ok(()), "{visible:?}");
        }
        for blank in
            ["", " ", "\u{a0}\u{3000}", "\u{200b}", "\u{200d}\u{200d}", "\u{2800}", "\u{3164}", "\u{feff}", "\u{e0041}"]
        {
            for lines in [Lines::One, Lines::Many] {
                let refused = check_text("name", blank, 80, lines).expect_err(blank);
                assert_eq!(refused.fields[0].pointer, "/name");
            }
        }
    }

    #[test]
    fn length_is_in_characters_and_line_breaks_are_for_notes() {
        let check = |text: &str, lines| check_text("note", text, 3, lines).is_ok();
        assert!(check("\u{1f695}\u{1f695}\u{1f695}", Lines::One) && !check("abcd", Lines::One));
        assert!(check("a\nb", Lines::Many) && !check("a\nb", Lines::One));
        assert!(!check("a\0b", Lines::Many));
    }
}
