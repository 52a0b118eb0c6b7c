//! `/v1/ops/webhook_endpoints` and `/v1/ops/webhook_deliveries`: for operators only.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, Named, NewEndpoint};
use super::model::{Endpoint, Reason, may_be_asked_for};
use super::signature::Secret;
use super::store;
use super::views::{DeliveryBody, EndpointBody, EventFilter};
use crate::platform::Platform;
use crate::platform::egress::public::{Reach, Target};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, NoFields, VersionHeader};
use crate::platform::http::{Operators, Reply, Request};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{Id, WebhookDeliveryId, WebhookEndpointId};
use crate::platform::page::{Page, PageQuery};

/// Types that one endpoint may list.
const TYPES_MAX: usize = 32;

/// The longest description, characters.
const DESCRIPTION_MAX: usize = 200;

/// The room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(create, list, one, delete, enable, disable, rotate, deliveries, redeliver))]
pub struct Api;

/// The room's addresses. They need a [`web::Data`] of the [`Reach`].
pub fn configure(config: &mut web::ServiceConfig) {
    let endpoint = "/v1/ops/webhook_endpoints/{endpoint_id}";
    let of = |what: &str| web::resource(format!("{endpoint}/{what}"));
    config
        .service(web::resource("/v1/ops/webhook_endpoints").route(web::get().to(list)).route(web::post().to(create)))
        .service(web::resource(endpoint).route(web::get().to(one)).route(web::delete().to(delete)))
        .service(of("enable").route(web::post().to(enable)))
        .service(of("disable").route(web::post().to(disable)))
        .service(of("rotate_secret").route(web::post().to(rotate)))
        .service(of("deliveries").route(web::get().to(deliveries)))
        .service(web::resource("/v1/ops/webhook_deliveries/{delivery_id}/redeliver").route(web::post().to(redeliver)));
}

/// An endpoint to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointRequest {
    /// Where to: `https`, a public address, port 443 or 8443. No redirect is followed.
    #[schema(format = "uri", max_length = 2048, example = "https://example.com/webhooks")]
    url: String,
    /// What to tell it: `trip.completed`, every `trip.*`, or everything, `*`.
    #[schema(value_type = Vec<EventFilter>, min_items = 1, max_items = 32, example = json!(["trip.*", "payment.captured"]))]
    event_types: Vec<String>,
    /// For people; none if absent.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00]*$", default = "")]
    description: String,
}

impl EndpointRequest {
    fn check(&self, reach: Reach) -> Result<()> {
        let invalid = |pointer: String, detail: String| {
            let name = pointer.trim_start_matches('/').to_owned();
            Refusal::new(Code::InvalidRequest, format!("`{name}` {detail}.")).field(pointer, detail)
        };
        Target::parse(&self.url, reach).map_err(|unfit| invalid("/url".to_owned(), unfit.to_string()))?;
        if !(1..=TYPES_MAX).contains(&self.event_types.len()) {
            return Err(invalid("/event_types".to_owned(), format!("must be 1 to {TYPES_MAX} types")).into());
        }
        if let Some(index) = self.event_types.iter().position(|wanted| !may_be_asked_for(wanted)) {
            let detail = "must be a type of event, like `trip.completed`, a family, like `trip.*`, or `*`".to_owned();
            return Err(invalid(format!("/event_types/{index}"), detail).into());
        }
        if self.description.chars().count() > DESCRIPTION_MAX || self.description.contains('\0') {
            let detail = format!("must be at most {DESCRIPTION_MAX} characters, and no NUL");
            return Err(invalid("/description".to_owned(), detail).into());
        }
        Ok(())
    }
}

/// A secret that nobody has yet.
fn new_secret(platform: &Platform) -> Secret {
    Secret::new(platform.dice.secret().to_vec())
}

fn named(request: &Request<Operators>) -> Result<Named> {
    Ok(Named { id: request.id("endpoint_id")?, if_version: request.if_match()? })
}

