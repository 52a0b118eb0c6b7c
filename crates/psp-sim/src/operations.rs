//! The operations that change something: read from a request, then applied to values.
//!
//! The two steps are those of the idempotency rule. A request that [`Operation::read`] rejects stores nothing, so its key
//! can be used again. The result of [`Operation::apply`], success or error, is stored under the key.

use crate::api_error::ApiError;
use crate::cards::{Card, Decline};
use crate::faults::{InjectionPoint, card_of};
use crate::model::{CaptureMethod, Dispute, DisputeStatus, Intent, IntentStatus, Metadata, Minor, Refund, UnixSeconds};
use crate::params::Params;
use crate::random::RandomSource;
use crate::records::Records;
use crate::request::{Request, Target};
use crate::response::Response;
use crate::state_machine::{Command, CommandContext, Payment, Transition};
use crate::{currencies, render};

/// A valid request: the stored or new intent, and the command on it.
#[derive(Debug)]
pub struct Operation {
    intent: Intent,
    command: Option<Command>,
    /// The metadata of a refund.
    metadata: Metadata,
    refund_reason: Option<String>,
    /// The refund that fails.
    refund: Option<Refund>,
    /// The dispute that is decided.
    dispute: Option<Dispute>,
}

#[derive(Debug)]
pub struct Effect {
    pub intent: Intent,
    pub refund: Option<Refund>,
    pub dispute: Option<Dispute>,
    /// The transition; none for an intent that was only created.
    pub transition: Option<Transition>,
}

/// Parameters that real integrations send, accepted and ignored.
const IGNORED_ON_CREATE: [&str; 5] = [
    "automatic_payment_methods",
    "payment_method_types",
    "return_url",
    "statement_descriptor_suffix",
    "use_stripe_sdk",
];
const IGNORED_ON_CONFIRM: [&str; 2] = ["return_url", "use_stripe_sdk"];

impl Operation {
    /// Reads a request, and looks up its intent.
    ///
    /// # Errors
    /// 400 or 404: a parameter is invalid, missing or unknown, or names no object.
    pub fn read(
        request: &Request,
        records: &Records,
        random: &RandomSource,
        now_s: UnixSeconds,
    ) -> Result<Self, ApiError> {
        let mut params = request.params.clone();
        let operation = match &request.target {
            Target::Create => read_create(&mut params, random, now_s)?,
            Target::Confirm(id) => read_confirm(&mut params, find(records, id)?)?,
            Target::Capture(id) => {
                let intent = find(records, id)?;
                let amount = amount_of(&intent, &mut params, "amount_to_capture")?;
                Self::on(intent, Command::Capture { amount })
            }
            Target::Cancel(id) => {
                let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
                let reason = params.choice("cancellation_reason", &reasons)?;
                Self::on(find(records, id)?, Command::Cancel { reason })
            }
            Target::Refund => read_refund(&mut params, records)?,
        };
        params.finish()?;
        Ok(operation)
    }

    fn on(intent: Intent, command: Command) -> Self {
        Self {
            intent,
            command: Some(command),
            metadata: Metadata::new(),
            refund_reason: None,
            refund: None,
            dispute: None,
        }
    }

    /// The expiry of an authorization, which no request asks for.
    pub fn expiry(intent: Intent) -> Self {
        Self::on(intent, Command::Expire)
    }

    /// The failure of a refund, which no request asks for.
    pub fn refund_failure(intent: Intent, refund: Refund) -> Self {
        let command = Command::FailRefund { amount: refund.amount };
        Self { refund: Some(refund), ..Self::on(intent, command) }
    }

    /// A dispute, or the decision of the open one, which no request asks for.
    pub fn dispute(intent: Intent, open: Option<Dispute>, status: DisputeStatus) -> Self {
        let command = match status {
            DisputeStatus::NeedsResponse => Command::Dispute,
            DisputeStatus::Won => Command::CloseDispute { won: true },
            DisputeStatus::Lost => Command::CloseDispute { won: false },
        };
        Self { dispute: open, ..Self::on(intent, command) }
    }

