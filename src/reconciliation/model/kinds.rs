//! The named values of reconciliation: kinds of difference, repair rules, and the states of findings and runs.
//!
//! A repair rule exists only where one outcome is correct whatever happened: an unneeded intent is canceled at the provider, a
//! payment of ours that lags behind is refreshed, a refund of the provider's is recorded. An operator decides everything else.

use crate::platform::names::string_enum;

string_enum! {
    /// How our records and the provider's differ; `docs/reconciliation.md` explains each kind.
    pub enum DifferenceKind as "FindingKind" {
        /// A payment of ours names an intent that the provider does not list.
        MissingAtProvider = "missing_at_provider",
        /// The provider lists an intent that names a payment that we do not have.
        UnknownToUs = "unknown_to_us",
        /// The provider has an intent for a payment of ours that has recorded none.
        IntentMissingHere = "intent_missing_here",
        /// A payment and its intent are in different currencies.
        CurrencyDiffers = "currency_differs",
        /// A payment and its intent have different amounts, or different captured amounts.
        AmountDiffers = "amount_differs",
        /// The provider captured money that our records do not contain.
        CapturedThereNotHere = "captured_there_not_here",
        /// Our records contain a capture that the provider's do not.
        CapturedHereNotThere = "captured_here_not_there",
        /// The provider captured a second intent of a captured payment.
        ChargedTwice = "charged_twice",
        /// An authorization is open, and its trip is over.
        HeldThereTripOver = "held_there_trip_over",
        /// A payment is over, and its intent can still be confirmed. No money is reserved.
        OpenThereOverHere = "open_there_over_here",
        /// A payment has a second intent that can still be confirmed. No money is reserved.
        DuplicateIntents = "duplicate_intents_for_payment",
        /// A payment is over on one side only.
        StateDiffers = "state_differs",
        /// The provider made a refund, or is making one, that our records do not contain.
        RefundMissingHere = "refund_missing_here",
        /// Our records contain a refund that the provider's do not.
        RefundMissingThere = "refund_missing_there",
        /// A refund has different amounts.
        RefundAmountDiffers = "refund_amount_differs",
        /// A refund has ended on one side only, or differently.
        RefundStateDiffers = "refund_state_differs",
        /// The provider lists a dispute of a charge, or its decision, that our records do not contain.
        DisputeDiffers = "dispute_differs",
    }

    /// The rule that repairs a finding.
    pub enum RepairRule as "FindingRepair" {
        /// No rule applies: an operator decides.
        None = "none",
        /// Our side may lag behind: the payment's worker reads the provider's intent again.
        LookAgain = "look_again",
        /// The trip is over and free: the payment is released, and its worker cancels the intent.
        Release = "release",
        /// No payment needs the intent: it is canceled at the provider.
        CancelIntent = "cancel_intent",
        /// The provider made the refund: it is added to our records, and its worker follows it.
        AdoptRefund = "adopt_refund",
    }

    /// The state of a finding.
    pub enum FindingState as "FindingStatus" {
        /// The records still differ.
        Open = "open",
        /// A rule was applied, and the difference is gone.
        Repaired = "repaired",
        /// An operator closed it, or the difference disappeared without a repair.
        Resolved = "resolved",
    }

    /// The payments that a run compares.
    pub enum RunScope {
        /// What was made in the last eight days, or since the last run; refunds and disputes of older payments included.
        Recent = "recent",
        /// Everything, from the first payment on.
        All = "all",
    }

    /// The state of a run.
    pub enum RunState as "RunStatus" {
        /// Waits for a worker.
        Queued = "queued",
        /// A process is comparing the records.
        Running = "running",
        /// The records were compared.
        Checked = "checked",
        /// The provider's records could not be read: the result is unknown.
        Unchecked = "unchecked",
        /// Several processes in a row failed to go on with the run.
        Abandoned = "abandoned",
    }
}

impl DifferenceKind {
    /// Returns whether money was captured, reserved or refunded differently. The audit ignores the other kinds: no call of ours begins a
    /// dispute, so our records are always a little behind.
    pub fn involves_money(self) -> bool {
        !matches!(self, Self::OpenThereOverHere | Self::DuplicateIntents | Self::DisputeDiffers)
    }
}
