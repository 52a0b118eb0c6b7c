//! Payments over HTTP: riders see their own, operators see all and refund them, and the provider has a door.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};

use super::commands::{self, NewRefund};
use super::store;
use super::views::{PaymentBody, RefundBody};
use super::webhooks::{self, WebhookSecrets, inbox};
use crate::platform::error::{Code, Refusal};
use crate::platform::http::request::{KeyHeader, KnownVersionHeader, VersionHeader};
use crate::platform::http::{Everybody, Operators, Reply, Request, RidersAndOperators};
use crate::platform::idempotency::Answer;
use crate::platform::ids::PaymentId;
use crate::platform::money::Money;

/// This room's part of the published document.
#[derive(Debug, OpenApi)]
#[openapi(paths(get_payment, create_refund, receive_event))]
pub struct Api;

/// Adds the routes. Startup gives every worker the [`WebhookSecrets`] as application data.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/v1/payments/{payment_id}").route(web::get().to(get_payment)))
        .service(web::resource("/v1/payments/{payment_id}/refunds").route(web::post().to(create_refund)))
        .service(web::resource("/v1/webhooks/psp").route(web::post().to(receive_event)));
}

/// What to refund.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefundRequest {
    /// How much, in the currency of the payment and at least 1; everything that is left if absent.
    amount: Option<Money>,
}

/// An event of the provider. It has more members, which are not looked at.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document: `webhooks::read` reads it")]
struct ProviderEvent {
    /// The provider's id of the event.
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$", example = "evt_1Nqz0T2eZvKYlo2C")]
    id: String,
    /// What it says has happened.
    #[schema(nullable = false, example = "payment_intent.succeeded")]
    r#type: Option<String>,
    /// What it is about.
    data: ProviderEventData,
}

/// What an event of the provider is about.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
struct ProviderEventData {
    /// An intent, or something that has one.
    object: ProviderObject,
}

/// An intent of the provider, or something that has one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
struct ProviderObject {
    /// The provider's id of it.
    #[schema(example = "pi_3Nqz0T2eZvKYlo2C")]
    id: Option<String>,
    /// What it is: `payment_intent`, `charge`, `refund`, …
    #[schema(example = "payment_intent")]
    object: Option<String>,
    /// Its intent, if it is something else.
    payment_intent: Option<String>,
}

/// The event is stored, or was before.
#[derive(Debug, Serialize, ToSchema)]
struct Received {
    /// Always `true`.
    received: bool,
}

/// Look at a payment
///
/// Riders see their own, operators all. What the provider has not answered yet is not known yet: `authorizing`, `capturing` and `voiding`
/// say so, and a time-out changes nothing but when it is asked again. The `ETag` is its version.
#[utoipa::path(get,
    path = "/v1/payments/{payment_id}",
    tag = "payments",
    operation_id = "get_payment",
    security(("rider" = []), ("ops" = [])),
    params(("payment_id" = PaymentId, Path, description = "The payment"), KnownVersionHeader),
    responses((status = 200, description = "The payment; its `ETag` is its version", body = PaymentBody)),)]
async fn get_payment(request: Request<RidersAndOperators>) -> Reply {
    let id: PaymentId = request.id("payment_id")?;
    let found = request.platform.db.read(id, |conn, id| {
        Box::pin(async move {
            let payment = store::one(conn, *id).await?.ok_or_else(|| Refusal::not_found("payment"))?;
            let refunds = store::of_payment(conn, *id).await?;
            Ok((payment, refunds))
        })
    });
    let (payment, refunds) = found.await?;
    // Somebody else's payment does not exist; an operator is no rider, and sees them all.
    if request.caller().rider().is_some_and(|rider| rider != payment.rider_id) {
        return Err(Refusal::not_found("payment").into());
    }
    Ok(request.respond(&PaymentBody::new(&payment, &refunds), payment.version))
}

/// Refund a payment, or a part of it
///
/// The refund is `pending` when this answers; `GET /v1/payments/{payment_id}` shows what becomes of it. Refunds never exceed what was
/// captured, pending ones included: of two that race for the same money, one is refused. A repeat under the same key gets the same
/// refund, and no second one is made.
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
    responses((status = 201, description = "The refund, pending", body = RefundBody)),)]
async fn create_refund(request: Request<Operators>) -> Reply {
    let clock = &request.platform.clock;
    let (now, machine_now) = (clock.domain(), clock.machine());
    let refund_id = request.platform.dice.id(machine_now);
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
                Answer::created(&RefundBody::new(refund, payment), location, payment.version + 1)
            },
        )
        .await
}

/// Where the provider posts its events
///
/// Every event that is signed with our secret is welcome, and none is believed: it is stored, answered, and then makes us look at the
/// intent that it is about. It may come late, twice, out of order or not at all; the same `id` again does nothing.
#[utoipa::path(post,
    path = "/v1/webhooks/psp",
    tag = "payments",
    operation_id = "receive_provider_event",
    params(("Stripe-Signature" = String, Header,
            description = "`t=<seconds>,v1=<hex>`: HMAC-SHA256 of `t`, a dot and the raw body; `t` at most 300 s off",
            pattern = "^t=[0-9]+(,v1=[0-9a-f]{64})+$", max_length = 1024)),
    request_body(content = ProviderEvent, description = "An event, as Stripe sends it"),
    responses((status = 200, description = "Received", body = Received)),
    security(()),)]
async fn receive_event(request: Request<Everybody>) -> Reply {
    let now = request.platform.clock.machine();
    let header = request.http.headers().get("stripe-signature").and_then(|value| value.to_str().ok());
    let Some(secrets) = request.http.app_data::<web::Data<WebhookSecrets>>() else {
        unreachable!("startup gives every worker the secrets")
    };
    let metric = |end: &str| request.platform.metrics.webhooks.events.with_label_values(&[end]).inc();
    webhooks::verify(secrets, header.unwrap_or_default(), &request.body, now).map_err(|forged| {
        metric("refused");
        Refusal::new(Code::SignatureInvalid, format!("This is not an event of our provider: {forged}."))
            .field("Stripe-Signature", forged.to_string())
    })?;
    let event = webhooks::read(&request.body).inspect_err(|_| metric("refused"))?;
    let is_new =
        request.platform.db.transaction(event, move |tx, event| Box::pin(inbox::receive(tx, event, now))).await?;
    metric(if is_new { "stored" } else { "repeated" });
    Ok(HttpResponse::Ok().json(Received { received: true }))
}
