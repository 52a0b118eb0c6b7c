//! Payments and refunds as JSON. Values in, DTOs out; nothing is looked up here.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{self, Intent, Purpose, RefundState, State};
use crate::platform::http::names::published;
use crate::platform::ids::{PaymentId, RefundId, TripId};
use crate::platform::money::Money;

published! {
    /// What a payment is for: the `fare` (or the fee for a ride that did not take place), the `remainder` of a fare that is higher than
    /// what was authorised, a `fee` where the authorised fare is gone, or a `tip`.
    PaymentPurpose = Purpose::ALL.iter().map(|purpose| purpose.as_str());
    /// Where a payment stands: `authorizing`, `authorized`, `capturing` and `voiding` go on; `captured`, `declined`, `voided`,
    /// `auth_expired` and `capture_failed` are the end.
    PaymentState = State::ALL.iter().map(|state| state.as_str());
    /// What the trip wants of a payment: keep the amount reserved, take it, or give it up.
    PaymentIntent = ["hold", "capture", "release"];
    /// Where a refund stands: `pending` until it has `succeeded` or `failed`.
    RefundStatus = RefundState::ALL.iter().map(|state| state.as_str());
}

/// A payment: one sum that one rider owes for one purpose.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentBody {
    /// The payment.
    id: PaymentId,
    /// The trip that it is for.
    trip_id: TripId,
    /// What it is for.
    #[schema(value_type = PaymentPurpose)]
    purpose: &'static str,
    /// The payment in whose place this one is; `null` if it is the first.
    replaces: Option<PaymentId>,
    /// Where it stands.
    #[schema(value_type = PaymentState)]
    state: &'static str,
    /// What the trip wants of it.
    #[schema(value_type = PaymentIntent)]
    intent: &'static str,
    /// What was asked of the provider.
    amount: Money,
    /// What the provider reserved.
    authorized: Money,
    /// What was taken, whatever went back since.
    captured: Money,
    /// What went back.
    refunded: Money,
    /// The provider's word for why it was declined; `null` if it was not.
    #[schema(max_length = 255, example = "insufficient_funds")]
    decline_code: Option<String>,
    /// Its refunds, oldest first.
    #[schema(max_items = 1000)]
    refunds: Vec<RefundBody>,
}

impl PaymentBody {
    /// The payment and its refunds, oldest first, as JSON.
    pub fn new(payment: &model::Payment, refunds: &[model::Refund]) -> Self {
        // While authorizing, the code is what the payment will be declined for: not yet anybody's business.
        let is_over = payment.state.is_terminal();
        // Summed here, because a refund may end between the reading of the payment and that of its refunds.
        let refunded =
            refunds.iter().filter(|refund| refund.state == RefundState::Succeeded).map(|refund| refund.amount);
        Self {
            id: payment.id,
            trip_id: payment.trip_id,
            purpose: payment.purpose.as_str(),
            replaces: payment.replaces,
            state: payment.state.as_str(),
            intent: Intent::as_str(payment.intent),
            amount: payment.amount,
            authorized: payment.money(payment.authorized),
            captured: payment.money(payment.captured),
            refunded: payment.money(refunded.sum()),
            decline_code: payment.decline_code.clone().filter(|_| is_over),
            refunds: refunds.iter().map(|refund| RefundBody::new(refund, payment)).collect(),
        }
    }
}

/// A part of a payment on its way back.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundBody {
    /// The refund.
    id: RefundId,
    /// The payment that it is a part of.
    payment_id: PaymentId,
    /// How much.
    amount: Money,
    /// Where it stands.
    #[schema(value_type = RefundStatus)]
    state: &'static str,
    /// The provider's word for why it failed; `null` if it did not.
    #[schema(max_length = 255, example = "expired_or_canceled_card")]
    failure_code: Option<String>,
}

impl RefundBody {
    /// The refund of the payment as JSON.
    pub fn new(refund: &model::Refund, payment: &model::Payment) -> Self {
        Self {
            id: refund.id,
            payment_id: refund.payment_id,
            amount: payment.money(refund.amount),
            state: refund.state.as_str(),
            failure_code: refund.failure_code.clone(),
        }
    }
}
