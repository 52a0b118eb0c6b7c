//! The things that the provider keeps: intents and refunds, as values.
//!
//! Spelling follows the protocol's (`canceled`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cards::Decline;

/// The caller's own notes on an object; sorted, so that it prints the same every time.
pub type Metadata = BTreeMap<String, String>;

/// An amount in the currency's smallest unit. For a zero-decimal currency that is the unit itself.
pub type Minor = i64;

/// A moment in seconds since 1970, machine time.
pub type UnixSeconds = i64;

/// Whether a confirmation takes the money or only reserves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// A confirmation takes the money.
    Automatic,
    /// A confirmation reserves it, a capture takes it.
    Manual,
}

/// A payment, from the wish to pay to money taken, given back or never moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// `pi_…`
    pub id: String,
    /// What a browser would confirm with; part of the shape, of no use here.
    pub client_secret: String,
    /// What is to be paid; positive.
    pub amount: Minor,
    /// Three lower-case letters.
    pub currency: String,
    /// Whether a capture is needed.
    pub capture_method: CaptureMethod,
    /// The method that was, or would be, charged. A decline takes it away.
    pub payment_method: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// The caller's notes.
    pub metadata: Metadata,
    /// When it was made.
    pub created_s: UnixSeconds,
    /// Where it stands.
    pub stage: Stage,
    /// How its money moved, oldest first; what went back is in its refunds.
    #[serde(default)]
    pub movements: Vec<Movement>,
}

/// Money that moved, as the provider's books have it. At any time, what is authorised is captured, released, expired or
/// still reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// What it was.
    #[serde(rename = "type")]
    pub kind: MovementKind,
    /// How much; positive.
    pub amount: Minor,
    /// When, in seconds since 1970.
    pub at: UnixSeconds,
    /// The key of the request that moved it; absent if it had none, or if nobody asked.
    pub idempotency_key: Option<String>,
}

/// How money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MovementKind {
    /// Reserved.
    Authorized,
    /// Taken out of what is reserved.
    Captured,
    /// Set free by a cancellation, or by a capture of less.
    Released,
    /// Set free because nobody took it in time.
    Expired,
    /// Given back out of what was taken.
    Refunded,
}

/// A state, with the data that only this state has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Stage {
    /// Nothing to charge yet, or the last method was refused.
    RequiresPaymentMethod {
        /// Why, if it was refused.
        refusal: Option<Refusal>,
    },
    /// Ready to be confirmed.
    RequiresConfirmation,
    /// Waits for the cardholder to answer the bank's challenge.
    RequiresAction,
    /// The whole amount is reserved.
    RequiresCapture {
        /// `ch_…`
        charge: String,
    },
    /// Money was taken.
    Succeeded {
        /// `ch_…`
        charge: String,
        /// How much; at most the intent's amount.
        received: Minor,
        /// How much of it went back; at most `received`.
        refunded: Minor,
    },
    /// Over, without money.
    Canceled {
        /// When.
        at_s: UnixSeconds,
        /// The caller's reason.
        reason: Option<String>,
        /// The reservation that was released.
        charge: Option<String>,
    },
}

/// A bank's refusal, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// `ch_…`, the attempt that failed.
    pub charge: String,
    /// The method that was refused.
    pub payment_method: String,
    /// See [`Decline`].
    pub code: String,
    /// See [`Decline`].
    pub decline_code: Option<String>,
    /// See [`Decline`].
    pub message: String,
}

impl Refusal {
    /// The refusal of `payment_method` in the attempt `charge`.
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

impl Stage {
    /// The state's name in the protocol.
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

    /// Whether a confirmation would charge something.
    pub fn is_confirmable(&self) -> bool {
        matches!(self, Self::RequiresPaymentMethod { .. } | Self::RequiresConfirmation | Self::RequiresAction)
    }
}

impl Intent {
    /// What a capture could take.
    pub fn capturable(&self) -> Minor {
        if matches!(self.stage, Stage::RequiresCapture { .. }) { self.amount } else { 0 }
    }

    /// Since when money is reserved, if it is.
    pub fn authorized_s(&self) -> Option<UnixSeconds> {
        matches!(self.stage, Stage::RequiresCapture { .. })
            .then(|| self.movements.last().map_or(self.created_s, |authorized| authorized.at))
    }

    /// What was taken, whatever went back since.
    pub fn received(&self) -> Minor {
        if let Stage::Succeeded { received, .. } = self.stage { received } else { 0 }
    }

    /// What went back.
    pub fn refunded(&self) -> Minor {
        if let Stage::Succeeded { refunded, .. } = self.stage { refunded } else { 0 }
    }

    /// The last attempt to charge, good or bad.
    pub fn latest_charge(&self) -> Option<&str> {
        match &self.stage {
            Stage::RequiresPaymentMethod { refusal } => refusal.as_ref().map(|refusal| refusal.charge.as_str()),
            Stage::RequiresConfirmation | Stage::RequiresAction => None,
            Stage::RequiresCapture { charge } | Stage::Succeeded { charge, .. } => Some(charge),
            Stage::Canceled { charge, .. } => charge.as_deref(),
        }
    }
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`
    pub id: String,
    /// How much; positive.
    pub amount: Minor,
    /// The intent's currency.
    pub currency: String,
    /// `pi_…`
    pub payment_intent: String,
    /// `ch_…`
    pub charge: String,
    /// The caller's reason.
    pub reason: Option<String>,
    /// The caller's notes.
    pub metadata: Metadata,
    /// When it was made.
    pub created_s: UnixSeconds,
    /// The key of the request that made it.
    #[serde(default)]
    pub idempotency_key: Option<String>,
}
