//! The faults that the simulator can inject, and the steps at which it injects them.
//!
//! A new kind is one line in [`FaultKind`], its [`FaultGroup`], and one arm where that group is applied:
//! `request_faults.rs` (latency, response), `provider.rs` (execution) or `webhooks.rs` (delivery, signature).

use serde::{Deserialize, Serialize};

/// Declares an enum whose variants have a name on the wire and a description, both taken from the declaration.
macro_rules! named_enum {
    ($(#[$meta:meta])* pub enum $enum:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $enum { $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+ }

        impl $enum {
            /// Every variant, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The description: the doc comment of the variant.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii()),+ }
            }

            /// The variant with this name.
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == name)
            }
        }
    };
}

named_enum! {
    /// The step of the protocol at which a fault is injected.
    pub enum FaultStep {
        /// Create a payment intent.
        Create = "create",
        /// Confirm a payment intent.
        Confirm = "confirm",
        /// Capture authorized money.
        Capture = "capture",
        /// Cancel a payment intent.
        Cancel = "cancel",
        /// Create a refund.
        Refund = "refund",
        /// Get one object by id.
        Get = "get",
        /// List objects.
        List = "list",
        /// Every request; no webhook delivery.
        Any = "any",
        /// Deliver a webhook.
        Webhook = "webhook",
    }
}

named_enum! {
    /// What goes wrong.
    pub enum FaultKind {
        /// The bank declines the confirmation, whatever the card.
        Decline = "decline",
        /// No effect. The response is a 400 `invalid_request_error`, stored under the idempotency key and replayed.
        Rejected = "rejected",
        /// The effect happens. Directly after it the refund fails, and its money is captured again.
        RefundFails = "refund_fails",
        /// The effect happens. Directly after it the charge is disputed.
        Disputed = "disputed",
        /// Half of the delay passes before the effect, half after it.
        Latency = "latency",
        /// No effect. The connection is held, then closed.
        HangBefore = "hang_before",
        /// The effect happens. The connection is held, then closed.
        HangAfter = "hang_after",
        /// No effect. The response is a 500, stored under the idempotency key and replayed.
        Error500 = "error_500",
        /// The effect happens. The response is a 500, stored under the idempotency key and replayed.
        Error500After = "error_500_after",
        /// No effect. The response is a 503, which is not stored.
        Error503 = "error_503",
        /// No effect. The response is a 429 with `Retry-After`, which is not stored.
        RateLimited = "rate_limited",
        /// No effect. The connection is closed at once.
        ResetBefore = "reset_before",
        /// The effect happens. The connection is closed at once.
        ResetAfter = "reset_after",
        /// The effect happens. The response body ends half-way.
        Malformed = "malformed",
        /// The effect happens. The `status` in the response is `sim_unknown`.
        UnknownStatus = "unknown_status",
        /// The event is never delivered.
        Lost = "lost",
        /// The event is delivered after a delay.
        Late = "late",
        /// The event is delivered twice.
        Doubled = "doubled",
        /// The event is delivered after a newer one.
        Reordered = "reordered",
        /// One delivery attempt is signed with another secret.
        WrongSignature = "wrong_signature",
        /// One delivery attempt is signed correctly, with an old time stamp.
        OldTimeStamp = "old_time_stamp",
    }
}

/// What a kind of fault affects. At most one fault of each group is injected into a request, so that a slow request can
/// also be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultGroup {
    /// How long a request takes.
    Latency,
    /// The connection and the response.
    Response,
    /// The effect, and the response stored under the idempotency key.
    Execution,
    /// When, and how often, an event is delivered.
    Delivery,
    /// How one delivery attempt is signed.
    Signature,
}

impl FaultStep {
    /// Whether a fault at this step applies to `step`.
    pub(crate) fn covers(self, step: Self) -> bool {
        self == step || (self == Self::Any && step != Self::Webhook)
    }
}

impl FaultKind {
    pub(crate) fn group(self) -> FaultGroup {
        match self {
            Self::Latency => FaultGroup::Latency,
            Self::HangBefore
            | Self::HangAfter
            | Self::Error503
            | Self::RateLimited
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Malformed
            | Self::UnknownStatus => FaultGroup::Response,
            Self::Decline
            | Self::Rejected
            | Self::RefundFails
            | Self::Disputed
            | Self::Error500
            | Self::Error500After => FaultGroup::Execution,
            Self::Lost | Self::Late | Self::Doubled | Self::Reordered => FaultGroup::Delivery,
            Self::WrongSignature | Self::OldTimeStamp => FaultGroup::Signature,
        }
    }

    /// The steps at which the fault can be injected, if it is made for some.
    pub fn own_steps(self) -> Option<&'static [FaultStep]> {
        match self {
            Self::Decline => Some(&[FaultStep::Create, FaultStep::Confirm]),
            Self::RefundFails => Some(&[FaultStep::Refund]),
            Self::Disputed => Some(&[FaultStep::Capture]),
            _ => None,
        }
    }

    /// Whether the fault affects webhook deliveries; the others affect requests.
    pub fn is_of_webhooks(self) -> bool {
        matches!(self.group(), FaultGroup::Delivery | FaultGroup::Signature)
    }

    /// The duration in milliseconds unless the fault names one.
    pub(crate) fn default_ms(self) -> u64 {
        match self {
            // Longer than a client timeout of 10 s.
            Self::HangBefore | Self::HangAfter => 12_000,
            Self::Latency | Self::RateLimited => 1_000,
            Self::Late | Self::Reordered => 5_000,
            // Twice the tolerance of Stripe's libraries.
            Self::OldTimeStamp => 600_000,
            _ => 0,
        }
    }

    /// The longest duration; none for a kind without a duration.
    pub(crate) fn ms_max(self) -> Option<u64> {
        match self {
            Self::OldTimeStamp => Some(86_400_000),
            _ if self.default_ms() > 0 => Some(DELAY_MS_MAX),
            _ => None,
        }
    }
}

/// The longest delay of a fault. A longer hang outlives the test that asked for it.
pub(crate) const DELAY_MS_MAX: u64 = 60_000;
