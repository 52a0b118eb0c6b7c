//! Payments and refunds as JSON. Values in, DTOs out; nothing is looked up here.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{self, Intent, RefundState};
use crate::platform::ids::{PaymentId, RefundId, TripId};
use crate::platform::money::Money;

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentBody {
    id: PaymentId,
    trip_id: TripId,
    /// `fare`, `remainder`, `fee` or `tip`.
    purpose: &'static str,
    /// The payment in whose place this one is.
    replaces: Option<PaymentId>,
    /// `authorizing`, `authorized`, `capturing`, `captured`, `declined`, `voiding`, `voided`, `auth_expired` or `capture_failed`.
    state: &'static str,
    /// What the trip wants of it: `hold`, `capture` or `release`.
    intent: &'static str,
    /// What was asked of the provider.
    amount: Money,
    /// What the provider reserved.
    authorized: Money,
    /// What was taken, whatever went back since.
    captured: Money,
    /// What went back.
    refunded: Money,
    /// Why it was declined.
    decline_code: Option<String>,
    /// Oldest first.
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
    id: RefundId,
    payment_id: PaymentId,
    amount: Money,
    /// `pending`, `succeeded` or `failed`.
    state: &'static str,
    /// Why it failed.
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
