//! The history of a payment.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::visible_payment;
use crate::payments::model::{Payment, PaymentEventKind, PaymentState};
use crate::payments::store::{self, PaymentEvent};
use crate::platform::clock::DomainTime;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::{HttpResult, Request, RidersAndOperators};
use crate::platform::ids::{PaymentId, RefundId};
use crate::platform::money::Money;

/// The most events per page.
const PAGE: i64 = 100;

/// The page of a payment's events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PaymentEventsQuery {
    /// `next_cursor` of the previous page, the number of its last event; absent for the first page.
    #[param(minimum = 0)]
    cursor: Option<i64>,
    /// Items on the page, 1 to 100; 100 if absent.
    #[param(minimum = 1, maximum = 100, default = 100)]
    limit: Option<i64>,
}

impl PaymentEventsQuery {
    /// Returns the number of the event before the page, and the page's length.
    fn read(&self) -> Result<(i64, i64)> {
        let (after, limit) = (self.cursor.unwrap_or(0), self.limit.unwrap_or(PAGE));
        let invalid = |field: &'static str, detail: String| {
            Refusal::new(Code::InvalidRequest, format!("`{field}` {detail}.")).field(field, detail)
        };
        if !(1..=PAGE).contains(&limit) {
            return Err(invalid("limit", format!("must be 1 to {PAGE}")).into());
        }
        if after < 0 {
            return Err(invalid("cursor", "must be the number of an event".to_owned()).into());
        }
        Ok((after, limit))
    }
}

/// A page of a payment's events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PaymentEventsBody {
    /// The events, oldest first.
    #[schema(max_items = 100)]
    items: Vec<PaymentEventBody>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(minimum = 1)]
    next_cursor: Option<i64>,
}

/// An event of a payment: a change of its state, its goal or one of its refunds.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentEventBody {
    /// 1, 2, 3 … without gaps.
    #[schema(minimum = 1)]
    seq: i64,
    /// What it is.
    kind: PaymentEventKind,
    /// The state before; `null` for the first event.
    from: Option<PaymentState>,
    /// The state after.
    state: PaymentState,
    /// The amount that it is about: requested, to capture, authorized, captured or refunded; `null` if it is about none.
    amount: Option<Money>,
    /// The refund that it is about; `null` if it is about none.
    refund_id: Option<RefundId>,
    /// The provider call whose result it is; `null` after a look-up, and for a decision of the trip or an operator.
    attempt_id: Option<Uuid>,
    /// The trace of the request or the worker run that wrote it; `null` for an event of kind `recorded`.
    #[schema(max_length = 255, example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    trace_id: Option<String>,
    /// When it happened (domain time).
    at: DomainTime,
}

impl PaymentEventBody {
    fn new(event: PaymentEvent, payment: &Payment) -> Self {
        Self {
            seq: event.seq,
            kind: event.kind,
            from: event.from,
            state: event.state,
            amount: event.amount.map(|amount| payment.money(amount)),
            refund_id: event.refund_id,
            attempt_id: event.attempt_id,
            trace_id: event.trace_id,
            at: event.at,
        }
    }
}

/// List a payment's events
///
/// The history of the payment, oldest first: each change of its state, its goal and its refunds, with the provider call that caused it.
/// The last event has the payment's state. A payment that is older than the histories starts with an event of kind `recorded`. The events
/// are kept as long as the payment.
#[utoipa::path(get,
    path = "/v1/payments/{payment_id}/events",
    tag = "payments",
    operation_id = "list_payment_events",
    security(("rider" = []), ("ops" = [])),
    params(("payment_id" = PaymentId, Path, description = "The payment"), PaymentEventsQuery),
    responses((status = 200, description = "The events", body = PaymentEventsBody)),)]
pub(super) async fn events(request: Request<RidersAndOperators>) -> HttpResult {
    let query: PaymentEventsQuery = request.query()?;
    let (after, limit) = query.read()?;
    let payment = visible_payment(&request).await?;
    let input = (payment.id, after, limit + 1);
    let read = request
        .platform
        .db
        .read(input, |conn, (id, after, limit)| Box::pin(store::payment_events(conn, *id, *after, *limit)));
    let mut items: Vec<_> = read.await?.into_iter().map(|event| PaymentEventBody::new(event, &payment)).collect();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|event| event.seq);
    Ok(HttpResponse::Ok().json(PaymentEventsBody { items, next_cursor }))
}
