//! The JSON objects of the protocol.

use serde_json::{Value, json};

use crate::model::{CaptureMethod, Dispute, Intent, IntentStatus, Refund};

/// The version of the Stripe API that defines these shapes.
pub const API_VERSION: &str = "2025-03-31.basil";

pub fn payment_intent(intent: &Intent) -> Value {
    let (canceled_at, cancellation_reason) = match &intent.status {
        IntentStatus::Canceled { at_s, reason, .. } => (Some(at_s), reason.as_deref()),
        _ => (None, None),
    };
    json!({
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.capturable(),
        "amount_received": intent.received(),
        "application": null,
        "automatic_payment_methods": null,
        "canceled_at": canceled_at,
        "cancellation_reason": cancellation_reason,
        "capture_method": match intent.capture_method {
            CaptureMethod::Automatic => "automatic",
            CaptureMethod::Manual => "manual",
        },
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created_s,
        "currency": intent.currency,
        "customer": null,
        "description": intent.description,
        "last_payment_error": last_payment_error(&intent.status),
        "latest_charge": intent.latest_charge(),
        "livemode": false,
        "metadata": intent.metadata,
        "next_action": next_action(&intent.status),
        "payment_method": intent.payment_method,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": null,
        "setup_future_usage": null,
        "shipping": null,
        "statement_descriptor": null,
        "status": intent.status.name(),
    })
}

fn last_payment_error(status: &IntentStatus) -> Value {
    let IntentStatus::RequiresPaymentMethod { failure: Some(failure) } = status else {
        return Value::Null;
    };
    let mut error = json!({
        "type": "card_error",
        "charge": failure.charge,
        "code": failure.code,
        "message": failure.message,
        "payment_method": payment_method(&failure.payment_method),
    });
    if let Some(decline_code) = &failure.decline_code {
        error["decline_code"] = json!(decline_code);
    }
    error
}

fn next_action(status: &IntentStatus) -> Value {
    match status {
        IntentStatus::RequiresAction => json!({
            "type": "use_stripe_sdk",
            "use_stripe_sdk": { "type": "three_d_secure_redirect" },
        }),
        _ => Value::Null,
    }
}

/// A `payment_method`, with the fields that an error contains.
pub fn payment_method(id: &str) -> Value {
    json!({ "id": id, "object": "payment_method", "livemode": false, "metadata": {}, "type": "card" })
}

/// The `charge` of a captured intent.
pub fn charge(intent: &Intent) -> Value {
    json!({
        "id": intent.latest_charge(),
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.received(),
        "amount_refunded": intent.refunded(),
        "captured": intent.received() > 0,
        "created": intent.created_s,
        "currency": intent.currency,
        "disputed": intent.disputed,
        "livemode": false,
        "metadata": intent.metadata,
        "paid": true,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "refunded": intent.received() > 0 && intent.refunded() == intent.received(),
        "status": "succeeded",
    })
}

/// A `refund`.
pub fn refund(refund: &Refund) -> Value {
    let mut shown = json!({
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": null,
        "charge": refund.charge,
        "created": refund.created_s,
        "currency": refund.currency,
        "metadata": refund.metadata,
        "payment_intent": refund.payment_intent,
        "reason": refund.reason,
        "receipt_number": null,
        "status": refund.status(),
    });
    if let Some(reason) = &refund.failure_reason {
        shown["failure_reason"] = json!(reason);
    }
    shown
}

/// A `dispute`.
pub fn dispute(dispute: &Dispute) -> Value {
    json!({
        "id": dispute.id,
        "object": "dispute",
        "amount": dispute.amount,
        "charge": dispute.charge,
        "created": dispute.created_s,
        "currency": dispute.currency,
        "livemode": false,
        "metadata": {},
        "payment_intent": dispute.payment_intent,
        "reason": "fraudulent",
        "status": dispute.status,
    })
}

pub fn list(url: &str, data: Vec<Value>, has_more: bool) -> Value {
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url })
}
