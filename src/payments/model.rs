//! What a payment and a refund are, as values.

use crate::platform::clock::MachineTime;
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId};
use crate::platform::money::Money;

/// Enums with one name each, the same in the database, on the wire and in metrics.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The one with this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    )*};
}

named! {
    /// What a payment is for. A trip has one live payment for each purpose.
    Purpose {
        /// The ride, or the fee for one that did not take place: authorised when the trip is requested.
        Fare = "fare",
        /// What the final fare exceeds the authorised one by.
        Remainder = "remainder",
        /// The fee for a ride that did not take place, where the authorised fare is gone.
        Fee = "fee",
        /// What a rider gives on top. Nobody owes it: one that cannot be taken is no debt.
        Tip = "tip",
    }

    /// What we know of a payment. The terminal states never change again.
    State {
        /// The provider has been or will be asked; nothing is known to be reserved.
        Authorizing = "authorizing",
        /// The amount is reserved.
        Authorized = "authorized",
        /// The money is to be taken.
        Capturing = "capturing",
        /// The money was taken. Terminal.
        Captured = "captured",
        /// The bank, or the provider, refused. Terminal.
        Declined = "declined",
        /// The reservation is to be given up.
        Voiding = "voiding",
        /// Nothing is reserved, and nothing was taken. Terminal.
        Voided = "voided",
        /// The reservation is gone, and nobody here gave it up. Terminal.
        AuthExpired = "auth_expired",
        /// The money cannot be taken any more; the debt stays on the ledger. Terminal.
        CaptureFailed = "capture_failed",
    }

    /// What we know of a refund.
    RefundState {
        /// The provider has been or will be asked.
        Pending = "pending",
        /// The money went back. Terminal.
        Succeeded = "succeeded",
        /// The provider refused. Terminal; what it had reserved can be refunded again.
        Failed = "failed",
    }

    /// A call that changes something at the provider.
    Operation {
        /// Makes a payment intent, unconfirmed: no money moves.
        Create = "create",
        /// Reserves the amount.
        Confirm = "confirm",
        /// Takes what was reserved, or a part of it.
        Capture = "capture",
        /// Gives the intent up, with what it reserved.
        Cancel = "cancel",
        /// Gives money back.
        Refund = "refund",
    }

    /// How an attempt at a call ended.
    Outcome {
        /// Committed, and not ended yet.
        Started = "started",
        /// It was done.
        Succeeded = "succeeded",
        /// It was refused, and is not done.
        Declined = "declined",
        /// It did not reach the provider, or the provider did nothing with it.
        NotSent = "not_sent",
        /// It is done or not done. Neither a success nor a failure.
        Unknown = "unknown",
    }
}

impl State {
    /// Whether it never changes again.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Captured | Self::Declined | Self::Voided | Self::AuthExpired | Self::CaptureFailed => true,
            Self::Authorizing | Self::Authorized | Self::Capturing | Self::Voiding => false,
        }
    }
}

/// What the trip wants of a payment. It is set once, away from [`Intent::Hold`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Reserve the amount, and keep it reserved.
    Hold,
    /// Take so many minor units, at most the payment's amount.
    Capture(i64),
    /// Give up what is or will be reserved.
    Release,
}

impl Intent {
    /// Its name, without the amount.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Capture(_) => "capture",
            Self::Release => "release",
        }
    }

    /// What it wants captured, minor units.
    pub const fn capture_amount(self) -> Option<i64> {
        match self {
            Self::Capture(amount) => Some(amount),
            Self::Hold | Self::Release => None,
        }
    }
}

/// One sum that one rider owes for one purpose. Its other amounts are minor units of the currency of `amount`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The trip that it pays for.
    pub trip_id: TripId,
    /// Who pays.
    pub rider_id: RiderId,
    /// Whom a tip is for; `None` for everything else.
    pub driver_id: Option<DriverId>,
    /// What for.
    pub purpose: Purpose,
    /// The payment in whose place this one is: it had lost its authorisation, or was declined.
    pub replaces: Option<PaymentId>,
    /// What we know.
    pub state: State,
    /// What the trip wants.
    pub intent: Intent,
    /// Asked of the provider.
    pub amount: Money,
    /// Reserved by the provider, while it was.
    pub authorized: i64,
    /// Taken, whatever went back since.
    pub captured: i64,
    /// Refunds that are pending or succeeded: what may still be refunded is `captured` less this.
    pub refund_reserved: i64,
    /// Refunds that succeeded.
    pub refunded: i64,
    /// The provider's name for what is charged, `pm_…`. Never logged.
    pub method: String,
    /// The provider's id for its payment intent, once we know it.
    pub provider_intent_id: Option<String>,
    /// Why the provider refused it. Before the end: why it will have failed, once the intent is cancelled.
    pub decline_code: Option<String>,
    /// Why a person has to look at it.
    pub attention: Option<String>,
    /// Calls in a row that brought no answer. While there are any, the calls go on.
    pub failures: i16,
    /// The token of its latest lease.
    pub lease_token: i64,
    /// Counts its changes: the `ETag`.
    pub version: i64,
}

impl Payment {
    /// So many minor units of its currency.
    pub fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.amount.currency)
    }

    /// What may still be refunded, minor units.
    pub fn refundable(&self) -> i64 {
        self.captured - self.refund_reserved
    }

    /// What was to be taken and was not, now that it is over, minor units: a debt. A tip is none.
    pub fn missing(&self) -> i64 {
        match self.intent {
            Intent::Capture(wanted) if self.state.is_terminal() && self.purpose != Purpose::Tip => {
                (wanted - self.captured).max(0)
            }
            Intent::Capture(_) | Intent::Hold | Intent::Release => 0,
        }
    }
}

/// A part of a payment on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// The payment that it is a part of.
    pub payment_id: PaymentId,
    /// Minor units of the payment's currency.
    pub amount: i64,
    /// What we know.
    pub state: RefundState,
    /// The provider's id for it, once we know it.
    pub provider_refund_id: Option<String>,
    /// Why it failed.
    pub failure_code: Option<String>,
    /// Why a person has to look at it.
    pub attention: Option<String>,
    /// Calls in a row that brought no answer. While there are any, the calls go on.
    pub failures: i16,
    /// An operator allows another key, should the provider's list not show what was asked for under the first.
    pub another_key: bool,
    /// The token of its latest lease.
    pub lease_token: i64,
}

/// Attempts at one call of which it is not known what became of them: the latest, and when the first one was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The `Idempotency-Key` that the provider saw.
    pub key: String,
    /// Whether the latest was answered, if with nothing that we understand. What is answered is not on its way any more, and
    /// the provider replays that answer under the key.
    pub answered: bool,
    /// When the first attempt under this key was made.
    pub since: MachineTime,
}
