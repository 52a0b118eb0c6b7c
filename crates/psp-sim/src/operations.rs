//! The operations that change something: read from a request, then carried out on values.
//!
//! The two halves are the two halves of the idempotency rule. What [`Order::read`] refuses never began: its key stays
//! free. What [`Order::carry_out`] decides, good or bad, is stored under the key.

use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::books::Books;
use crate::cards::{self, Card, Decline};
use crate::clock::Dice;
use crate::errors::ApiError;
use crate::faults::{Occasion, Step};
use crate::machine::{Circumstances, Command, Done, Payment};
use crate::model::{CaptureMethod, Intent, Metadata, Minor, Refund, Stage, UnixSeconds};
use crate::params::Params;
use crate::{currencies, render};

/// A request that changes something, as it came.
#[derive(Debug)]
pub struct Request {
    /// `req_…`
    pub id: String,
    /// The idempotency key.
    pub key: Option<String>,
    /// What is asked for.
    pub target: Target,
    /// With what.
    pub params: Params,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A new intent.
    Create,
    /// That an intent be confirmed.
    Confirm(String),
    /// That an intent's money be taken.
    Capture(String),
    /// That an intent be given up.
    Cancel(String),
    /// A refund.
    Refund,
}

impl Target {
    fn path(&self) -> String {
        match self {
            Self::Create => "/v1/payment_intents".to_owned(),
            Self::Confirm(id) => format!("/v1/payment_intents/{id}/confirm"),
            Self::Capture(id) => format!("/v1/payment_intents/{id}/capture"),
            Self::Cancel(id) => format!("/v1/payment_intents/{id}/cancel"),
            Self::Refund => "/v1/refunds".to_owned(),
        }
    }
}

impl Request {
    /// The step, and the id of the intent that it is about, if that exists already.
    pub fn subject(&self) -> (Step, Option<&str>) {
        match &self.target {
            Target::Create => (Step::Create, None),
            Target::Confirm(id) => (Step::Confirm, Some(id)),
            Target::Capture(id) => (Step::Capture, Some(id)),
            Target::Cancel(id) => (Step::Cancel, Some(id)),
            Target::Refund => (Step::Refund, self.params.peek("payment_intent")),
        }
    }

    /// The endpoint that a key belongs to. All of them are POSTs.
    pub fn endpoint(&self) -> String {
        self.target.path()
    }

    /// A digest of the parameters, whatever their order.
    pub fn fingerprint(&self) -> String {
        let mut digest = Sha256::new();
        for text in self.params.canonical().flat_map(|(name, value)| [name, value]) {
            // The length keeps `a=bc` and `ab=c` apart.
            digest.update(text.len().to_le_bytes());
            digest.update(text);
        }
        hex::encode(digest.finalize())
    }
}

/// A request that makes sense: the intent as it is (or would be, if new), and what is to be done to it.
#[derive(Debug)]
pub struct Order {
    intent: Intent,
    command: Option<Command>,
    /// The request's own metadata, where the object is not the intent.
    metadata: Metadata,
    refund_reason: Option<String>,
}

/// What an order did.
#[derive(Debug)]
pub struct Effect {
    /// The intent as it is now.
    pub intent: Intent,
    /// The refund that was made.
    pub refund: Option<Refund>,
    /// What the machine did; nothing for an intent that was only created.
    pub done: Option<Done>,
}

/// Accepted because a real integration sends them and nothing depends on them here.
const IGNORED_ON_CREATE: [&str; 5] = [
    "automatic_payment_methods",
    "payment_method_types",
    "return_url",
    "statement_descriptor_suffix",
    "use_stripe_sdk",
];
const IGNORED_ON_CONFIRM: [&str; 2] = ["return_url", "use_stripe_sdk"];

impl Order {
    /// Reads a request, looking up what it names.
    ///
    /// # Errors
    /// 400 or 404: a parameter is wrong, missing or unknown, or names nothing.
    pub fn read(request: &Request, books: &Books, dice: &Dice, now_s: UnixSeconds) -> Result<Self, ApiError> {
        let mut params = request.params.clone();
        let order = match &request.target {
            Target::Create => read_create(&mut params, dice, now_s)?,
            Target::Confirm(id) => read_confirm(&mut params, find(books, id)?)?,
            Target::Capture(id) => {
                let intent = find(books, id)?;
                let amount = amount_of(&intent, &mut params, "amount_to_capture")?;
                Self::on(intent, Command::Capture { amount })
            }
            Target::Cancel(id) => {
                let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"];
                let reason = params.choice("cancellation_reason", &reasons)?;
                Self::on(find(books, id)?, Command::Cancel { reason })
            }
            Target::Refund => read_refund(&mut params, books)?,
        };
        params.finish()?;
        Ok(order)
    }

    fn on(intent: Intent, command: Command) -> Self {
        Self { intent, command: Some(command), metadata: Metadata::new(), refund_reason: None }
    }

