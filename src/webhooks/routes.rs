//! `/v1/ops/webhook_endpoints` and `/v1/ops/webhook_deliveries`: for operators only.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, EndpointRef, NewEndpoint};
use super::model::{DisabledReason, Endpoint, is_event_filter};
use super::signature::Secret;
use super::store;
use super::views::{DeliveryBody, EndpointBody, EventFilter};
use crate::platform::Platform;
use crate::platform::egress::public::{AddressPolicy, Target};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, NoFields, VersionHeader};
use crate::platform::http::{HttpResult, Operators, Request};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::{Id, WebhookDeliveryId, WebhookEndpointId};
use crate::platform::page::{Page, PageQuery};

/// The most filters of one endpoint.
const TYPES_MAX: usize = 32;

/// The longest description, characters.
const DESCRIPTION_MAX: usize = 200;

/// The module's part of the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(paths(create, list, one, delete, enable, disable, rotate, deliveries, redeliver))]
pub struct Api;

/// Adds the routes. They need a [`web::Data`] of the [`AddressPolicy`].
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

/// The endpoint to register.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointRequest {
    /// The URL that receives the events: `https`, a public address, port 443 or 8443. Redirects are not followed.
    #[schema(format = "uri", max_length = 2048, example = "https://example.com/webhooks")]
    url: String,
    /// The types of events to receive: one type such as `trip.completed`, a family such as `trip.*`, or `*` for all.
    #[schema(value_type = Vec<EventFilter>, min_items = 1, max_items = 32, example = json!(["trip.*", "payment.captured"]))]
    event_types: Vec<String>,
    /// A description for operators; empty if absent.
    #[serde(default)]
    #[schema(max_length = 200, pattern = r"^[^\x00]*$", default = "")]
    description: String,
}

impl EndpointRequest {
    fn check(&self, policy: AddressPolicy) -> Result<()> {
        let invalid = |pointer: String, detail: String| {
            let name = pointer.trim_start_matches('/').to_owned();
            Refusal::new(Code::InvalidRequest, format!("`{name}` {detail}.")).field(pointer, detail)
        };
        Target::parse(&self.url, policy).map_err(|error| invalid("/url".to_owned(), error.to_string()))?;
        if !(1..=TYPES_MAX).contains(&self.event_types.len()) {
            return Err(invalid("/event_types".to_owned(), format!("must have 1 to {TYPES_MAX} items")).into());
        }
        if let Some(index) = self.event_types.iter().position(|wanted| !is_event_filter(wanted)) {
            let detail = "must be an event type such as `trip.completed`, a family such as `trip.*`, or `*`".to_owned();
            return Err(invalid(format!("/event_types/{index}"), detail).into());
        }
        if self.description.chars().count() > DESCRIPTION_MAX || self.description.contains('\0') {
            let detail = format!("must have at most {DESCRIPTION_MAX} characters and no NUL");
            return Err(invalid("/description".to_owned(), detail).into());
        }
        Ok(())
    }
}

fn new_secret(platform: &Platform) -> Secret {
    Secret::new(platform.random.secret().to_vec())
}

fn endpoint_ref(request: &Request<Operators>) -> Result<EndpointRef> {
    Ok(EndpointRef { id: request.id("endpoint_id")?, if_version: request.if_match()? })
}

/// Register a webhook endpoint
///
/// The endpoint receives the events from now on. The response contains the secret that signs its deliveries. Only a repeat with the same
/// idempotency key returns it again. At most 20 endpoints can exist.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints", tag = "webhooks", operation_id = "create_webhook_endpoint",
    security(("ops" = [])), params(KeyHeader), request_body = EndpointRequest,
    responses((status = 201, description = "The endpoint, with its secret", body = EndpointBody)))]
async fn create(request: Request<Operators>, policy: web::Data<AddressPolicy>) -> HttpResult {
    let now = request.platform.clock.machine();
    let id: WebhookEndpointId = request.platform.random.id(now);
    let secret = new_secret(&request.platform);
    let parse = move |request: &Request<Operators>| {
        let mut wanted: EndpointRequest = request.json()?;
        wanted.check(**policy)?;
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
                StoredResponse::created(&EndpointBody::new(endpoint).with_secret(secret), location, endpoint.version)
            },
        )
        .await
}

/// List webhook endpoints
///
/// Newest first, including disabled ones, without their secrets.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints", tag = "webhooks", operation_id = "list_webhook_endpoints",
    security(("ops" = [])), params(PageQuery),
    responses((status = 200, description = "Endpoints, newest first", body = Page<EndpointBody>)))]
async fn list(request: Request<Operators>) -> HttpResult {
    let page = request.query::<PageQuery>()?.read()?;
    let endpoints = request.platform.db.read(page, |conn, page| Box::pin(store::endpoints(conn, *page))).await?;
    let page = Page::new(endpoints, page, |endpoint| endpoint.id.uuid());
    let items: Vec<_> = page.items.iter().map(EndpointBody::new).collect();
    Ok(HttpResponse::Ok().json(Page { items, next_cursor: page.next_cursor }))
}

/// Get a webhook endpoint
///
/// Its filters, and when and why it was disabled, if it is. The `ETag` is its version.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints/{endpoint_id}", tag = "webhooks", operation_id = "get_webhook_endpoint",
    security(("ops" = [])), params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KnownVersionHeader),
    responses((status = 200, description = "The endpoint; its `ETag` is its version", body = EndpointBody)))]
