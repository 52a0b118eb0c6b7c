//! Payments and refunds as values. Amounts are minor units of the payment's currency.

use crate::platform::clock::MachineTime;
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::names::string_enum;
use crate::platform::wake::Wake;

string_enum! {
    /// What a payment is for. A trip has at most one live payment for each purpose.
    pub enum PaymentPurpose {
        /// The fare, or the cancellation fee; authorized when the trip is requested.
        Fare = "fare",
        /// The part of the final fare that exceeds the authorized amount.
        Remainder = "remainder",
        /// The cancellation fee, where the authorization of the fare is gone.
        Fee = "fee",
        /// A tip for the driver. A tip that cannot be captured is no debt.
        Tip = "tip",
    }

    /// The state of a payment. `captured`, `declined`, `voided`, `auth_expired` and `capture_failed` are terminal.
    pub enum PaymentState {
        /// The authorization was or will be requested; nothing is known to be reserved.
        Authorizing = "authorizing",
        /// The provider has reserved the amount.
        Authorized = "authorized",
        /// The capture was or will be requested.
        Capturing = "capturing",
        /// The money was captured.
        Captured = "captured",
        /// The bank or the provider declined.
        Declined = "declined",
        /// The release of the authorization was or will be requested.
        Voiding = "voiding",
        /// Nothing is reserved, and nothing was captured.
        Voided = "voided",
        /// The authorization ended at the provider without a release by the service.
        AuthExpired = "auth_expired",
        /// The money cannot be captured any more; the debt stays on the ledger.
        CaptureFailed = "capture_failed",
    }

    /// What the trip wants of a payment.
    pub enum GoalKind as "PaymentGoal" {
        /// Authorize the amount, and keep it reserved.
        Hold = "hold",
        /// Capture the amount, or a part of it.
        Capture = "capture",
        /// Release the authorization.
        Release = "release",
    }

    /// The state of a refund. `failed` is terminal. A succeeded refund can still fail, if the cardholder's bank returns the money.
    pub enum RefundState as "RefundStatus" {
        /// The refund was or will be requested.
        Pending = "pending",
        /// The money was returned to the rider.
        Succeeded = "succeeded",
        /// The provider or the bank refused; the amount can be refunded again.
        Failed = "failed",
    }

    /// The state of the dispute of a charge.
    pub enum DisputeState {
        /// The cardholder's bank has taken the money back, and the case is not decided.
        Open = "open",
        /// Decided for the platform, which has the money again.
        Won = "won",
        /// Decided for the cardholder.
        Lost = "lost",
    }

    /// What a hint of the provider is about.
    pub enum Hint {
        /// The payment intent. One that has ended never changes.
        Intent = "intent",
        /// The charge, a refund or a dispute. A captured payment can be disputed, and a succeeded refund can fail.
        Charge = "charge",
    }

    /// What an event of a payment's history is.
    pub enum PaymentEventKind {
        /// The state when histories were introduced, of a payment that is older.
        Recorded = "recorded",
        /// The payment was opened.
        Opened = "opened",
        /// The trip set the goal. The state changes with it if the amount is reserved already.
        GoalSet = "goal_set",
        /// The result of a provider call, or an operator's decision, changed the state.
        StateChanged = "state_changed",
        /// A refund was requested.
        RefundRequested = "refund_requested",
        /// A refund succeeded.
        RefundSucceeded = "refund_succeeded",
        /// A refund failed.
        RefundFailed = "refund_failed",
    }

    /// A call that changes something at the provider.
    pub enum ProviderOperation {
        /// Create an unconfirmed payment intent. No money moves.
        Create = "create",
        /// Authorize the amount.
        Confirm = "confirm",
        /// Capture the authorized amount, or a part of it.
        Capture = "capture",
        /// Cancel the payment intent, and release its authorization.
        Cancel = "cancel",
        /// Return money.
        Refund = "refund",
    }

    /// The result of an attempt at a call.
    pub enum AttemptOutcome {
        /// Committed, and not finished.
        Started = "started",
        /// The provider did it.
        Succeeded = "succeeded",
        /// The provider refused, and did nothing.
        Declined = "declined",
        /// The call did not reach the provider, or the provider did not process it.
        NotSent = "not_sent",
        /// Done or not done: neither a success nor a failure.
        Unknown = "unknown",
    }
}

