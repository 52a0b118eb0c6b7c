//! The OpenAPI document: the modules' annotations, completed with everything that follows from an operation's form.
//!
//! The annotation beside a handler says what only it can know: purpose, callers, input, and the response on success. This module adds
//! the rest to all operations alike, so that no operation can lack it: refusals with examples, headers, links and examples of bodies.
//! `tests/api/openapi.rs` checks the result.

mod examples;
mod headers;
mod links;
mod nullability;
mod refusals;
mod samples;
mod webhooks;

use std::sync::OnceLock;

use actix_web::HttpResponse;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Schema};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Contact, HttpMethod, OpenApi, PathItem, Ref, RefOr, Server};
use utoipa::{Modify, OpenApi as _};

use crate::platform::auth::Role;
use crate::platform::error::Error;
use crate::platform::http::HttpResult;
use crate::platform::http::problem::ProblemDocument;
use crate::{api, audit, demand, dispatch, payments, pricing, reconciliation, supply, trips};

/// The parts of the document that belong to no module. The order of the tags is the order of the document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "ridematch",
        description = include_str!("introduction.md"),
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(ProblemDocument)),
    modifiers(&Roles),
    tags(
        (name = "quotes", description = "Price a ride."),
        (name = "trips", description = "Request a ride and follow it to the receipt."),
        (name = "offers", description = "Accept or decline a trip as a driver."),
        (name = "drivers", description = "Driver profile, availability, positions and events."),
        (name = "zones", description = "Where rides are requested, and surge."),
        (name = "payments", description = "Payments and refunds of a trip, and the payment provider's events."),
        (name = "webhooks", description = "Webhook endpoints and their deliveries, for operators."),
        (name = "ops", description = "Ledger, audit, reconciliation and manual decisions, for operators."),
        (name = "health", description = "Liveness and readiness probes."),
    ),
)]
struct Api;

/// Adds one security scheme per role. An operation lists the roles that may call it; a token of any of them is accepted.
struct Roles;

impl Modify for Roles {
    fn modify(&self, document: &mut OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

        let components = document.components.get_or_insert_default();
        for role in Role::ALL {
            let description = format!(
                "A JWT with the claims `sub`, `exp` and `role`. The role is `{role}`: {}. `nbf` is respected, `iss` and `aud` are \
                 those that the service is configured with.",
                match role {
                    Role::Rider => "requests rides and pays for them",
                    Role::Driver => "accepts offers and drives",
                    Role::Gateway => "sends the positions of many drivers",
                    Role::Ops => "operates the service",
                },
            );
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
            let scheme = SecurityScheme::Http(bearer.description(Some(description)).build());
            components.add_security_scheme(role.as_str(), scheme);
        }
    }
}

/// Returns the OpenAPI document.
pub fn document() -> OpenApi {
    let mut document = Api::openapi();
    for part in [
        pricing::routes::Api::openapi(),
        trips::routes::Api::openapi(),
        dispatch::routes::Api::openapi(),
        demand::routes::Api::openapi(),
        supply::routes::Api::openapi(),
        payments::routes::Api::openapi(),
        crate::webhooks::routes::Api::openapi(),
        audit::routes::Api::openapi(),
        reconciliation::routes::Api::openapi(),
        api::Api::openapi(),
        self::webhooks::Schemas::openapi(),
        #[cfg(feature = "sandbox")]
        crate::sandbox::routes::Api::openapi(),
    ] {
        document.merge(part);
    }
    document.info.contact = Some(contact());
    // The service is at the address that served the document.
    document.servers = Some(vec![Server::new("/")]);
    sort_by_tag(&mut document);
    drop_optional_tokens(&mut document);
    name_items(&mut document);
    nullability::add(&mut document);
    refusals::add(&mut document);
    headers::add(&mut document);
    links::add(&mut document);
    examples::add(&mut document);
    document.webhooks = Some(self::webhooks::paths());
    document
}