async fn one(request: Request<Operators>) -> HttpResult {
    let id: WebhookEndpointId = request.id("endpoint_id")?;
    let found = request.platform.db.read(id, |conn, id| Box::pin(store::endpoint(conn, *id))).await?;
    let endpoint = found.ok_or_else(|| Refusal::not_found("endpoint"))?;
    request.respond(&EndpointBody::new(&endpoint), endpoint.version)
}

/// Delete a webhook endpoint
///
/// The endpoint receives nothing more, and its pending deliveries are discarded. A second DELETE is a 404.
#[utoipa::path(delete, path = "/v1/ops/webhook_endpoints/{endpoint_id}", tag = "webhooks",
    operation_id = "delete_webhook_endpoint", security(("ops" = [])),
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), VersionHeader),
    responses((status = 204, description = "Deleted")))]
async fn delete(request: Request<Operators>) -> HttpResult {
    let now = request.platform.clock.machine();
    let endpoint_ref = endpoint_ref(&request)?;
    request.no_fields()?;
    request
        .platform
        .db
        .transaction(endpoint_ref, move |tx, endpoint_ref| Box::pin(commands::delete(tx, endpoint_ref, now)))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Enable a webhook endpoint
///
/// The endpoint receives the events from now on; deliveries that were discarded can be delivered again one by one. No change if it is
/// enabled already.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/enable", tag = "webhooks",
    operation_id = "enable_webhook_endpoint", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, enabled", body = EndpointBody)))]
async fn enable(request: Request<Operators>) -> HttpResult {
    set_enabled(request, true).await
}

/// Disable a webhook endpoint
///
/// The endpoint receives nothing until it is enabled, and its pending deliveries are discarded. No change if it is disabled already.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/disable", tag = "webhooks",
    operation_id = "disable_webhook_endpoint", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, disabled", body = EndpointBody)))]
async fn disable(request: Request<Operators>) -> HttpResult {
    set_enabled(request, false).await
}

async fn set_enabled(request: Request<Operators>, enabled: bool) -> HttpResult {
    let now = request.platform.clock.machine();
    let disabled = (!enabled).then_some((now, DisabledReason::Operator));
    request
        .command(
            |request| {
                request.no_fields()?;
                endpoint_ref(request)
            },
            move |tx, endpoint_ref| Box::pin(commands::set_disabled(tx, endpoint_ref, disabled)),
            |endpoint| StoredResponse::ok(&EndpointBody::new(endpoint), endpoint.version),
        )
        .await
}

/// Rotate a webhook secret
///
/// The response contains the new secret. For 24 hours, deliveries carry two signatures, of the new and of the previous secret, so the
/// receiver can change over at any time. A repeat with the same idempotency key returns the same secret.
#[utoipa::path(post, path = "/v1/ops/webhook_endpoints/{endpoint_id}/rotate_secret", tag = "webhooks",
    operation_id = "rotate_webhook_secret", security(("ops" = [])), request_body = Option<NoFields>,
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The endpoint, with its new secret", body = EndpointBody)))]
async fn rotate(request: Request<Operators>) -> HttpResult {
    let now = request.platform.clock.machine();
    let secret = new_secret(&request.platform);
    let shown = secret.clone();
    request
        .command(
            move |request| {
                request.no_fields()?;
                Ok((endpoint_ref(request)?, secret))
            },
            move |tx, (endpoint_ref, secret)| Box::pin(commands::rotate(tx, endpoint_ref, secret, now)),
            move |endpoint| StoredResponse::ok(&EndpointBody::new(endpoint).with_secret(&shown), endpoint.version),
        )
        .await
}

/// List webhook deliveries
///
/// The deliveries to an endpoint, newest first, each with its attempts and the time of the next one. Deliveries are kept for thirty days.
#[utoipa::path(get, path = "/v1/ops/webhook_endpoints/{endpoint_id}/deliveries", tag = "webhooks",
    operation_id = "list_webhook_deliveries", security(("ops" = [])),
    params(("endpoint_id" = WebhookEndpointId, Path, description = "The endpoint"), PageQuery),
    responses((status = 200, description = "Deliveries, newest first", body = Page<DeliveryBody>)))]
async fn deliveries(request: Request<Operators>) -> HttpResult {
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

/// Deliver a webhook again
///
/// Sends the same event with the same body and `webhook-id`, whatever the state of the delivery, with a new retry schedule. No change while
/// an attempt is in progress.
#[utoipa::path(post, path = "/v1/ops/webhook_deliveries/{delivery_id}/redeliver", tag = "webhooks",
    operation_id = "redeliver_webhook", security(("ops" = [])), request_body = Option<NoFields>,
    params(("delivery_id" = WebhookDeliveryId, Path, description = "The delivery"), KeyHeader),
    responses((status = 200, description = "The delivery, pending", body = DeliveryBody)))]
async fn redeliver(request: Request<Operators>) -> HttpResult {
    let now = request.platform.clock.machine();
    request
        .command(
            |request| {
                request.no_fields()?;
                request.id::<WebhookDeliveryId>("delivery_id")
            },
            move |tx, id| Box::pin(commands::redeliver(tx, *id, now)),
            |delivery| {
                StoredResponse::ok(
                    &DeliveryBody::from(delivery.clone()),
                    i64::try_from(delivery.attempts.len()).unwrap_or(i64::MAX),
                )
            },
        )
        .await
}
