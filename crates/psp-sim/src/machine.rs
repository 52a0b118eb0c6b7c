//! The life of a payment intent, as pure functions over values: no clock, no dice, no I/O.
//!
//! ```text
//! requires_payment_method ─┐           (manual)    ┌─▶ requires_capture ──capture─┐
//! requires_confirmation ───┼─confirm───────────────┤                              ▼
//! requires_action ─────────┘           (automatic) └──────────────────────────▶ succeeded ◀─┐
//!                                                                                 └──refund──┘
//! ```
//!
//! A declined confirmation leads to `requires_payment_method`, a challenged one to `requires_action`; a cancellation
//! leads from everywhere but `succeeded` to `canceled`, and so does the expiry of what is reserved.

use crate::cards::{AUTHENTICATION_REQUIRED, Card};
use crate::model::{CaptureMethod, Intent, Minor, Movement, MovementKind, Refusal, Stage, UnixSeconds};

/// What a caller can ask of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Charge the method, or reserve the amount on it.
    Confirm {
        /// What is charged; the machine refuses a confirmation without.
        payment: Option<Payment>,
        /// The cardholder isn't there to answer a challenge.
        off_session: bool,
    },
    /// Take the reserved money, or a part of it; the rest is released.
    Capture {
        /// How much; everything if absent.
        amount: Option<Minor>,
    },
    /// Give up, releasing what is reserved.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// Release what nobody took in time; the provider's own command.
    Expire,
    /// Give taken money back.
    Refund {
        /// How much; everything that is left if absent.
        amount: Option<Minor>,
    },
}

/// A payment method, and the card behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The method's id, `pm_…`.
    pub method: String,
    /// How its bank behaves.
    pub card: Card,
}

impl Command {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Confirm { .. } => "confirm",
            Self::Capture { .. } => "capture",
            Self::Cancel { .. } => "cancel",
            Self::Expire => "expire",
            Self::Refund { .. } => "refund",
        }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The amount is reserved.
    Reserved,
    /// The money was taken.
    Taken,
    /// The bank wants to see the cardholder.
    Challenged,
    /// The bank refused. The intent changed all the same: it needs another method now.
    Refused(Refusal),
    /// The intent is over.
    Canceled,
    /// The intent is over, because its time was.
    Expired,
    /// So much went back.
    Refunded(Minor),
}

/// Why a command can't be done; the intent is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The state doesn't allow the command.
    State,
    /// There is nothing to charge.
    NoPaymentMethod,
    /// More than is reserved.
    CaptureTooLarge {
        /// What is reserved.
        capturable: Minor,
    },
    /// Everything went back already.
    AlreadyRefunded,
    /// More than is left.
    RefundTooLarge {
        /// What is left.
        refundable: Minor,
    },
}

/// The `cancellation_reason` of an authorisation that nobody captured in time.
const EXPIRED_REASON: &str = "automatic";

/// What the machine can't know by itself.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The time.
    pub now_s: UnixSeconds,
    /// The id for a charge, should one be made.
    pub charge: &'a str,
    /// The key of the request, for the books.
    pub idempotency_key: Option<&'a str>,
}

impl Intent {
    /// Does `command`: the intent as it is afterwards, its movements included, and what was done.
    ///
    /// # Errors
    /// [`Denied`] if the state or the amounts don't allow it.
    pub fn apply(&self, command: &Command, circumstances: Circumstances<'_>) -> Result<(Self, Done), Denied> {
        let (mut after, done) = self.step(command, circumstances)?;
        let moved = self.moved(&done, after.received()).into_iter().filter(|(_, amount)| *amount > 0);
        after.movements.extend(moved.map(|(kind, amount)| Movement {
            kind,
            amount,
            at: circumstances.now_s,
            idempotency_key: circumstances.idempotency_key.map(str::to_owned),
        }));
        Ok((after, done))
    }

    /// How money moved in what was done to this intent.
    fn moved(&self, done: &Done, received: Minor) -> Vec<(MovementKind, Minor)> {
        use MovementKind::{Authorized, Captured, Expired, Released};
        match done {
            Done::Reserved => vec![(Authorized, self.amount)],
            Done::Taken if self.capturable() > 0 => {
                vec![(Captured, received), (Released, self.capturable() - received)]
            }
            Done::Taken => vec![(Authorized, received), (Captured, received)],
            Done::Canceled => vec![(Released, self.capturable())],
            Done::Expired => vec![(Expired, self.capturable())],
            // What goes back is in the refund.
            Done::Refunded(_) | Done::Challenged | Done::Refused(_) => vec![],
        }
    }

