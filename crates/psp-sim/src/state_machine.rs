//! The state machine of a payment intent: pure functions over values, without clock, random numbers or I/O.
//!
//! ```text
//! requires_payment_method ─┐           (manual)    ┌─▶ requires_capture ──capture─┐
//! requires_confirmation ───┼─confirm───────────────┤                              ▼
//! requires_action ─────────┘           (automatic) └──────────────────────────▶ succeeded ◀─┐
//!                                                                                 └──refund──┘
//! ```
//!
//! A declined confirmation leads to `requires_payment_method`, a challenged one to `requires_action`. A cancellation
//! leads from every status but `succeeded` to `canceled`; so does the expiry of an authorization.

use crate::cards::{AUTHENTICATION_REQUIRED, Card};
use crate::model::{CaptureMethod, Intent, IntentStatus, Minor, Movement, MovementKind, PaymentFailure, UnixSeconds};

/// A command on an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Capture the amount, or authorize it.
    Confirm {
        /// The payment method; without one the confirmation fails.
        payment: Option<Payment>,
        /// The cardholder cannot complete a challenge.
        off_session: bool,
    },
    /// Capture the authorized money, or a part of it; the rest is released.
    Capture {
        /// The amount; all if absent.
        amount: Option<Minor>,
    },
    /// Cancel, and release the authorization.
    Cancel { reason: Option<String> },
    /// Release the expired authorization; a command of the provider itself.
    Expire,
    /// Refund captured money.
    Refund {
        /// The amount; all that is left if absent.
        amount: Option<Minor>,
    },
    /// A refund of this amount has failed: the bank returned the money.
    FailRefund { amount: Minor },
    /// The cardholder's bank disputes the charge.
    Dispute,
    /// The dispute is decided.
    CloseDispute { won: bool },
}

/// A payment method, and the card behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The method's id, `pm_…`.
    pub method: String,
    /// The behavior of its bank.
    pub card: Card,
}

impl Command {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Confirm { .. } => "confirm",
            Self::Capture { .. } => "capture",
            Self::Cancel { .. } => "cancel",
            Self::Expire => "expire",
            Self::Refund { .. } => "refund",
            Self::FailRefund { .. } => "fail a refund of",
            Self::Dispute => "dispute",
            Self::CloseDispute { .. } => "close the dispute of",
        }
    }
}

/// The transition that a command made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transition {
    Authorized,
    Captured,
    /// The bank requires a challenge.
    ChallengeRequired,
    /// The bank declined, and the intent needs another payment method.
    Declined(PaymentFailure),
    Canceled,
    Expired,
    Refunded(Minor),
    RefundFailed,
    Disputed,
    /// The dispute was decided; whether it was won.
    DisputeClosed(bool),
}

/// Why a command was rejected; the intent is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandError {
    /// The status does not allow the command.
    State,
    NoPaymentMethod,
    /// The amount exceeds the authorization.
    CaptureTooLarge {
        capturable: Minor,
    },
    AlreadyRefunded,
    /// The charge is disputed.
    Disputed,
    /// The amount exceeds what is left to refund.
    RefundTooLarge {
        refundable: Minor,
    },
}

/// The `cancellation_reason` of an expired authorization.
const EXPIRED_REASON: &str = "automatic";

/// The inputs of a command that are not in the intent.
#[derive(Debug, Clone, Copy)]
pub struct CommandContext<'a> {
    /// The time.
    pub now_s: UnixSeconds,
    /// The id for a new charge.
    pub charge: &'a str,
    /// The idempotency key, for the movements.
    pub idempotency_key: Option<&'a str>,
}

impl Intent {
    /// Applies `command`: returns the intent after it, with its movements, and the transition.
    ///
    /// # Errors
    /// [`CommandError`] if the status or the amounts do not allow the command.
    pub fn apply(&self, command: &Command, context: CommandContext<'_>) -> Result<(Self, Transition), CommandError> {
        let (mut after, transition) = self.step(command, context)?;
        let movements = self.movements_of(&transition, after.received()).into_iter().filter(|(_, amount)| *amount > 0);
        after.movements.extend(movements.map(|(kind, amount)| Movement {
            kind,
            amount,
            at: context.now_s,
            idempotency_key: context.idempotency_key.map(str::to_owned),
        }));
        Ok((after, transition))
    }