impl PaymentState {
    /// Returns whether the state never changes again.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Captured | Self::Declined | Self::Voided | Self::AuthExpired | Self::CaptureFailed => true,
            Self::Authorizing | Self::Authorized | Self::Capturing | Self::Voiding => false,
        }
    }
}

impl DisputeState {
    /// Returns the state of a charge with these disputes: it counts as lost or won once none of them is open.
    pub fn most_severe(disputes: impl Iterator<Item = Self>) -> Option<Self> {
        disputes.min_by_key(|dispute| match dispute {
            Self::Open => 0,
            Self::Lost => 1,
            Self::Won => 2,
        })
    }
}

/// What the trip wants of a payment. It leaves [`Goal::Hold`] once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Authorize the amount, and keep it reserved.
    Hold,
    /// Capture this many minor units, at most the payment's amount.
    Capture(i64),
    /// Release the authorization.
    Release,
}

impl Goal {
    /// Returns the goal without its amount.
    pub const fn kind(self) -> GoalKind {
        match self {
            Self::Hold => GoalKind::Hold,
            Self::Capture(_) => GoalKind::Capture,
            Self::Release => GoalKind::Release,
        }
    }

    /// Returns the amount to capture.
    pub const fn capture_amount(self) -> Option<i64> {
        match self {
            Self::Capture(amount) => Some(amount),
            Self::Hold | Self::Release => None,
        }
    }
}

/// One sum that one rider owes for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The payment's id.
    pub id: PaymentId,
    /// The trip.
    pub trip_id: TripId,
    /// The rider who pays.
    pub rider_id: RiderId,
    /// The recipient of a tip; `None` for every other purpose.
    pub driver_id: Option<DriverId>,
    /// What the payment is for.
    pub purpose: PaymentPurpose,
    /// The payment that this one replaces, because it lost its authorization or was declined.
    pub replaces: Option<PaymentId>,
    /// What is known.
    pub state: PaymentState,
    /// What the trip wants.
    pub goal: Goal,
    /// The amount requested from the provider.
    pub amount: Money,
    /// The amount that the provider reserved, whether or not it is still reserved.
    pub authorized: i64,
    /// The captured amount, refunds not deducted.
    pub captured: i64,
    /// The sum of the pending and the succeeded refunds.
    pub refund_reserved: i64,
    /// The sum of the succeeded refunds.
    pub refunded: i64,
    /// The provider's payment method, `pm_…`. Never logged.
    pub method: String,
    /// The provider's payment intent, `pi_…`, once known.
    pub provider_intent_id: Option<String>,
    /// The provider's reason for the refusal. Before the end: the payment fails once its intent is cancelled.
    pub decline_code: Option<String>,
    /// The dispute of its charge; `None` if it was never disputed.
    pub dispute: Option<DisputeState>,
    /// Why an operator must review the payment; `None`: no review is needed.
    pub needs_review: Option<String>,
    /// Inconclusive calls in a row.
    pub failures: i16,
    /// The fencing token of the latest lease.
    pub lease_token: i64,
    /// The number of changes, published as the `ETag`.
    pub version: i64,
    /// The trace of what last asked for work on it.
    pub trace_id: Option<String>,
}

impl Payment {
    /// Returns `amount` in the payment's currency.
    pub fn money(&self, amount: i64) -> Money {
        Money::new(amount, self.amount.currency)
    }

    /// Returns what can still be refunded.
    pub fn refundable(&self) -> i64 {
        self.captured - self.refund_reserved
    }

