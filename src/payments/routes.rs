//! HTTP of payments: riders get their own, operators get and refund all of them, and the provider posts its events.

mod history;
mod ledger;
mod resolve;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, NewRefund};
use super::model::Payment;
use super::store;
use super::views::{PaymentBody, RefundBody};
use super::webhooks::{self, WebhookSecrets, inbox};
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, VersionHeader};
use crate::platform::http::{HttpResult, Operators, Public, Request, RidersAndOperators};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::PaymentId;
use crate::platform::money::Money;

/// The module's part of the OpenAPI document.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    get_payment,
    history::events,
    create_refund,
    receive_event,
    resolve::payment,
    resolve::refund,
    ledger::ledger,
    ledger::postings,
))]
pub struct Api;

/// Adds the routes. They need a [`web::Data`] of [`WebhookSecrets`].
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/v1/payments/{payment_id}").route(web::get().to(get_payment)))
        .service(web::resource("/v1/payments/{payment_id}/events").route(web::get().to(history::events)))
        .service(web::resource("/v1/payments/{payment_id}/refunds").route(web::post().to(create_refund)))
        .service(web::resource("/v1/webhooks/psp").route(web::post().to(receive_event)))
        .service(web::resource("/v1/ops/payments/{payment_id}/resolve").route(web::post().to(resolve::payment)))
        .service(web::resource("/v1/ops/refunds/{refund_id}/resolve").route(web::post().to(resolve::refund)))
        .service(web::resource("/v1/ops/ledger").route(web::get().to(ledger::ledger)))
        .service(web::resource("/v1/ops/ledger/postings").route(web::get().to(ledger::postings)));
}

/// A refund to make.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundRequest {
    /// The amount, at least 1, in the payment's currency; everything that is left if absent.
    amount: Option<Money>,
}

/// An event of the provider. Its other members are ignored.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document: `webhooks::parse_event` reads it")]
struct ProviderEvent {
    /// The provider's id of the event.
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$", example = "evt_1Nqz0T2eZvKYlo2C")]
    id: String,
    /// The event's type.
    #[schema(nullable = false, example = "payment_intent.succeeded")]
    r#type: Option<String>,
    /// The event's data.
    data: ProviderEventData,
}

/// The data of a provider event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
struct ProviderEventData {
    /// The object that the event is about.
    object: ProviderObject,
}

/// A payment intent, or an object that belongs to one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
struct ProviderObject {
    /// The provider's id of the object.
    #[schema(example = "pi_3Nqz0T2eZvKYlo2C")]
    id: Option<String>,
    /// The object's type: `payment_intent`, `charge`, `refund`, …
    #[schema(example = "payment_intent")]
    object: Option<String>,
    /// The payment intent that a charge or a refund belongs to.
    payment_intent: Option<String>,
}

/// The event is stored.
#[derive(Debug, Serialize, ToSchema)]
struct ReceivedBody {
    /// Always `true`.
    received: bool,
}

/// Get a payment
///
/// Riders get their own payments, operators all. `authorizing`, `capturing` and `voiding` wait for the provider. A time-out does not change
/// the state, only when the provider is asked again.
#[utoipa::path(get,
    path = "/v1/payments/{payment_id}",
    tag = "payments",
    operation_id = "get_payment",
    security(("rider" = []), ("ops" = [])),
    params(("payment_id" = PaymentId, Path, description = "The payment"), KnownVersionHeader),
    responses((status = 200, description = "The payment; its `ETag` is its version", body = PaymentBody)),)]
async fn get_payment(request: Request<RidersAndOperators>) -> HttpResult {
    let payment = visible_payment(&request).await?;
    let refunds =
        request.platform.db.read(payment.id, |conn, id| Box::pin(store::refunds_of_payment(conn, *id))).await?;
    request.respond(&PaymentBody::new(&payment, &refunds), payment.version)
}