    /// The point at which a fault of the execution can be injected.
    pub fn injection_point<'a>(&self, request: &'a Request) -> InjectionPoint<'a> {
        let (step, payment_intent) = request.subject();
        let charges_card = matches!(self.command, Some(Command::Confirm { payment: Some(_), .. }))
            && self.intent.status.is_confirmable();
        InjectionPoint { step, payment_intent, charges_card }
    }

    /// Makes the bank decline if this operation charges a card.
    pub fn decline(&mut self, decline: Decline) {
        if let Some(Command::Confirm { payment: Some(payment), .. }) = &mut self.command {
            payment.card = Card::Declines(decline);
        }
    }

    /// Applies the command.
    ///
    /// # Errors
    /// 400: the status or the amounts do not allow the command.
    pub fn apply(self, key: Option<&str>, random: &RandomSource, now_s: UnixSeconds) -> Result<Effect, ApiError> {
        let Some(command) = self.command else {
            return Ok(Effect { intent: self.intent, refund: None, dispute: None, transition: None });
        };
        let charge = match &command {
            Command::Confirm { .. } => random.id("ch"),
            _ => String::new(),
        };
        let context = CommandContext { now_s, charge: &charge, idempotency_key: key };
        let (intent, transition) =
            self.intent.apply(&command, context).map_err(|error| ApiError::command(error, &command, &self.intent))?;
        let charge = || intent.latest_charge().unwrap_or_default().to_owned();
        let dispute = match transition {
            Transition::Disputed => Some(Dispute {
                id: random.id("du"),
                amount: intent.received(),
                currency: intent.currency.clone(),
                payment_intent: intent.id.clone(),
                charge: charge(),
                status: DisputeStatus::NeedsResponse,
                created_s: now_s,
            }),
            Transition::DisputeClosed(won) => self
                .dispute
                .map(|open| Dispute { status: if won { DisputeStatus::Won } else { DisputeStatus::Lost }, ..open }),
            _ => None,
        };
        let refund = match transition {
            Transition::RefundFailed => self
                .refund
                .map(|refund| Refund { failure_reason: Some("expired_or_canceled_card".to_owned()), ..refund }),
            Transition::Refunded(amount) => Some(Refund {
                id: random.id("re"),
                amount,
                currency: intent.currency.clone(),
                payment_intent: intent.id.clone(),
                charge: charge(),
                reason: self.refund_reason,
                metadata: self.metadata,
                created_s: now_s,
                idempotency_key: key.map(str::to_owned),
                failure_reason: None,
            }),
            _ => None,
        };
        Ok(Effect { intent, refund, dispute, transition: Some(transition) })
    }
}

impl Effect {
    pub fn response(&self) -> Response {
        match (&self.transition, &self.refund) {
            (Some(Transition::Declined(failure)), _) => ApiError::declined(failure, &self.intent).into(),
            (_, Some(refund)) => Response::ok(render::refund(refund).to_string()),
            (_, None) => {
                let intent = || render::payment_intent(&self.intent);
                Response::ok(self.dispute.as_ref().map_or_else(intent, render::dispute).to_string())
            }
        }
    }
}

fn find(records: &Records, id: &str) -> Result<Intent, ApiError> {
    let intent = records.intents().get(id).ok_or_else(|| ApiError::no_such(404, "payment_intent", id, "intent"))?;
    Ok(Intent::clone(intent))
}

/// An amount in the intent's currency.
fn amount_of(intent: &Intent, params: &mut Params, name: &str) -> Result<Option<Minor>, ApiError> {
    let amount = params.amount(name)?;
    amount.map_or(Ok(()), |amount| currencies::check(amount, &intent.currency, name))?;
    Ok(amount)
}

fn read_create(params: &mut Params, random: &RandomSource, now_s: UnixSeconds) -> Result<Operation, ApiError> {
    let amount = params.amount("amount")?.ok_or_else(|| ApiError::missing("amount"))?;
    let currency = params.required("currency")?.to_ascii_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(ApiError::invalid(format!("Invalid currency: {currency}.")).param("currency"));
    }
    currencies::check(amount, &currency, "amount")?;
    let capture_method = match params.choice("capture_method", &["automatic", "manual"])?.as_deref() {
        Some("manual") => CaptureMethod::Manual,
        _ => CaptureMethod::Automatic,
    };
    let payment = payment(params.text("payment_method")?)?;
    let off_session = params.flag("off_session")?;
    let confirm = params.flag("confirm")?;
    if confirm && payment.is_none() {
        return Err(ApiError::missing("payment_method"));
    }
    let description = params.text("description")?;
    let metadata = params.metadata()?;
    params.ignore(&IGNORED_ON_CREATE);
    let id = random.id("pi");
    let intent = Intent {
        client_secret: random.id(&format!("{id}_secret")),
        id,
        amount,
        currency,
        capture_method,
        status: match payment {
            Some(_) => IntentStatus::RequiresConfirmation,
            None => IntentStatus::RequiresPaymentMethod { failure: None },
        },
        payment_method: payment.as_ref().map(|payment| payment.method.clone()),
        description,
        metadata,
        created_s: now_s,
        disputed: false,
        movements: Vec::new(),
    };
    let command = confirm.then_some(Command::Confirm { payment, off_session });
    Ok(Operation { intent, command, metadata: Metadata::new(), refund_reason: None, refund: None, dispute: None })
}

fn read_confirm(params: &mut Params, intent: Intent) -> Result<Operation, ApiError> {
    let method = params.text("payment_method")?.or_else(|| intent.payment_method.clone());
    let payment = payment(method)?;
    let off_session = params.flag("off_session")?;
    params.ignore(&IGNORED_ON_CONFIRM);
    Ok(Operation::on(intent, Command::Confirm { payment, off_session }))
}

fn read_refund(params: &mut Params, records: &Records) -> Result<Operation, ApiError> {
    let id = params.required("payment_intent")?;
    let intent = find(records, &id).map_err(|_| ApiError::no_such(400, "payment_intent", &id, "payment_intent"))?;
    let amount = amount_of(&intent, params, "amount")?;
    let refund_reason = params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let metadata = params.metadata()?;
    Ok(Operation { metadata, refund_reason, ..Operation::on(intent, Command::Refund { amount }) })
}

fn payment(method: Option<String>) -> Result<Option<Payment>, ApiError> {
    let Some(method) = method else {
        return Ok(None);
    };
    let card = card_of(&method).ok_or_else(|| ApiError::no_such(400, "PaymentMethod", &method, "payment_method"))?;
    Ok(Some(Payment { method, card }))
}