    /// Returns the dispute for which the provider refuses refunds, if there is one: it has not been won.
    pub fn open_dispute(&self) -> Option<DisputeState> {
        self.dispute.filter(|dispute| *dispute != DisputeState::Won)
    }

    /// Returns the debt that a payment in a terminal state leaves: what it did not capture. A tip leaves none.
    pub fn missing(&self) -> i64 {
        match self.goal {
            Goal::Capture(wanted) if self.state.is_terminal() && self.purpose != PaymentPurpose::Tip => {
                (wanted - self.captured).max(0)
            }
            Goal::Capture(_) | Goal::Hold | Goal::Release => 0,
        }
    }
}

/// The return of a part of a captured payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The refund's id.
    pub id: RefundId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The trip of the payment.
    pub trip_id: TripId,
    /// The payment's intent at the provider, which a captured payment has.
    pub provider_intent_id: Option<String>,
    /// The amount.
    pub amount: i64,
    /// What is known.
    pub state: RefundState,
    /// The provider's refund, `re_…`, once known.
    pub provider_refund_id: Option<String>,
    /// Why the refund failed.
    pub failure_code: Option<String>,
    /// Why an operator must review the refund; `None`: no review is needed.
    pub needs_review: Option<String>,
    /// Inconclusive calls in a row.
    pub failures: i16,
    /// An operator allows a second key, should the provider not list the refund that was requested under the first.
    pub allow_new_key: bool,
    /// The fencing token of the latest lease.
    pub lease_token: i64,
    /// The trace of what last asked for work on it.
    pub trace_id: Option<String>,
}

/// The pool of permits that the provider calls of a payment or a refund take. An authorization has a deadline, and a rider waits for
/// it. So it never waits for a call that can be made later (`docs/decisions/authorizations-first.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPool {
    /// Authorizations of holds, with their look-ups.
    Authorizations,
    /// Everything else: captures, cancellations, refunds, tips and debts, with their look-ups.
    Settlement,
}

impl CallPool {
    /// All values.
    pub const ALL: [Self; 2] = [Self::Authorizations, Self::Settlement];

    /// Returns the pool of a payment. The queries in `store/leases.rs` say the same in SQL.
    pub fn of(state: PaymentState, goal: Goal) -> Self {
        if state == PaymentState::Authorizing && goal == Goal::Hold { Self::Authorizations } else { Self::Settlement }
    }

    /// Returns the label in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorizations => "authorizations",
            Self::Settlement => "settlement",
        }
    }

    /// Returns the wake of the worker that leases for this pool.
    pub const fn wake(self) -> Wake {
        match self {
            Self::Authorizations => Wake::Authorizations,
            Self::Settlement => Wake::Settlement,
        }
    }
}

/// The latest of the attempts at one call whose result is unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedAttempt {
    /// The `Idempotency-Key` that was sent.
    pub key: String,
    /// Whether the provider answered, though inconclusively. It replays that answer under the key, and no call is in flight.
    pub answered: bool,
    /// When the first attempt under this key was made.
    pub since: MachineTime,
    /// When the latest attempt under this key was made.
    pub last: MachineTime,
}

/// Counts one more inconclusive call, and asks for a review after [`FAILURES_MAX`] of them.
pub(super) fn count_failure(failures: &mut i16, needs_review: &mut Option<String>, why: &str) {
    *failures = failures.saturating_add(1);
    if *failures >= FAILURES_MAX {
        *needs_review = Some(format!("{failures} calls in a row without a result: {why}"));
    }
}

/// Counts one more inconclusive call, and asks for a review at once: the provider has rejected the call, and no retry may help.
pub(super) fn count_rejection(failures: &mut i16, needs_review: &mut Option<String>, why: String) {
    *failures = failures.saturating_add(1);
    *needs_review = Some(why);
}

/// Inconclusive calls in a row (about five minutes) after which the payment or refund needs review. The calls continue.
const FAILURES_MAX: i16 = 12;
