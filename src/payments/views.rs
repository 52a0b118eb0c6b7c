//! Payments and refunds as JSON bodies.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{self, GoalKind, PaymentPurpose, PaymentState, RefundState};
use crate::platform::ids::{PaymentId, RefundId, TripId};
use crate::platform::money::Money;

/// One sum that one rider owes for one purpose.
#[derive(Debug, Serialize, ToSchema)]
pub struct PaymentBody {
    /// The payment's id.
    id: PaymentId,
    /// The trip.
    trip_id: TripId,
    /// What the payment is for.
    purpose: PaymentPurpose,
    /// The payment that this one replaces; `null` if it replaces none.
    replaces: Option<PaymentId>,
    /// The state.
    state: PaymentState,
    /// What the trip wants of the payment.
    goal: GoalKind,
    /// The amount requested from the provider.
    amount: Money,
    /// The amount that the provider reserved.
    authorized: Money,
    /// The captured amount, refunds not deducted.
    captured: Money,
    /// The refunded amount.
    refunded: Money,
    /// The provider's reason for the decline; `null` if it was not declined.
    #[schema(max_length = 255, example = "insufficient_funds")]
    decline_code: Option<String>,
    /// The refunds, oldest first.
    #[schema(max_items = 1000)]
    refunds: Vec<RefundBody>,
}

impl PaymentBody {
    /// Returns the body of a payment with its refunds, oldest first.
    pub fn new(payment: &model::Payment, refunds: &[model::Refund]) -> Self {
        // Before the end the code is only the reason why the payment will be declined.
        let is_over = payment.state.is_terminal();
        // Summed here, because a refund can end between the reads of the payment and of its refunds.
        let refunded =
            refunds.iter().filter(|refund| refund.state == RefundState::Succeeded).map(|refund| refund.amount);
        Self {
            id: payment.id,
            trip_id: payment.trip_id,
            purpose: payment.purpose,
            replaces: payment.replaces,
            state: payment.state,
            goal: payment.goal.kind(),
            amount: payment.amount,
            authorized: payment.money(payment.authorized),
            captured: payment.money(payment.captured),
            refunded: payment.money(refunded.sum()),
            decline_code: payment.decline_code.clone().filter(|_| is_over),
            refunds: refunds.iter().map(|refund| RefundBody::new(refund, payment)).collect(),
        }
    }
}

/// The return of a part of a captured payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundBody {
    /// The refund's id.
    id: RefundId,
    /// The payment.
    payment_id: PaymentId,
    /// The amount.
    amount: Money,
    /// The state.
    state: RefundState,
    /// The provider's reason for the failure; `null` if it did not fail.
    #[schema(max_length = 255, example = "expired_or_canceled_card")]
    failure_code: Option<String>,
}

impl RefundBody {
    /// Returns the body of a refund of `payment`.
    pub fn new(refund: &model::Refund, payment: &model::Payment) -> Self {
        Self {
            id: refund.id,
            payment_id: refund.payment_id,
            amount: payment.money(refund.amount),
            state: refund.state,
            failure_code: refund.failure_code.clone(),
        }
    }
}