    /// The movements of money of a transition of this intent.
    fn movements_of(&self, transition: &Transition, received: Minor) -> Vec<(MovementKind, Minor)> {
        use MovementKind::{Authorized, Captured, Expired, Released};
        match transition {
            Transition::Authorized => vec![(Authorized, self.amount)],
            Transition::Captured if self.capturable() > 0 => {
                vec![(Captured, received), (Released, self.capturable() - received)]
            }
            Transition::Captured => vec![(Authorized, received), (Captured, received)],
            Transition::Canceled => vec![(Released, self.capturable())],
            Transition::Expired => vec![(Expired, self.capturable())],
            // The movement of a refund is the refund itself.
            Transition::Refunded(_)
            | Transition::RefundFailed
            | Transition::Disputed
            | Transition::DisputeClosed(_)
            | Transition::ChallengeRequired
            | Transition::Declined(_) => vec![],
        }
    }

    fn step(&self, command: &Command, context: CommandContext<'_>) -> Result<(Self, Transition), CommandError> {
        use IntentStatus::{RequiresAction, RequiresConfirmation, RequiresPaymentMethod};
        match (&self.status, command) {
            (
                RequiresPaymentMethod { .. } | RequiresConfirmation | RequiresAction,
                Command::Confirm { payment, off_session },
            ) => {
                let payment = payment.as_ref().ok_or(CommandError::NoPaymentMethod)?;
                Ok(self.confirm(payment, *off_session, context.charge))
            }
            (IntentStatus::RequiresCapture { charge }, Command::Capture { amount }) => {
                let received = amount.unwrap_or(self.amount);
                if received > self.amount {
                    return Err(CommandError::CaptureTooLarge { capturable: self.amount });
                }
                Ok((self.succeeded(charge, received, 0), Transition::Captured))
            }
            (
                RequiresPaymentMethod { .. }
                | RequiresConfirmation
                | RequiresAction
                | IntentStatus::RequiresCapture { .. },
                Command::Cancel { reason },
            ) => {
                let charge = self.latest_charge().map(str::to_owned);
                let at_s = context.now_s;
                Ok((
                    self.with_status(IntentStatus::Canceled { at_s, reason: reason.clone(), charge }),
                    Transition::Canceled,
                ))
            }
            (IntentStatus::RequiresCapture { charge }, Command::Expire) => {
                let (at_s, reason) = (context.now_s, Some(EXPIRED_REASON.to_owned()));
                Ok((
                    self.with_status(IntentStatus::Canceled { at_s, reason, charge: Some(charge.clone()) }),
                    Transition::Expired,
                ))
            }
            (IntentStatus::Succeeded { charge, received, refunded }, Command::Refund { amount }) => {
                let refundable = received - refunded;
                if self.disputed {
                    return Err(CommandError::Disputed);
                }
                if refundable == 0 {
                    return Err(CommandError::AlreadyRefunded);
                }
                let back = amount.unwrap_or(refundable);
                if back > refundable {
                    return Err(CommandError::RefundTooLarge { refundable });
                }
                Ok((self.succeeded(charge, *received, refunded + back), Transition::Refunded(back)))
            }
            (IntentStatus::Succeeded { charge, received, refunded }, Command::FailRefund { amount })
                if amount <= refunded =>
            {
                Ok((self.succeeded(charge, *received, refunded - amount), Transition::RefundFailed))
            }
            (IntentStatus::Succeeded { .. }, Command::Dispute) if !self.disputed => {
                Ok((Self { disputed: true, ..self.clone() }, Transition::Disputed))
            }
            (IntentStatus::Succeeded { .. }, Command::CloseDispute { won }) if self.disputed => {
                Ok((Self { disputed: !won, ..self.clone() }, Transition::DisputeClosed(*won)))
            }
            // Every other pair. The snapshot test prints the whole grid, so that it shows a new status.
            _ => Err(CommandError::State),
        }
    }

    fn confirm(&self, payment: &Payment, off_session: bool, charge: &str) -> (Self, Transition) {
        let with_method = Self { payment_method: Some(payment.method.clone()), ..self.clone() };
        let decline = match payment.card {
            Card::Approves => return with_method.approve(charge),
            Card::Challenges if !off_session => {
                return (with_method.with_status(IntentStatus::RequiresAction), Transition::ChallengeRequired);
            }
            Card::Challenges => AUTHENTICATION_REQUIRED,
            Card::Declines(decline) => decline,
        };
        let failure = PaymentFailure::new(decline, &payment.method, charge);
        let status = IntentStatus::RequiresPaymentMethod { failure: Some(failure.clone()) };
        (Self { payment_method: None, ..self.with_status(status) }, Transition::Declined(failure))
    }

