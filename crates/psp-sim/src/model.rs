//! Payment intents and refunds, as values. Spelling follows the protocol (`canceled`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cards::Decline;

/// The caller's metadata of an object, sorted so that it always serializes in the same order.
pub type Metadata = BTreeMap<String, String>;

/// An amount in the smallest unit of the currency; of a zero-decimal currency, in the currency itself.
pub type Minor = i64;

/// Seconds since 1970, machine time.
pub type UnixSeconds = i64;

/// Whether a confirmation captures the money or only authorizes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// A confirmation captures the money.
    Automatic,
    /// A confirmation authorizes the money; a later capture takes it.
    Manual,
}

/// A payment intent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// The secret for a confirmation in a browser; only part of the shape here.
    pub client_secret: String,
    /// The amount to pay; positive.
    pub amount: Minor,
    /// Three lower-case letters.
    pub currency: String,
    /// Whether a capture is needed after the confirmation.
    pub capture_method: CaptureMethod,
    /// The payment method; a decline removes it.
    pub payment_method: Option<String>,
    pub description: Option<String>,
    pub metadata: Metadata,
    pub created_s: UnixSeconds,
    pub status: IntentStatus,
    /// The charge is disputed, and the dispute is not won.
    #[serde(default)]
    pub disputed: bool,
    /// The movements of money, oldest first; those of refunds are in the refunds.
    pub movements: Vec<Movement>,
}

/// A movement of money. Invariant: authorized = captured + released + expired + still capturable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    #[serde(rename = "type")]
    pub kind: MovementKind,
    /// The amount; positive.
    pub amount: Minor,
    pub at: UnixSeconds,
    /// The idempotency key of the request that moved it; absent for an expiry and a request without a key.
    pub idempotency_key: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Held on the card.
    Authorized,
    /// Taken out of the authorized amount.
    Captured,
    /// Released by a cancellation or by a partial capture.
    Released,
    /// Released because the authorization expired.
    Expired,
    /// Returned out of the captured amount.
    Refunded,
}

/// The status of an intent, with the data of that status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum IntentStatus {
    /// No payment method yet, or the last one was declined.
    RequiresPaymentMethod {
        /// The decline, if there was one.
        failure: Option<PaymentFailure>,
    },
    /// Ready to be confirmed.
    RequiresConfirmation,
    /// Waits for the cardholder to complete the bank's challenge.
    RequiresAction,
    /// The whole amount is authorized.
    RequiresCapture {
        /// `ch_…`
        charge: String,
    },
    /// Money was captured.
    Succeeded {
        /// `ch_…`
        charge: String,
        /// The captured amount; at most the amount of the intent.
        received: Minor,
        /// The refunded amount; at most `received`.
        refunded: Minor,
    },
    /// Canceled or expired.
    Canceled {
        /// The time of the cancellation.
        at_s: UnixSeconds,
        /// The caller's reason.
        reason: Option<String>,
        /// The authorization that was released.
        charge: Option<String>,
    },
}

/// The last decline of an intent, Stripe's `last_payment_error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFailure {
    /// `ch_…` of the failed attempt.
    pub charge: String,
    /// The declined payment method.
    pub payment_method: String,
    /// See [`Decline`].
    pub code: String,
    /// See [`Decline`].
    pub decline_code: Option<String>,
    /// See [`Decline`].
    pub message: String,
}

impl PaymentFailure {
    pub fn new(decline: Decline, payment_method: &str, charge: &str) -> Self {
        Self {
            charge: charge.to_owned(),
            payment_method: payment_method.to_owned(),
            code: decline.code.to_owned(),
            decline_code: decline.decline_code.map(str::to_owned),
            message: decline.message.to_owned(),
        }
    }
}

impl IntentStatus {
    /// The name in the protocol.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequiresPaymentMethod { .. } => "requires_payment_method",
            Self::RequiresConfirmation => "requires_confirmation",
            Self::RequiresAction => "requires_action",
            Self::RequiresCapture { .. } => "requires_capture",
            Self::Succeeded { .. } => "succeeded",
            Self::Canceled { .. } => "canceled",
        }
    }

    /// Whether the intent can be confirmed.
    pub fn is_confirmable(&self) -> bool {
        matches!(self, Self::RequiresPaymentMethod { .. } | Self::RequiresConfirmation | Self::RequiresAction)
    }
}

impl Intent {
    /// The amount that a capture can take.
    pub fn capturable(&self) -> Minor {
        if matches!(self.status, IntentStatus::RequiresCapture { .. }) { self.amount } else { 0 }
    }

    /// The time of the open authorization, if there is one.
    pub fn authorized_s(&self) -> Option<UnixSeconds> {
        matches!(self.status, IntentStatus::RequiresCapture { .. })
            .then(|| self.movements.last().map_or(self.created_s, |authorized| authorized.at))
    }

    /// The captured amount, before refunds.
    pub fn received(&self) -> Minor {
        if let IntentStatus::Succeeded { received, .. } = self.status { received } else { 0 }
    }

    /// The refunded amount.
    pub fn refunded(&self) -> Minor {
        if let IntentStatus::Succeeded { refunded, .. } = self.status { refunded } else { 0 }
    }

    /// The id of the last charge, successful or failed.
    pub fn latest_charge(&self) -> Option<&str> {
        match &self.status {
            IntentStatus::RequiresPaymentMethod { failure } => failure.as_ref().map(|failure| failure.charge.as_str()),
            IntentStatus::RequiresConfirmation | IntentStatus::RequiresAction => None,
            IntentStatus::RequiresCapture { charge } | IntentStatus::Succeeded { charge, .. } => Some(charge),
            IntentStatus::Canceled { charge, .. } => charge.as_deref(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// The amount; positive.
    pub amount: Minor,
    /// The intent's currency.
    pub currency: String,
    /// `pi_…`
    pub payment_intent: String,
    /// `ch_…`
    pub charge: String,
    pub reason: Option<String>,
    pub metadata: Metadata,
    pub created_s: UnixSeconds,
    /// The idempotency key of the request.
    pub idempotency_key: Option<String>,
    /// Why the refund failed after it had succeeded, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
}

impl Refund {
    /// The name of its status in the protocol. Refunds of cards succeed at once.
    pub fn status(&self) -> &'static str {
        if self.failure_reason.is_some() { "failed" } else { "succeeded" }
    }
}

/// The cardholder's bank has taken a captured payment back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// `du_…`
    pub id: String,
    /// The disputed amount: what was captured.
    pub amount: Minor,
    /// The intent's currency.
    pub currency: String,
    /// `pi_…`
    pub payment_intent: String,
    /// `ch_…`
    pub charge: String,
    pub status: DisputeStatus,
    pub created_s: UnixSeconds,
}

/// The status of a dispute, with its name in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    NeedsResponse,
    Won,
    Lost,
}
