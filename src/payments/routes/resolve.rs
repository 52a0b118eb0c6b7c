//! HTTP of the operators' decisions about payments and refunds that need review. `docs/runbook.md` says which action is for what.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::payments::commands::resolve::{self, ResolveDecision};
use crate::payments::model::{Payment, Refund};
use crate::payments::state_machine::resolve::ResolveAction;
use crate::payments::store;
use crate::payments::views::PaymentBody;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::{KeyHeader, VersionHeader, parse_note};
use crate::platform::http::{HttpResult, Operators, Request};
use crate::platform::idempotency::StoredResponse;
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::text::OperatorNote;

/// An operator's decision.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveRequest {
    /// The decision.
    #[schema(value_type = ResolveAction)]
    action: String,
    /// The reason, 1 to 500 characters.
    #[schema(value_type = OperatorNote)]
    note: String,
}

/// Resolve a payment
///
/// Decides about a payment that needs review; `GET /v1/ops/reconciliation` lists them. The decision is recorded with its note. Any provider
/// call follows after the commit. If two operators decide at once, the second one gets a 409.
#[utoipa::path(post, path = "/v1/ops/payments/{payment_id}/resolve", tag = "ops", operation_id = "resolve_payment",
    security(("ops" = [])), request_body = ResolveRequest,
    params(("payment_id" = PaymentId, Path, description = "The payment"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The payment as it is now", body = PaymentBody)))]
pub(super) async fn payment(request: Request<Operators>) -> HttpResult {
    request
        .command(
            |request| Ok((request.id::<PaymentId>("payment_id")?, decision(request)?)),
            |tx, input| {
                Box::pin(async move {
                    let payment = resolve::payment(tx, input).await?;
                    with_refunds(tx, payment).await
                })
            },
            render,
        )
        .await
}

/// Resolve a refund
///
/// Decides about a refund that needs review. `If-Match` is the version of the refund's payment, which is the response. `retry` of a failed
/// refund makes a new one, if enough is left to refund.
#[utoipa::path(post, path = "/v1/ops/refunds/{refund_id}/resolve", tag = "ops", operation_id = "resolve_refund",
    security(("ops" = [])), request_body = ResolveRequest,
    params(("refund_id" = RefundId, Path, description = "The refund"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The refund's payment as it is now", body = PaymentBody)))]
pub(super) async fn refund(request: Request<Operators>) -> HttpResult {
    request
        .command(
            |request| Ok((request.id::<RefundId>("refund_id")?, decision(request)?)),
            |tx, input| {
                Box::pin(async move {
                    let payment = resolve::refund(tx, input).await?;
                    with_refunds(tx, payment).await
                })
            },
            render,
        )
        .await
}

fn decision(request: &Request<Operators>) -> Result<ResolveDecision> {
    let ResolveRequest { action, note } = request.json()?;
    let action = ResolveAction::parse(&action).ok_or_else(|| {
        let detail = "must be `retry` or `close`";
        Refusal::new(Code::InvalidRequest, format!("`action` {detail}.")).field("/action", detail)
    })?;
    let (clock, random) = (&request.platform.clock, &request.platform.random);
    let machine_now = clock.machine();
    Ok(ResolveDecision {
        action,
        note: parse_note(&note)?,
        operator_id: request.caller().subject,
        if_version: request.if_match()?,
        now: clock.domain(),
        machine_now,
        id: random.uuid(machine_now),
        posting_id: random.uuid(machine_now),
        payment_id: random.id(machine_now),
        refund_id: random.id(machine_now),
    })
}

async fn with_refunds(tx: &mut Tx, payment: Payment) -> Result<(Payment, Vec<Refund>)> {
    let refunds = store::refunds_of_payment(tx, payment.id).await?;
    Ok((payment, refunds))
}

fn render((payment, refunds): &(Payment, Vec<Refund>)) -> Result<StoredResponse> {
    StoredResponse::ok(&PaymentBody::new(payment, refunds), payment.version)
}