    /// The expiry of what is reserved, which nobody asks for.
    pub fn expiry(intent: Intent) -> Self {
        Self::on(intent, Command::Expire)
    }

    /// What a fault may strike.
    pub fn occasion<'a>(&self, request: &'a Request) -> Occasion<'a> {
        let (step, payment_intent) = request.subject();
        let charges = matches!(self.command, Some(Command::Confirm { payment: Some(_), .. }))
            && self.intent.stage.is_confirmable();
        Occasion { step, payment_intent, charges }
    }

    /// Lets the bank refuse, should this order charge a card.
    pub fn decline(&mut self, decline: Decline) {
        if let Some(Command::Confirm { payment: Some(payment), .. }) = &mut self.command {
            payment.card = Card::Declines(decline);
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// 400: the intent's state or the amounts don't allow it.
    pub fn carry_out(self, key: Option<&str>, dice: &Dice, now_s: UnixSeconds) -> Result<Effect, ApiError> {
        let Some(command) = self.command else {
            return Ok(Effect { intent: self.intent, refund: None, done: None });
        };
        let charge = match &command {
            Command::Confirm { .. } => dice.id("ch"),
            _ => String::new(),
        };
        let circumstances = Circumstances { now_s, charge: &charge, idempotency_key: key };
        let (intent, done) = self
            .intent
            .apply(&command, circumstances)
            .map_err(|denied| ApiError::denied(denied, &command, &self.intent))?;
        let refund = match done {
            Done::Refunded(amount) => Some(Refund {
                id: dice.id("re"),
                amount,
                currency: intent.currency.clone(),
                payment_intent: intent.id.clone(),
                charge: intent.latest_charge().unwrap_or_default().to_owned(),
                reason: self.refund_reason,
                metadata: self.metadata,
                created_s: now_s,
                idempotency_key: key.map(str::to_owned),
            }),
            _ => None,
        };
        Ok(Effect { intent, refund, done: Some(done) })
    }
}

impl Effect {
    /// The answer that tells of it.
    pub fn answer(&self) -> Answer {
        match (&self.done, &self.refund) {
            (Some(Done::Refused(refusal)), _) => ApiError::declined(refusal, &self.intent).into(),
            (_, Some(refund)) => Answer::ok(render::refund(refund).to_string()),
            (_, None) => Answer::ok(render::payment_intent(&self.intent).to_string()),
        }
    }
}

fn find(books: &Books, id: &str) -> Result<Intent, ApiError> {
    let intent = books.intents().get(id).ok_or_else(|| ApiError::no_such(404, "payment_intent", id, "intent"))?;
    Ok(Intent::clone(intent))
}

/// An amount in the intent's currency.
fn amount_of(intent: &Intent, params: &mut Params, name: &str) -> Result<Option<Minor>, ApiError> {
    let amount = params.amount(name)?;
    amount.map_or(Ok(()), |amount| currencies::check(amount, &intent.currency, name))?;
    Ok(amount)
}

fn read_create(params: &mut Params, dice: &Dice, now_s: UnixSeconds) -> Result<Order, ApiError> {
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
    let id = dice.id("pi");
    let intent = Intent {
        client_secret: dice.id(&format!("{id}_secret")),
        id,
        amount,
        currency,
        capture_method,
        stage: match payment {
            Some(_) => Stage::RequiresConfirmation,
            None => Stage::RequiresPaymentMethod { refusal: None },
        },
        payment_method: payment.as_ref().map(|payment| payment.method.clone()),
        description,
        metadata,
        created_s: now_s,
        movements: Vec::new(),
    };
    Ok(Order {
        intent,
        command: confirm.then_some(Command::Confirm { payment, off_session }),
        metadata: Metadata::new(),
        refund_reason: None,
    })
}

fn read_confirm(params: &mut Params, intent: Intent) -> Result<Order, ApiError> {
    let method = params.text("payment_method")?.or_else(|| intent.payment_method.clone());
    let payment = payment(method)?;
    let off_session = params.flag("off_session")?;
    params.ignore(&IGNORED_ON_CONFIRM);
    Ok(Order::on(intent, Command::Confirm { payment, off_session }))
}

fn read_refund(params: &mut Params, books: &Books) -> Result<Order, ApiError> {
    let id = params.required("payment_intent")?;
    let intent = find(books, &id).map_err(|_| ApiError::no_such(400, "payment_intent", &id, "payment_intent"))?;
    let amount = amount_of(&intent, params, "amount")?;
    let refund_reason = params.choice("reason", &["duplicate", "fraudulent", "requested_by_customer"])?;
    let metadata = params.metadata()?;
    Ok(Order { metadata, refund_reason, ..Order::on(intent, Command::Refund { amount }) })
}

fn payment(method: Option<String>) -> Result<Option<Payment>, ApiError> {
    let Some(method) = method else {
        return Ok(None);
    };
    let card =
        cards::look_up(&method).ok_or_else(|| ApiError::no_such(400, "PaymentMethod", &method, "payment_method"))?;
    Ok(Some(Payment { method, card }))
}