/// Returns the payment in the path.
///
/// # Errors
/// 404 without such a payment, and for a payment of another rider. Operators are no riders.
async fn visible_payment(request: &Request<RidersAndOperators>) -> Result<Payment> {
    let id: PaymentId = request.id("payment_id")?;
    let found = request.platform.db.read(id, |conn, id| Box::pin(store::payment(conn, *id))).await?;
    let rider = request.caller().rider();
    let visible = found.filter(|payment| rider.is_none_or(|rider| rider == payment.rider_id));
    Ok(visible.ok_or_else(|| Refusal::not_found("payment"))?)
}

/// Refund a payment
///
/// Refunds all of the payment or a part of it. The refund is `pending`; `GET /v1/payments/{payment_id}` shows its result. Refunds never
/// exceed the captured amount, pending ones included. A repeat under the same key returns the same refund.
#[utoipa::path(post,
    path = "/v1/payments/{payment_id}/refunds",
    tag = "payments",
    operation_id = "create_refund",
    security(("ops" = [])),
    params(
        ("payment_id" = PaymentId, Path, description = "The payment"),
        KeyHeader,
        VersionHeader,
    ),
    request_body = Option<RefundRequest>,
    responses((status = 201, description = "The pending refund", body = RefundBody)),)]
async fn create_refund(request: Request<Operators>) -> HttpResult {
    let clock = &request.platform.clock;
    let (now, machine_now) = (clock.domain(), clock.machine());
    let refund_id = request.platform.random.id(machine_now);
    let parse = move |request: &Request<Operators>| {
        let RefundRequest { amount } = match request.body.is_empty() {
            true => RefundRequest::default(),
            false => request.json()?,
        };
        let payment_id = request.id("payment_id")?;
        Ok(NewRefund { id: refund_id, payment_id, amount, if_version: request.if_match()? })
    };
    request
        .command(
            parse,
            move |tx, new| Box::pin(commands::refund(tx, new, now, machine_now)),
            |(payment, refund)| {
                let location = format!("/v1/payments/{}", payment.id);
                StoredResponse::created(&RefundBody::new(refund, payment), location, payment.version + 1)
            },
        )
        .await
}

/// Receive a provider event
///
/// Stores a signed event, which then makes the service look up the payment intent that it is about. Nothing else in the event is used, so it
/// may arrive late, repeatedly, out of order or not at all. A repeated `id` has no effect.
#[utoipa::path(post,
    path = "/v1/webhooks/psp",
    tag = "payments",
    operation_id = "receive_provider_event",
    params(("Stripe-Signature" = String, Header,
            description = "`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `t`, a dot and the raw body; `t` is at most 300 s off",
            pattern = "^t=[0-9]+(,v1=[0-9a-f]{64})+$", max_length = 1024)),
    request_body(content = ProviderEvent, description = "A Stripe event"),
    responses((status = 200, description = "Received", body = ReceivedBody)),
    security(()),)]
async fn receive_event(request: Request<Public>) -> HttpResult {
    request.check_coding()?;
    let now = request.platform.clock.machine();
    let header = request.http.headers().get("stripe-signature").and_then(|value| value.to_str().ok());
    let Some(secrets) = request.http.app_data::<web::Data<WebhookSecrets>>() else {
        unreachable!("startup provides the secrets")
    };
    let metric = |end: &str| request.platform.metrics.webhooks.events.with_label_values(&[end]).inc();
    webhooks::verify(secrets, header.unwrap_or_default(), &request.body, now).map_err(|invalid| {
        metric("refused");
        Refusal::new(Code::SignatureInvalid, format!("Invalid signature: {invalid}."))
            .field("Stripe-Signature", invalid.to_string())
    })?;
    let event = webhooks::parse_event(&request.body).inspect_err(|_| metric("refused"))?;
    let is_new =
        request.platform.db.transaction(event, move |tx, event| Box::pin(inbox::receive(tx, event, now))).await?;
    metric(if is_new { "stored" } else { "repeated" });
    Ok(HttpResponse::Ok().json(ReceivedBody { received: true }))
}
