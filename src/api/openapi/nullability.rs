//! Optional parameters and bodies are not nullable: they may be absent, and `null` is refused.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::operations;

/// Removes `null` from the schemas of parameters and request bodies, which come from `Option`s.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        in_parameters(operation);
        let Some(RefOr::T(body)) = &mut operation.request_body else { continue };
        for content in body.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            if let Some(schema) = content.schema.take() {
                let (schema, was_optional) = without_null(schema);
                content.schema = Some(schema);
                body.required = Some(if was_optional { Required::False } else { Required::True });
            }
        }
        body.description.get_or_insert_with(|| match body.required {
            Some(Required::False) => "An object, or no body.".to_owned(),
            _ => "An object.".to_owned(),
        });
    }
}

fn in_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        parameter.schema = parameter.schema.take().map(|schema| without_null(schema).0);
    }
}

/// Returns the schema without `null`, and whether it allowed `null`.
fn without_null(schema: RefOr<Schema>) -> (RefOr<Schema>, bool) {
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            let is_null = |kind: &Type| *kind == Type::Null;
            match &object.schema_type {
                SchemaType::Array(kinds) if kinds.iter().any(is_null) => {
                    let kind = kinds.iter().find(|kind| !is_null(kind)).cloned();
                    object.schema_type = SchemaType::Type(kind.unwrap_or_default());
                    (RefOr::T(Schema::Object(object)), true)
                }
                _ => (RefOr::T(Schema::Object(object)), false),
            }
        }
        RefOr::T(Schema::OneOf(mut one_of)) => {
            let is_null = |item: &RefOr<Schema>| match item {
                RefOr::T(Schema::Object(object)) => object.schema_type == SchemaType::Type(Type::Null),
                _ => false,
            };
            let before = one_of.items.len();
            one_of.items.retain(|item| !is_null(item));
            let was_optional = one_of.items.len() < before;
            match one_of.items.len() {
                1 => (one_of.items.remove(0), was_optional),
                _ => (RefOr::T(Schema::OneOf(one_of)), was_optional),
            }
        }
        other => (other, false),
    }
}
