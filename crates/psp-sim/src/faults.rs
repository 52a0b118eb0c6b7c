//! The provider's bad days: what can go wrong, with which requests, and how often.
//!
//! A fault is planned in one of two ways. A plan (`PUT /sim/faults`, [`crate::plan`]) strikes whoever comes by. A caller
//! plans one for itself: `metadata[sim_fault]=capture:hang_after` on an intent or a request strikes that step, and
//! paying with `pm_sim_hang_after` strikes the confirmation, or with `pm_sim_lost` the events.
//!
//! Faults are grouped by what they touch, and at most one of each group strikes a request, so that a slow request can
//! also be cut, and a failed one answered with half a body. A further kind is a variant here and an arm where its group
//! strikes: `weather.rs` (pace, door), `provider.rs` (work) or `webhooks.rs` (schedule, stamp).

use std::time::Duration;

use serde::de::IntoDeserializer;
use serde::de::value::Error as NotAName;
use serde::{Deserialize, Serialize};

use crate::cards::{self, Decline};
use crate::model::Intent;
use crate::params::Params;

/// The metadata key by which a caller plans a fault: `<step>:<kind>`, or `<step>:<kind>:<milliseconds or decline code>`.
const METADATA_KEY: &str = "sim_fault";

/// What a fault strikes: a step of the protocol, or the delivery of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A new intent.
    Create,
    /// An intent's confirmation.
    Confirm,
    /// Taking an intent's money.
    Capture,
    /// Giving an intent up.
    Cancel,
    /// A refund.
    Refund,
    /// A look-up by id.
    Get,
    /// One page of a list.
    List,
    /// An event's delivery.
    Webhook,
    /// Every request; no deliveries.
    Any,
}

impl Step {
    fn covers(self, step: Self) -> bool {
        self == step || (self == Self::Any && step != Self::Webhook)
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The bank refuses a confirmation, whatever the card.
    Decline,
    /// Half of the delay passes before the effect, half after it.
    Latency,
    /// No effect; the connection is held, then closed.
    HangBefore,
    /// The effect; the connection is held, then closed.
    HangAfter,
    /// No effect; a 500, stored under the key and replayed.
    #[serde(rename = "error_500", alias = "500")]
    Error500,
    /// The effect, and a 500 all the same, stored and replayed: whoever takes it for a failure charges twice.
    #[serde(rename = "error_500_after", alias = "500_after")]
    Error500After,
    /// No effect; a 503 that is not stored.
    #[serde(rename = "error_503")]
    Error503,
    /// No effect; a 429 with `Retry-After`, not stored.
    RateLimited,
    /// No effect; the connection is closed at once.
    ResetBefore,
    /// The effect; the connection is closed at once.
    ResetAfter,
    /// The effect; the body breaks off half-way.
    Malformed,
    /// The effect; the answer's `status` is one that nobody knows.
    UnknownStatus,
    /// The event is never delivered.
    Lost,
    /// The event is held back for a while.
    Late,
    /// The event is delivered twice.
    Doubled,
    /// The event is held back until a younger one was delivered.
    Reordered,
    /// A delivery is signed with another secret.
    WrongSignature,
    /// A delivery is well signed, with a time stamp of long ago.
    OldTimeStamp,
}

/// What a kind of fault touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// How long a request takes.
    Pace,
    /// The connection and what is seen through it.
    Door,
    /// What is done, and stored under the key.
    Work,
    /// When, and how often, an event is delivered.
    Schedule,
    /// How one attempt to deliver is signed.
    Stamp,
}

impl Kind {
    /// What it touches.
    pub fn group(self) -> Group {
        match self {
            Self::Latency => Group::Pace,
            Self::HangBefore
            | Self::HangAfter
            | Self::Error503
            | Self::RateLimited
            | Self::ResetBefore
            | Self::ResetAfter
            | Self::Malformed
            | Self::UnknownStatus => Group::Door,
            Self::Decline | Self::Error500 | Self::Error500After => Group::Work,
            Self::Lost | Self::Late | Self::Doubled | Self::Reordered => Group::Schedule,
            Self::WrongSignature | Self::OldTimeStamp => Group::Stamp,
        }
    }

    /// Whether it strikes deliveries; the others strike requests.
    pub fn is_of_webhooks(self) -> bool {
        matches!(self.group(), Group::Schedule | Group::Stamp)
    }

    /// How long it takes unless told.
    fn default_ms(self) -> u64 {
        match self {
            // Longer than the ten seconds that a careful client waits.
            Self::HangBefore | Self::HangAfter => 12_000,
            Self::Latency | Self::RateLimited => 1_000,
            Self::Late | Self::Reordered => 5_000,
            // Twice the tolerance that Stripe's libraries have.
            Self::OldTimeStamp => 600_000,
            _ => 0,
        }
    }