/// Register an endpoint
///
/// It hears of what happens from now on. The answer shows the secret that its deliveries are signed with, and no other answer does: a
/// repeat under the same key does, as long as keys are remembered. There are at most 20 endpoints.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints", tag = "webhooks", operation_id = "create_webhook_endpoint",
    security(("ops" = [])), params(KeyHeader), request_body = EndpointRequest,
    responses((status = 201, description = "The endpoint, with its secret", body = EndpointBody)))]
async fn create(request: Request<Operators>, reach: web::Data<Reach>) -> Reply {
    let now = request.platform.clock.machine();
    let id: WebhookEndpointId = request.platform.dice.id(now);
    let secret = new_secret(&request.platform);
    let parse = move |request: &Request<Operators>| {
        let mut wanted: EndpointRequest = request.json()?;
        wanted.check(**reach)?;
        wanted.event_types.sort();
        wanted.event_types.dedup();
        let EndpointRequest { url, event_types, description } = wanted;
        let endpoint = Endpoint {
            id,
            url,
            event_types,
            description,
            disabled: None,
            old_secret_until: None,
            version: 1,
            created_at: now,
        };
        Ok(NewEndpoint { endpoint, secret })
    };
    request
        .command(
            parse,
            |tx, new| {
                Box::pin(async move {
                    commands::create(tx, new).await?;
                    Ok((new.endpoint.clone(), new.secret.clone()))
                })
            },
            |(endpoint, secret)| {
                let location = format!("/v1/ops/webhook_endpoints/{}", endpoint.id);
                Answer::created(&EndpointBody::new(endpoint).with(secret), location, endpoint.version)
            },
        )
        .await
}

/// List the endpoints
///
/// Newest first, disabled ones included, none with its secret.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints", tag = "webhooks", operation_id = "list_webhook_endpoints",
    security(("ops" = [])), params(PageQuery),
    responses((status = 200, description = "Endpoints, newest first", body = Page<EndpointBody>)))]
async fn list(request: Request<Operators>) -> Reply {
    let page = request.query::<PageQuery>()?.read()?;
    let endpoints = request.platform.db.read(page, |conn, page| Box::pin(store::endpoints(conn, *page))).await?;
    let page = Page::new(endpoints, page, |endpoint| endpoint.id.uuid());
    let items: Vec<_> = page.items.iter().map(EndpointBody::new).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Look at an endpoint
///
/// Whether it gets events, and if not, since when and why. The `ETag` is its version.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints/{endpoint_id}", tag = "webhooks", operation_id = "get_webhook_endpoint",
    security(("ops" = [])), params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KnownVersionHeader),
    responses((status = 200, description = "The endpoint; its `ETag` is its version", body = EndpointBody)))]
async fn one(request: Request<Operators>) -> Reply {
    let id: WebhookEndpointId = request.id("endpoint_id")?;
    let found = request.platform.db.read(id, |conn, id| Box::pin(store::endpoint(conn, *id))).await?;
    let endpoint = found.ok_or_else(|| Refusal::not_found("endpoint"))?;
    Ok(request.respond(&EndpointBody::new(&endpoint), endpoint.version))
}

/// Delete an endpoint
///
/// It hears of nothing any more, and what was pending for it is given up. A DELETE is its own repeat: the second one finds nothing, and is
/// a 404.
#[utoipa::path(delete, path = "/v1/ops/webhook_endpoints/{endpoint_id}", tag = "webhooks",
    operation_id = "delete_webhook_endpoint", security(("ops" = [])),
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), VersionHeader),
    responses((status = 204, description = "Deleted")))]
