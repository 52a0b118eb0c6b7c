//! The names of reconciliation: what can differ, what is done about it, and how it ends.
//!
//! A rule is there where only one end can be right, whatever happened: what nobody wants any more is given up at the provider, what
//! we are behind with is looked at again, money that went back is written down. Everything else is a person's. Nothing is ever
//! done to an intent that was not made for a payment of ours: the account may serve somebody else as well.

/// Enums whose names are stable: reports, metrics, rows and `docs/reconciliation.md` use them.
macro_rules! named {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one with this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }
    )*};
}

named! {
    /// In what the two books differ.
    Kind {
        /// Our payment names an intent that the provider does not list.
        MissingAtProvider = "missing_at_provider",
        /// The provider lists an intent that was made for a payment like ours, which we do not have.
        UnknownToUs = "unknown_to_us",
        /// The provider has an intent for a payment of ours that knows of none.
        IntentMissingHere = "intent_missing_here",
        /// A payment and its intent are in different currencies.
        CurrencyDiffers = "currency_differs",
        /// A payment and its intent were made for, or captured, different amounts.
        AmountDiffers = "amount_differs",
        /// Money was taken that our books know nothing of.
        CapturedThereNotHere = "captured_there_not_here",
        /// Our books say that money was taken, the provider's do not.
        CapturedHereNotThere = "captured_here_not_there",
        /// Money was taken on a second intent of a payment that was captured.
        ChargedTwice = "charged_twice",
        /// An authorisation is open, and the trip is over.
        HeldThereTripOver = "held_there_trip_over",
        /// The payment is over, and its intent could still be confirmed. It holds nothing.
        OpenThereOverHere = "open_there_over_here",
        /// A second intent of a payment. It holds nothing, and could still be confirmed.
        DuplicateIntents = "duplicate_intents_for_payment",
        /// One side has ended, the other has not.
        StateDiffers = "state_differs",
        /// Money went back, or is about to, that our books know nothing of.
        RefundMissingHere = "refund_missing_here",
        /// Our books say that money went back, the provider's do not.
        RefundMissingThere = "refund_missing_there",
        /// A refund is of different amounts.
        RefundAmountDiffers = "refund_amount_differs",
        /// A refund has ended on one side and not on the other, or differently.
        RefundStateDiffers = "refund_state_differs",
    }

    /// What a rule does about a difference.
    Repair {
        /// Nothing: a person has to look.
        None = "none",
        /// We may be behind: the payment's worker looks at the provider's intent again.
        LookAgain = "look_again",
        /// The trip is over and free: its payment is released, and the worker cancels the intent.
        Release = "release",
        /// Nobody wants the intent any more: it is cancelled at the provider.
        CancelIntent = "cancel_intent",
        /// Money went back: the refund is written into our books, and its worker looks at what became of it.
        AdoptRefund = "adopt_refund",
    }

    /// How a finding stands.
    FindingState {
        /// The books differ still.
        Open = "open",
        /// A rule was applied, and then they did not differ any more.
        Repaired = "repaired",
        /// A person says that it is done with; or it went away by itself.
        Resolved = "resolved",
    }

    /// Which payments a run compares.
    Scope {
        /// Those of the last days: [`crate::ops::worker::RECENT`].
        Recent = "recent",
        /// All of them.
        All = "all",
    }

    /// How a run stands.
    RunState {
        /// It waits for a worker.
        Asked = "asked",
        /// A process is at it.
        Running = "running",
        /// The books were compared.
        Checked = "checked",
        /// The provider did not show its books: nothing is known.
        Unchecked = "unchecked",
        /// Its process was gone, and another one began anew.
        Abandoned = "abandoned",
    }
}

impl Kind {
    /// Whether no money is in it, so that the books are equal all the same: the audit passes over it.
    pub fn is_harmless(self) -> bool {
        matches!(self, Self::OpenThereOverHere | Self::DuplicateIntents)
    }
}
