//! Names on the wire as schemas: what a client may meet, made of the very table that the service writes it from.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// Gives the document a schema for each set of names. Its type has no value: fields refer to it with `#[schema(value_type = …)]`.
macro_rules! published {
    ($($(#[doc = $doc:literal])* $schema:ident = $names:expr;)*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub enum $schema {}

        impl utoipa::PartialSchema for $schema {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $crate::platform::http::names::schema(&[$($doc),*], $names)
            }
        }

        impl utoipa::ToSchema for $schema {}
    )*};
}
pub(crate) use published;

/// A text that is one of these names.
pub fn schema(doc: &[&str], names: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let doc: Vec<_> = doc.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let names = Some(names.into_iter().collect::<Vec<_>>());
    ObjectBuilder::new().schema_type(Type::String).description(Some(doc.join("\n"))).enum_values(names).into()
}
