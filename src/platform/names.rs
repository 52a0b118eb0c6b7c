//! Enums whose values have one name each: the same in the database, in JSON, in the OpenAPI document and in metrics.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// Declares enums whose values are strings outside of the program.
///
/// Each gets `ALL`, `as_str`, `parse`, [`Display`](std::fmt::Display), serde's traits and an OpenAPI schema. The schema has the
/// type's name, or the one after `as`; its description is the enum's documentation and a list of the variants' documentation.
macro_rules! string_enum {
    ($($(#[doc = $doc:literal])* $vis:vis enum $type:ident $(as $schema:literal)? {
        $($(#[doc = $variant_doc:literal])* $variant:ident = $name:literal,)+
    })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis enum $type { $($(#[doc = $variant_doc])* $variant,)+ }

        #[allow(dead_code, reason = "not every enum is read, written and listed")]
        impl $type {
            /// All values, in the order of their declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Returns the name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// Returns the value with this name.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&name).ok_or_else(|| serde::de::Error::unknown_variant(&name, &[$($name),+]))
            }
        }

        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let variants = [$(($name, &[$($variant_doc),*] as &[&str])),+];
                let description = $crate::platform::names::describe(&[$($doc),*], &variants);
                $crate::platform::names::string_schema(&description, Self::ALL.map(Self::as_str))
            }
        }

        impl utoipa::ToSchema for $type {
            $(fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed($schema)
            })?
        }
    )*};
}
pub(crate) use string_enum;

/// Returns the schema of a string that is one of `names`, for lists that are no enum.
pub fn string_schema(description: &str, names: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let names: Vec<_> = names.into_iter().collect();
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(names)).into()
}

/// Joins the documentation of an enum and of its variants, by name, to a description in Markdown.
pub fn describe(doc: &[&str], variants: &[(&str, &[&str])]) -> String {
    let lines = |doc: &[&str]| doc.iter().map(|line| line.trim_start().to_owned()).collect::<Vec<_>>();
    let described = variants.iter().filter(|(_, doc)| !doc.is_empty());
    let list: Vec<_> = described.map(|(name, doc)| format!("* `{name}`: {}", lines(doc).join(" "))).collect();
    let mut text = lines(doc).join("\n");
    if !list.is_empty() {
        text += "\n\n";
        text += &list.join("\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use utoipa::{PartialSchema, ToSchema};

    string_enum! {
        /// The state of a lamp.
        enum Lamp as "LampState" {
            /// Gives light.
            On = "on",
            /// Gives no light,
            /// and uses no power.
            SwitchedOff = "switched_off",
        }
    }

    #[test]
    fn name_is_the_same_in_every_format() {
        for lamp in Lamp::ALL {
            assert_eq!(Lamp::parse(lamp.as_str()), Some(lamp));
            assert_eq!(lamp.to_string(), lamp.as_str());
            assert_eq!(serde_json::json!(lamp), lamp.as_str());
            assert_eq!(serde_json::from_value::<Lamp>(lamp.as_str().into()).ok(), Some(lamp));
        }
        assert_eq!(Lamp::parse("off"), None);
    }

    #[test]
    fn unknown_name_is_an_error_that_lists_the_known_ones() {
        let error = serde_json::from_str::<Lamp>("\"off\"").expect_err("unknown");
        assert!(error.to_string().starts_with("unknown variant `off`, expected `on` or `switched_off`"), "{error}");
    }

    #[test]
    fn schema_lists_names_and_documentation() {
        assert_eq!(Lamp::name(), "LampState");
        assert_eq!(
            serde_json::json!(Lamp::schema()),
            serde_json::json!({
                "type": "string",
                "description": "The state of a lamp.\n\n* `on`: Gives light.\n* `switched_off`: Gives no light, and uses no power.",
                "enum": ["on", "switched_off"],
            }),
        );
    }
}