    fn approve(&self, charge: &str) -> (Self, Transition) {
        match self.capture_method {
            CaptureMethod::Automatic => (self.succeeded(charge, self.amount, 0), Transition::Captured),
            CaptureMethod::Manual => {
                (self.with_status(IntentStatus::RequiresCapture { charge: charge.to_owned() }), Transition::Authorized)
            }
        }
    }

    fn succeeded(&self, charge: &str, received: Minor, refunded: Minor) -> Self {
        self.with_status(IntentStatus::Succeeded { charge: charge.to_owned(), received, refunded })
    }

    fn with_status(&self, status: IntentStatus) -> Self {
        Self { status, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards;
    use crate::model::Metadata;

    const AMOUNT: Minor = 1000;

    fn intent(capture_method: CaptureMethod, status: IntentStatus) -> Intent {
        Intent {
            id: "pi_1".to_owned(),
            client_secret: "pi_1_secret_1".to_owned(),
            amount: AMOUNT,
            currency: "usd".to_owned(),
            capture_method,
            payment_method: None,
            description: None,
            metadata: Metadata::new(),
            created_s: 0,
            status,
            disputed: false,
            movements: Vec::new(),
        }
    }

    fn statuses() -> Vec<(&'static str, IntentStatus)> {
        let charge = || "ch_0".to_owned();
        let succeeded = |received, refunded| IntentStatus::Succeeded { charge: charge(), received, refunded };
        let canceled = IntentStatus::Canceled { at_s: 5, reason: None, charge: Some(charge()) };
        vec![
            ("requires_payment_method", IntentStatus::RequiresPaymentMethod { failure: None }),
            ("requires_confirmation", IntentStatus::RequiresConfirmation),
            ("requires_action", IntentStatus::RequiresAction),
            ("requires_capture", IntentStatus::RequiresCapture { charge: charge() }),
            ("succeeded", succeeded(AMOUNT, 0)),
            ("succeeded, 600 captured", succeeded(600, 0)),
            ("succeeded, 400 refunded", succeeded(AMOUNT, 400)),
            ("succeeded, all refunded", succeeded(AMOUNT, AMOUNT)),
            ("canceled", canceled),
        ]
    }

    fn commands() -> Vec<(&'static str, Command)> {
        let confirm = |method: &str, off_session| {
            let card = cards::look_up(method);
            let payment = card.map(|card| Payment { method: method.to_owned(), card });
            Command::Confirm { payment, off_session }
        };
        vec![
            ("confirm", confirm("pm_card_visa", false)),
            ("confirm, nothing to charge", confirm("", false)),
            ("confirm, declined", confirm("pm_card_chargeDeclined", false)),
            ("confirm, challenged", confirm("pm_card_authenticationRequired", false)),
            ("confirm, challenged, off session", confirm("pm_card_authenticationRequired", true)),
            ("capture", Command::Capture { amount: None }),
            ("capture 600", Command::Capture { amount: Some(600) }),
            ("capture 1001", Command::Capture { amount: Some(1001) }),
            ("cancel", Command::Cancel { reason: Some("abandoned".to_owned()) }),
            ("expire", Command::Expire),
            ("refund", Command::Refund { amount: None }),
            ("refund 600", Command::Refund { amount: Some(600) }),
            ("refund 1001", Command::Refund { amount: Some(1001) }),
            ("fail a refund of 400", Command::FailRefund { amount: 400 }),
            ("dispute", Command::Dispute),
            ("close a dispute", Command::CloseDispute { won: true }),
        ]
    }

    fn describe(outcome: Result<(Intent, Transition), CommandError>) -> String {
        match outcome {
            Err(rejected) => format!("✗ {rejected:?}"),
            Ok((after, Transition::Declined(failure))) => {
                format!("{}, declined: {} {:?}", after.status.name(), failure.code, failure.decline_code)
            }
            Ok((after, transition)) => format!(
                "{}, {transition:?}: capturable {}, received {}, refunded {}, charge {:?}",
                after.status.name(),
                after.capturable(),
                after.received(),
                after.refunded(),
                after.latest_charge(),
            ),
        }
    }

    #[test]
    fn every_command_in_every_status() {
        let mut grid = String::new();
        let context = CommandContext { now_s: 9, charge: "ch_1", idempotency_key: None };
        for capture_method in [CaptureMethod::Manual, CaptureMethod::Automatic] {
            for (state, status) in statuses() {
                grid += &format!("{state} ({capture_method:?})\n");
                let intent = intent(capture_method, status);
                for (name, command) in commands() {
                    let outcome = describe(intent.apply(&command, context));
                    grid += &format!("    {name:<34}{outcome}\n");
                }
            }
        }
        insta::assert_snapshot!(grid);
    }
}