/// Serves the document. It is generated at the first request.
pub(super) async fn openapi_json() -> HttpResult {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = match TEXT.get() {
        Some(text) => text,
        None => {
            let text = document().to_json().map_err(|error| Error::Bug(format!("OpenAPI document: {error}")))?;
            TEXT.get_or_init(|| text)
        }
    };
    Ok(HttpResponse::Ok().content_type("application/json").body(text.as_str()))
}

fn contact() -> Contact {
    let mut contact = Contact::new();
    contact.name = Some("The operator of this service".to_owned());
    contact
}

/// Sorts the paths by the position of their tag. Paths with the same tag keep the order in which their module lists them.
fn sort_by_tag(document: &mut OpenApi) {
    let tags: Vec<_> = document.tags.iter().flatten().map(|tag| tag.name.clone()).collect();
    let position = |item: &PathItem| {
        let operation = [&item.get, &item.put, &item.post, &item.delete].into_iter().flatten().next();
        let tag = operation.and_then(|operation| operation.tags.as_ref()?.first());
        tags.iter().position(|known| Some(known) == tag)
    };
    document.paths.paths.sort_by(|_, one, _, other| position(one).cmp(&position(other)));
}

/// Returns every operation with its method.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    use HttpMethod::{Delete, Get, Post, Put};
    document.paths.paths.values_mut().flat_map(|item| {
        let methods = [(Get, &mut item.get), (Put, &mut item.put), (Post, &mut item.post), (Delete, &mut item.delete)];
        methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
    })
}

/// Returns the name of an operation. A test refuses operations without a name.
fn name(operation: &Operation) -> &str {
    operation.operation_id.as_deref().unwrap_or_default()
}

/// Returns whether an operation works without a token.
fn is_open(operation: &Operation) -> bool {
    operation.security.as_deref().is_some_and(<[_]>::is_empty)
}

/// Replaces `[{}]` (token optional) by `[]` (no token), which the annotations cannot express.
fn drop_optional_tokens(document: &mut OpenApi) {
    for (_, operation) in operations(document) {
        let alone = [SecurityRequirement::default()];
        operation.security.iter_mut().filter(|security| **security == alone).for_each(Vec::clear);
    }
}

/// Replaces the inlined schema of the items of a page by a reference to it.
fn name_items(document: &mut OpenApi) {
    let schemas = &mut document.components.get_or_insert_default().schemas;
    let names: Vec<_> = schemas.keys().filter(|name| name.contains('_')).cloned().collect();
    for name in names {
        let Some((_, of)) = name.split_once('_') else { continue };
        let Some(RefOr::T(Schema::Object(page))) = schemas.get_mut(&name) else { continue };
        let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items") else { continue };
        let reference = ArrayItems::RefOrSchema(Box::new(RefOr::Ref(Ref::from_schema_name(of))));
        let inlined = std::mem::replace(&mut items.items, reference);
        if let ArrayItems::RefOrSchema(schema) = inlined {
            schemas.entry(of.to_owned()).or_insert(*schema);
        }
    }
}

/// Returns whether an operation has a parameter in this place with a matching name.
fn takes(operation: &Operation, place: &ParameterIn, matches: impl Fn(&str) -> bool) -> bool {
    operation.parameters.iter().flatten().any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == *place && matches(&parameter.name),
        RefOr::Ref(_) => false,
    })
}

/// Returns whether an operation takes an idempotency key.
fn is_keyed(operation: &Operation) -> bool {
    takes(operation, &ParameterIn::Header, |name| name == "Idempotency-Key")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn tables_name_only_operations_that_exist() {
        let mut document = document();
        let names: BTreeSet<_> = operations(&mut document).map(|(_, operation)| name(operation).to_owned()).collect();
        let known = [refusals::names(), links::names(), headers::names()].concat();
        let unknown: Vec<_> = known.into_iter().filter(|known| !names.contains(*known)).collect();
        assert!(unknown.is_empty(), "no such operations: {unknown:?}");
    }
}