async fn delete(request: Request<Operators>) -> Reply {
    let now = request.platform.clock.machine();
    let named = named(&request)?;
    request.no_fields()?;
    request.platform.db.transaction(named, move |tx, named| Box::pin(commands::delete(tx, named, now))).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Enable an endpoint
///
/// It hears of what happens from now on; what was given up meanwhile can be delivered again, one by one. One that is enabled stays as it is.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/enable", tag = "webhooks",
    operation_id = "enable_webhook_endpoint", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, enabled", body = EndpointBody)))]
async fn enable(request: Request<Operators>) -> Reply {
    switch(request, true).await
}

/// Disable an endpoint
///
/// It hears of nothing until it is enabled, and what is pending for it is given up. One that is disabled stays as it is.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/disable", tag = "webhooks",
    operation_id = "disable_webhook_endpoint", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, disabled", body = EndpointBody)))]
async fn disable(request: Request<Operators>) -> Reply {
    switch(request, false).await
}

async fn switch(request: Request<Operators>, on: bool) -> Reply {
    let now = request.platform.clock.machine();
    let off = (!on).then_some((now, Reason::Operator));
    request
        .command(
            |request| {
                request.no_fields()?;
                named(request)
            },
            move |tx, named| Box::pin(commands::switch(tx, named, off)),
            |endpoint| Answer::ok(&EndpointBody::new(endpoint), endpoint.version),
        )
        .await
}

/// Change an endpoint's secret
///
/// The answer shows the new one. For 24 hours deliveries carry two signatures, of the new and of the old secret, so that a receiver can
/// change over at its leisure. A repeat under the same key shows the same secret, and changes nothing again.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/rotate_secret", tag = "webhooks",
    operation_id = "rotate_webhook_secret", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, with its new secret", body = EndpointBody)))]
async fn rotate(request: Request<Operators>) -> Reply {
    let now = request.platform.clock.machine();
    let secret = new_secret(&request.platform);
    let shown = secret.clone();
    request
        .command(
            move |request| {
                request.no_fields()?;
                Ok((named(request)?, secret))
            },
            move |tx, (named, secret)| Box::pin(commands::rotate(tx, named, secret, now)),
            move |endpoint| Answer::ok(&EndpointBody::new(endpoint).with(&shown), endpoint.version),
        )
        .await
}

/// List the deliveries to an endpoint
///
/// Newest first, each with its attempts: when, how long, which status, and when the next one is. They are kept for thirty days.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints/{endpoint_id}/deliveries", tag = "webhooks",
    operation_id = "list_webhook_deliveries", security(("ops" = [])),
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), PageQuery),
    responses((status = 200, description = "Deliveries, newest first", body = Page<DeliveryBody>)))]
async fn deliveries(request: Request<Operators>) -> Reply {
    let id: WebhookEndpointId = request.id("endpoint_id")?;
    let page = request.query::<PageQuery>()?.read()?;
    let found = request.platform.db.read((id, page), |conn, (id, page)| {
        Box::pin(async move {
            store::endpoint(conn, *id).await?.ok_or_else(|| Refusal::not_found("endpoint"))?;
            store::deliveries(conn, *id, *page).await
        })
    });
    let page = Page::new(found.await?, page, |delivery| delivery.id.uuid());
    let items: Vec<_> = page.items.into_iter().map(DeliveryBody::from).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Deliver again
///
/// The same event with the same body, whatever became of the delivery so far, and its ladder of retries from the beginning. One that is
/// under way at this moment is left alone. A receiver knows it by its `webhook-id` when it has had it before.
#[utoipa::path(post, path = "/v1/ops/webhook_deliveries/{delivery_id}/redeliver", tag = "webhooks",
    operation_id = "redeliver_webhook", security(("ops" = [])), request_body = Option<NoFields>,
    params(("delivery_id" = WebhookDeliveryId, Path, description = "The delivery"), KeyHeader),
    responses((status = 200, description = "The delivery, pending", body = DeliveryBody)))]
async fn redeliver(request: Request<Operators>) -> Reply {
    let now = request.platform.clock.machine();
    request
        .command(
            |request| {
                request.no_fields()?;
                request.id::<WebhookDeliveryId>("delivery_id")
            },
            move |tx, id| Box::pin(commands::redeliver(tx, *id, now)),
            |delivery| {
                Answer::ok(
                    &DeliveryBody::from(delivery.clone()),
                    i64::try_from(delivery.attempts.len()).unwrap_or(i64::MAX),
                )
            },
        )
        .await
}
