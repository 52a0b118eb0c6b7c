//! The published document: what the rooms say about their operations, and all that follows from an operation's form.
//!
//! An annotation beside a handler has what only it can know: what the operation is for, who may call it, what it takes and what it
//! answers when it succeeds. The rest is added here to all of them alike, so that it cannot be forgotten: refusals with an example of
//! each, headers, links from one operation to the next, examples of bodies. `tests/openapi.rs` walks the whole.

mod absence;
mod examples;
mod headers;
mod links;
mod news;
mod refusals;
mod samples;

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Contact, HttpMethod, OpenApi, Ref, RefOr, Server};
use utoipa::{Modify, OpenApi as _};

use crate::platform::auth::Role;
use crate::platform::http::problem::Document;
use crate::{dispatch, doors, ops, payments, pricing, sandbox, supply, trips, webhooks};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ridematch",
        description = include_str!("introduction.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Document)),
    modifiers(&Roles),
    tags(
        (name = "sandbox", description = "Tokens for everybody and a clock that can be set; not in production."),
        (name = "quotes", description = "What a ride would cost."),
        (name = "trips", description = "A ride from request to receipt."),
        (name = "drivers", description = "Being a driver: availability, positions, offers."),
        (name = "payments", description = "The money of a trip."),
        (name = "ops", description = "For operators: the ledger, differences, the audit."),
        (name = "webhooks", description = "For operators: who is told what happens here."),
        (name = "health", description = "For whoever runs the service."),
    ),
)]
struct Api;

/// A scheme for each role: an operation names those that may call it, and any one of them will do.
struct Roles;

impl Modify for Roles {
    fn modify(&self, document: &mut OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

        let components = document.components.get_or_insert_default();
        for role in Role::ALL {
            let description = format!(
                "A JWT with `sub`, `exp` and `role`, which is `{role}`: {}. In the sandbox `POST /v1/sandbox/tokens` makes one.",
                match role {
                    Role::Rider => "asks for rides and pays for them",
                    Role::Driver => "drives",
                    Role::Gateway => "sends the positions of many drivers",
                    Role::Ops => "operates the service",
                },
                role = role.as_str(),
            );
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
            let scheme = SecurityScheme::Http(bearer.description(Some(description)).build());
            components.add_security_scheme(role.as_str(), scheme);
        }
    }
}

/// The published document.
pub fn document() -> OpenApi {
    let mut document = Api::openapi();
    for part in [
        sandbox::routes::Api::openapi(),
        pricing::routes::Api::openapi(),
        trips::routes::Api::openapi(),
        supply::routes::Api::openapi(),
        dispatch::routes::Api::openapi(),
        payments::routes::Api::openapi(),
        ops::routes::Api::openapi(),
        webhooks::routes::Api::openapi(),
        doors::Api::openapi(),
        news::Schemas::openapi(),
    ] {
        document.merge(part);
    }
    document.info.contact = Some(contact());
    // Wherever the document came from, the service is.
    document.servers = Some(vec![Server::new("/")]);
    open(&mut document);
    name_items(&mut document);
    absence::add(&mut document);
    refusals::add(&mut document);
    headers::add(&mut document);
    links::add(&mut document);
    examples::add(&mut document);
    document.webhooks = Some(news::paths());
    document
}

fn contact() -> Contact {
    let mut contact = Contact::new();
    contact.name = Some("Whoever runs this service".to_owned());
    contact
}

/// Every operation, to be completed.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    use HttpMethod::{Delete, Get, Post, Put};
    document.paths.paths.values_mut().flat_map(|item| {
        let methods = [(Get, &mut item.get), (Put, &mut item.put), (Post, &mut item.post), (Delete, &mut item.delete)];
        methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    })
}

/// The name of an operation. One without a name has nothing that is known by name; a test refuses it.
fn name(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

/// Whether it works without a token.
fn is_open(operation: &Operation) -> bool {
    operation.security.as_deref().is_some_and(<[_]>::is_empty)
}

/// Operations that work without a token say `[{}]`, which allows for one; they need none at all, and say `[]`.
fn open(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let alone = [SecurityRequirement::default()];
        operation.security.iter_mut().filter(|security| **security == alone).for_each(Vec::clear);
    }
}

/// Pages have their items written out; where these are a schema of their own, it is named instead.
fn name_items(document: &mut OpenApi) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    let names: Vec<_> = schemas.keys().filter(|name| name.contains('_')).cloned().collect();
    for name in names {
        let Some((_, of)) = name.split_once('_') else { continue };
        let Some(RefOr::T(Schema::Object(page))) = schemas.get_mut(&name) else { continue };
        let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") else { continue };
        let reference = ArrayItems::RefOrSchema(Box::new(RefOr::Ref(Ref::from_schema_name(of))));
        let written_out = std::mem::replace(&mut items.items, reference);
        if let ArrayItems::RefOrSchema(schema) = written_out {
            schemas.entry(of.to_owned()).or_insert(*schema);
        }
    }
}

/// Whether it takes this parameter.
fn takes(operation: &Operation, place: &ParameterIn, is_named: impl Fn(&str) -> bool) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == *place && is_named(&parameter.name),
        RefOr::Ref(_) => false,
    })
}

/// Whether it is a command that is done once for each key.
fn is_keyed(operation: &Operation) -> bool {
    takes(operation, &ParameterIn::Header, |name| name == "Idempotency-Key")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_known_of_operations_by_name_is_of_operations_that_exist() {
        let mut document = document();
        let names: BTreeSet<_> = operations(&mut document).map(|(_, operation)| name(operation).to_owned()).collect();
        let known = [refusals::names(), links::names(), headers::names()].concat();
        let unknown: Vec<_> = known.into_iter().filter(|known| !names.contains(*known)).collect();
        assert!(unknown.is_empty(), "there are no such operations: {unknown:?}");
    }
}