    /// How long it may take; nothing for a kind that takes no time.
    fn ms_max(self) -> Option<u64> {
        match self {
            Self::OldTimeStamp => Some(86_400_000),
            _ if self.default_ms() > 0 => Some(DELAY_MS_MAX),
            _ => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        let name: serde::de::value::StrDeserializer<'_, NotAName> = name.into_deserializer();
        Self::deserialize(name).ok()
    }
}

/// Nothing is held longer than this: a hang that outlives the test that asked for it is of no use.
pub const DELAY_MS_MAX: u64 = 60_000;

/// A fault of a plan, as the control interface reads and shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What is struck.
    pub on: Step,
    /// How.
    pub kind: Kind,
    /// The probability of a strike.
    #[serde(default = "always")]
    pub share: f64,
    /// How often it strikes at most; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The only intent that is struck, with its refunds and events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<String>,
    /// A decline's reason; `generic_decline` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long it takes, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Latency's median, in milliseconds; its distribution is log-normal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// What one request in a hundred exceeds, in milliseconds; the median if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Checks what the types can't.
    ///
    /// # Errors
    /// The field at fault, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { on, kind, .. } = self;
        if (*on == Step::Webhook) != kind.is_of_webhooks() {
            return Err(("on", "deliveries have faults of their own: lost, late, doubled …".to_owned()));
        }
        let confirms = matches!(on, Step::Create | Step::Confirm | Step::Any);
        if *kind == Kind::Decline && !confirms {
            return Err(("on", "only a confirmation can be declined: confirm, create or any".to_owned()));
        }
        if kind.group() == Group::Work && matches!(on, Step::Get | Step::List) {
            return Err(("on", "a look-up has no work to fail; try error_503".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Err(("share", "a probability, from 0 to 1".to_owned()));
        }
        if self.decline().is_none() || (self.code.is_some() && *kind != Kind::Decline) {
            return Err(("code", "the decline code of a decline, such as insufficient_funds".to_owned()));
        }
        self.check_times()
    }

    fn check_times(&self) -> Result<(), (&'static str, String)> {
        let max = self.kind.ms_max();
        let of_latency = max.filter(|_| self.kind == Kind::Latency);
        for (name, ms, max) in
            [("ms", self.ms, max), ("p50_ms", self.p50_ms, of_latency), ("p99_ms", self.p99_ms, of_latency)]
        {
            match max {
                None if ms.is_some() => return Err((name, "this fault has no such time".to_owned())),
                Some(max) if ms > Some(max) => return Err((name, format!("at most {max}"))),
                _ => {}
            }
        }
        if self.p99_ms.is_some_and(|p99| p99 < self.median_ms()) {
            return Err(("p99_ms", "at least the median".to_owned()));
        }
        Ok(())
    }

    /// Latency's median, or how long another fault takes.
    pub fn median_ms(&self) -> u64 {
        self.p50_ms.or(self.ms).unwrap_or_else(|| self.kind.default_ms())
    }

    /// What the bank says, should this be a decline.
    pub fn decline(&self) -> Option<Decline> {
        cards::decline_of_code(self.code.as_deref().unwrap_or(cards::GENERIC))
    }
}

/// One fault, about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// What goes wrong.
    pub kind: Kind,
    /// How long it takes.
    pub delay: Duration,
    /// What the bank says, if it is a decline.
    pub decline: Decline,
}

impl Strike {
    /// A fault named by a caller, with its detail: milliseconds, or a decline code.
    fn named(kind: &str, detail: Option<&str>) -> Option<Self> {
        let kind = Kind::named(kind)?;
        let ms = detail.and_then(|detail| detail.parse().ok()).unwrap_or_else(|| kind.default_ms());
        let code = detail.filter(|_| kind == Kind::Decline).unwrap_or(cards::GENERIC);
        let delay = Duration::from_millis(ms.min(kind.ms_max().unwrap_or(0)));
        Some(Self { kind, delay, decline: cards::decline_of_code(code)? })
    }

    /// The fault that a magic payment method stands for: `pm_sim_error_500`, `pm_sim_decline_lost_card`.
    pub fn of_payment_method(payment_method: &str) -> Option<Self> {
        let name = payment_method.strip_prefix("pm_sim_")?;
        match name.strip_prefix("decline_") {
            Some(code) => Self::named("decline", Some(code)),
            None => Self::named(name, None),
        }
    }
}

/// The fault that a caller planned for this step: in the request's metadata, in the intent's, or by the method that a
/// confirmation would charge. Whether it is one that can strike there, is for whoever strikes to say.
pub fn planned_by_caller(step: Step, params: &Params, intent: Option<&Intent>) -> Option<Strike> {
    let of_request = params.peek("metadata[sim_fault]");
    let of_intent = intent.and_then(|intent| intent.metadata.get(METADATA_KEY)).map(String::as_str);
    let by_metadata = [of_request, of_intent].into_iter().flatten().find_map(|planned| {
        let (named, fault) = planned.split_once(':')?;
        let (kind, detail) = fault.split_once(':').map_or((fault, None), |(kind, detail)| (kind, Some(detail)));
        let named: serde::de::value::StrDeserializer<'_, NotAName> = named.into_deserializer();
        let struck = Step::deserialize(named).is_ok_and(|named| named.covers(step));
        if struck { Strike::named(kind, detail) } else { None }
    });
    by_metadata.or_else(|| {
        let charged = params.peek("payment_method");
        let charged = match step {
            // What was charged strikes its own events, too.
            Step::Webhook => intent?.payment_method.as_deref()?,
            Step::Create if params.peek("confirm") == Some("true") => charged?,
            Step::Confirm => charged.or_else(|| intent?.payment_method.as_deref())?,
            _ => return None,
        };
        Strike::of_payment_method(charged)
    })
}

/// What is about to happen, as far as faults care.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The step.
    pub step: Step,
    /// The intent that it is about, if it is known.
    pub payment_intent: Option<&'a str>,
    /// Whether a card is to be charged.
    pub charges: bool,
}

impl Occasion<'_> {
    /// Whether `fault` could strike here.
    pub fn is_struck_by(&self, fault: &Fault) -> bool {
        fault.on.covers(self.step)
            && fault.payment_intent.as_deref().is_none_or(|intent| Some(intent) == self.payment_intent)
            && self.allows(fault.kind)
    }

    /// Whether a fault of this kind means something here.
    pub fn allows(&self, kind: Kind) -> bool {
        kind != Kind::Decline || self.charges
    }
}