    fn step(&self, command: &Command, circumstances: Circumstances<'_>) -> Result<(Self, Done), Denied> {
        use Stage::{RequiresAction, RequiresConfirmation, RequiresPaymentMethod};
        match (&self.stage, command) {
            (
                RequiresPaymentMethod { .. } | RequiresConfirmation | RequiresAction,
                Command::Confirm { payment, off_session },
            ) => {
                let payment = payment.as_ref().ok_or(Denied::NoPaymentMethod)?;
                Ok(self.confirm(payment, *off_session, circumstances.charge))
            }
            (Stage::RequiresCapture { charge }, Command::Capture { amount }) => {
                let received = amount.unwrap_or(self.amount);
                if received > self.amount {
                    return Err(Denied::CaptureTooLarge { capturable: self.amount });
                }
                Ok((self.taken(charge, received, 0), Done::Taken))
            }
            (
                RequiresPaymentMethod { .. } | RequiresConfirmation | RequiresAction | Stage::RequiresCapture { .. },
                Command::Cancel { reason },
            ) => {
                let charge = self.latest_charge().map(str::to_owned);
                let at_s = circumstances.now_s;
                Ok((self.at(Stage::Canceled { at_s, reason: reason.clone(), charge }), Done::Canceled))
            }
            (Stage::RequiresCapture { charge }, Command::Expire) => {
                let (at_s, reason) = (circumstances.now_s, Some(EXPIRED_REASON.to_owned()));
                Ok((self.at(Stage::Canceled { at_s, reason, charge: Some(charge.clone()) }), Done::Expired))
            }
            (Stage::Succeeded { charge, received, refunded }, Command::Refund { amount }) => {
                let refundable = received - refunded;
                if refundable == 0 {
                    return Err(Denied::AlreadyRefunded);
                }
                let back = amount.unwrap_or(refundable);
                if back > refundable {
                    return Err(Denied::RefundTooLarge { refundable });
                }
                Ok((self.taken(charge, *received, refunded + back), Done::Refunded(back)))
            }
            // Every other pair. The test prints the whole grid, so that a new state can't hide here.
            _ => Err(Denied::State),
        }
    }

    fn confirm(&self, payment: &Payment, off_session: bool, charge: &str) -> (Self, Done) {
        let with_method = Self { payment_method: Some(payment.method.clone()), ..self.clone() };
        let decline = match payment.card {
            Card::Approves => return with_method.approve(charge),
            Card::Challenges if !off_session => {
                return (with_method.at(Stage::RequiresAction), Done::Challenged);
            }
            Card::Challenges => AUTHENTICATION_REQUIRED,
            Card::Declines(decline) => decline,
        };
        let refusal = Refusal::new(decline, &payment.method, charge);
        let stage = Stage::RequiresPaymentMethod { refusal: Some(refusal.clone()) };
        (Self { payment_method: None, ..self.at(stage) }, Done::Refused(refusal))
    }

    fn approve(&self, charge: &str) -> (Self, Done) {
        match self.capture_method {
            CaptureMethod::Automatic => (self.taken(charge, self.amount, 0), Done::Taken),
            CaptureMethod::Manual => (self.at(Stage::RequiresCapture { charge: charge.to_owned() }), Done::Reserved),
        }
    }

    fn taken(&self, charge: &str, received: Minor, refunded: Minor) -> Self {
        self.at(Stage::Succeeded { charge: charge.to_owned(), received, refunded })
    }

    fn at(&self, stage: Stage) -> Self {
        Self { stage, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards;
    use crate::model::Metadata;

    const AMOUNT: Minor = 1000;

    fn intent(capture_method: CaptureMethod, stage: Stage) -> Intent {
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
            stage,
            movements: Vec::new(),
        }
    }

    fn stages() -> Vec<(&'static str, Stage)> {
        let charge = || "ch_0".to_owned();
        let taken = |received, refunded| Stage::Succeeded { charge: charge(), received, refunded };
        let canceled = Stage::Canceled { at_s: 5, reason: None, charge: Some(charge()) };
        vec![
            ("requires_payment_method", Stage::RequiresPaymentMethod { refusal: None }),
            ("requires_confirmation", Stage::RequiresConfirmation),
            ("requires_action", Stage::RequiresAction),
            ("requires_capture", Stage::RequiresCapture { charge: charge() }),
            ("succeeded", taken(AMOUNT, 0)),
            ("succeeded, 600 taken", taken(600, 0)),
            ("succeeded, 400 refunded", taken(AMOUNT, 400)),
            ("succeeded, all refunded", taken(AMOUNT, AMOUNT)),
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
        ]
    }

    fn describe(outcome: Result<(Intent, Done), Denied>) -> String {
        match outcome {
            Err(denied) => format!("✗ {denied:?}"),
            Ok((after, Done::Refused(refusal))) => {
                format!("{}, refused: {} {:?}", after.stage.name(), refusal.code, refusal.decline_code)
            }
            Ok((after, done)) => format!(
                "{}, {done:?}: capturable {}, received {}, refunded {}, charge {:?}",
                after.stage.name(),
                after.capturable(),
                after.received(),
                after.refunded(),
                after.latest_charge(),
            ),
        }
    }

    #[test]
    fn the_whole_grid() {
        let mut grid = String::new();
        let circumstances = Circumstances { now_s: 9, charge: "ch_1", idempotency_key: None };
        for capture_method in [CaptureMethod::Manual, CaptureMethod::Automatic] {
            for (state, stage) in stages() {
                grid += &format!("{state} ({capture_method:?})\n");
                let intent = intent(capture_method, stage);
                for (name, command) in commands() {
                    let outcome = describe(intent.apply(&command, circumstances));
                    grid += &format!("    {name:<34}{outcome}\n");
                }
            }
        }
        insta::assert_snapshot!(grid);
    }
}
