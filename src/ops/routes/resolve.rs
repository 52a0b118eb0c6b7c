//! `POST /v1/ops/payments/{payment_id}/resolve` and `POST /v1/ops/refunds/{refund_id}/resolve`: what an operator decides about money
//! that waits for a person. `docs/runbook.md` says which action is for what.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::payments::commands::resolve::{self, Decision};
use crate::payments::machine::resolve::Action;
use crate::payments::model::{Payment, Refund};
use crate::payments::store;
use crate::payments::views::PaymentBody;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::names::published;
use crate::platform::http::request::{KeyHeader, VersionHeader};
use crate::platform::http::{Operators, Reply, Request};
use crate::platform::idempotency::Answer;
use crate::platform::ids::{PaymentId, RefundId};

published! {
    /// What can be decided: `retry`, try again; `close`, leave it.
    ResolveAction = Action::ALL.iter().map(|action| action.as_str());
}

/// What an operator decides, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveRequest {
    /// `retry`: look at it again, or ask once more for what is owed. `close`: leave it; what is owed is written off, what is
    /// reserved for a refund is free again.
    #[schema(value_type = ResolveAction)]
    action: String,
    /// For whoever reads it later; 1 to 500 characters.
    #[schema(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\x00\s][^\x00]*$",
        example = "The provider confirms: it was never charged."
    )]
    note: String,
}

/// Decide about a payment that waits for a person
///
/// Those in `attention` of `/v1/ops/reconciliation`; what waits for nobody cannot be decided. The decision is recorded with its note, and
/// nothing is asked of the provider before it is committed. Of two operators who decide at once, the second finds it done.
#[utoipa::path(post, path = "/v1/ops/payments/{payment_id}/resolve", tag = "ops", operation_id = "resolve_payment",
    security(("ops" = [])), request_body = ResolveRequest,
    params(("payment_id" = PaymentId, Path, description = "The payment"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The payment as it is now", body = PaymentBody)))]
pub(super) async fn payment(request: Request<Operators>) -> Reply {
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

/// Decide about a refund that waits for a person
///
/// As for payments. `If-Match` names the version of the refund's payment, which is also the answer. A refund that failed is made anew by
/// `retry`, if there is still so much left.
#[utoipa::path(post, path = "/v1/ops/refunds/{refund_id}/resolve", tag = "ops", operation_id = "resolve_refund",
    security(("ops" = [])), request_body = ResolveRequest,
    params(("refund_id" = RefundId, Path, description = "The refund"), KeyHeader, VersionHeader),
    responses((status = 200, description = "The refund's payment as it is now", body = PaymentBody)))]
pub(super) async fn refund(request: Request<Operators>) -> Reply {
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

fn decision(request: &Request<Operators>) -> Result<Decision> {
    let ResolveRequest { action, note } = request.json()?;
    let action = Action::named(&action).ok_or_else(|| invalid("/action", "must be `retry` or `close`".to_owned()))?;
    let (clock, dice) = (&request.platform.clock, &request.platform.dice);
    let machine_now = clock.machine();
    Ok(Decision {
        action,
        note: super::note(&note)?,
        operator_id: request.caller().subject,
        if_version: request.if_match()?,
        now: clock.domain(),
        machine_now,
        id: dice.uuid(machine_now),
        posting_id: dice.uuid(machine_now),
        payment_id: dice.id(machine_now),
        refund_id: dice.id(machine_now),
    })
}

fn invalid(field: &str, detail: String) -> Refusal {
    Refusal::new(Code::InvalidRequest, "That is no decision that can be taken.").field(field, detail)
}

async fn with_refunds(tx: &mut Tx, payment: Payment) -> Result<(Payment, Vec<Refund>)> {
    let refunds = store::of_payment(tx, payment.id).await?;
    Ok((payment, refunds))
}

fn render((payment, refunds): &(Payment, Vec<Refund>)) -> Result<Answer> {
    Answer::ok(&PaymentBody::new(payment, refunds), payment.version)
}
