//! A parameter or a body that may be left out is left out: `null` in its place is something else, and refused.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use super::operations;

/// Takes `null` from the schemas of parameters and request bodies, which are derived from `Option`s.
pub(super) fn add(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        of_parameters(operation);
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
            Some(Required::False) => "An object, or nothing at all.".to_owned(),
            _ => "An object.".to_owned(),
        });
    }
}

fn of_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        parameter.schema = parameter.schema.take().map(|schema| without_null(schema).0);
    }
}

/// The schema without `null`, and whether that was allowed.
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
