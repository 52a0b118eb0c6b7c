//! A fault: as the control interface plans it, and as a caller asks for it.
//!
//! A plan (`PUT /sim/faults`, [`crate::fault_plan`]) injects faults into everyone's requests. A caller asks for a fault
//! of its own: `metadata[sim_fault]=capture:hang_after` on an intent or a request injects it at that step; paying with
//! `pm_sim_hang_after` injects it at the confirmation, and with `pm_sim_lost` into the events.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cards::{self, Card, Decline};
use crate::fault_kinds::{FaultGroup, FaultKind, FaultStep};
use crate::model::Intent;
use crate::params::Params;

/// The metadata key with which a caller asks for a fault. Its value is `<step>:<kind>`, or `<step>:<kind>:<detail>` with
/// milliseconds or a decline code.
const METADATA_KEY: &str = "sim_fault";

/// A fault of a plan, as JSON of the control interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub on: FaultStep,
    pub kind: FaultKind,
    /// The probability, from 0 to 1.
    #[serde(default = "always")]
    pub share: f64,
    /// The most injections; no limit if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// The only intent affected, with its refunds and events; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_intent: Option<String>,
    /// The decline code, `generic_decline` if absent; or the error code of `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The duration in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// The median of a log-normal latency, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<u64>,
    /// The 99th percentile of a log-normal latency, in milliseconds; the median if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<u64>,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// Checks the combination of fields.
    ///
    /// # Errors
    /// The invalid field, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Self { on, kind, .. } = self;
        if (*on == FaultStep::Webhook) != kind.is_of_webhooks() {
            return Err((
                "on",
                "webhook takes only faults of deliveries (lost, late, doubled …), other steps only faults of requests"
                    .to_owned(),
            ));
        }
        if let Some(steps) = kind.own_steps().filter(|steps| *on != FaultStep::Any && !steps.contains(on)) {
            let steps: Vec<_> = steps.iter().map(|step| step.as_str()).collect();
            return Err(("on", format!("{} needs one of the steps {} or any", kind.as_str(), steps.join(", "))));
        }
        if kind.group() == FaultGroup::Execution && matches!(on, FaultStep::Get | FaultStep::List) {
            return Err((
                "on",
                "get and list change nothing, so that this fault does not apply; use error_503".to_owned(),
            ));
        }
        if !(0.0..=1.0).contains(&self.share) {
            return Err(("share", "must be a probability from 0 to 1".to_owned()));
        }
        self.check_code()?;
        self.check_times()
    }

    fn check_code(&self) -> Result<(), (&'static str, String)> {
        let message = match self.kind {
            FaultKind::Decline if self.decline().is_some() => return Ok(()),
            FaultKind::Decline => "must be a decline code such as insufficient_funds".to_owned(),
            FaultKind::Rejected if self.rejection().is_some() => return Ok(()),
            FaultKind::Rejected => format!("must be one of {}", REJECTIONS.join(", ")),
            _ if self.code.is_none() => return Ok(()),
            _ => "is only for decline and rejected".to_owned(),
        };
        Err(("code", message))
    }

    fn check_times(&self) -> Result<(), (&'static str, String)> {
        let max = self.kind.ms_max();
        let of_latency = max.filter(|_| self.kind == FaultKind::Latency);
        for (name, ms, max) in
            [("ms", self.ms, max), ("p50_ms", self.p50_ms, of_latency), ("p99_ms", self.p99_ms, of_latency)]
        {
            match max {
                None if ms.is_some() => return Err((name, "this kind of fault does not have this field".to_owned())),
                Some(max) if ms > Some(max) => return Err((name, format!("must be at most {max}"))),
                _ => {}
            }
        }
        if self.p99_ms.is_some_and(|p99| p99 < self.median_ms()) {
            return Err(("p99_ms", "must be at least the median".to_owned()));
        }
        Ok(())
    }

    /// The median of a latency, or the duration of another fault, in milliseconds.
    pub fn median_ms(&self) -> u64 {
        self.p50_ms.or(self.ms).unwrap_or_else(|| self.kind.default_ms())
    }

    /// The decline; none if the code is unknown.
    pub fn decline(&self) -> Option<Decline> {
        let code = self.code.as_deref().filter(|_| self.kind == FaultKind::Decline);
        cards::decline_of_code(code.unwrap_or(cards::GENERIC))
    }

    /// The error code of a rejection; none if the code is unknown.
    pub fn rejection(&self) -> Option<&'static str> {
        rejection_of_code(self.code.as_deref().filter(|_| self.kind == FaultKind::Rejected))
    }
}

/// The error codes of [`FaultKind::Rejected`]; the first unless the fault names one.
const REJECTIONS: [&str; 6] = [
    "payment_intent_invalid_parameter",
    "parameter_unknown",
    "lock_timeout",
    "charge_expired_for_capture",
    "capture_charge_authorization_expired",
    "payment_intent_unexpected_state",
];

/// The known error code, or the first one.
fn rejection_of_code(code: Option<&str>) -> Option<&'static str> {
    let wanted = code.unwrap_or(REJECTIONS[0]);
    REJECTIONS.into_iter().find(|known| *known == wanted)
}

/// A fault to inject now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injection {
    pub kind: FaultKind,
    pub delay: Duration,
    /// The decline, for that kind.
    pub decline: Decline,
    /// The error code, for `rejected`.
    pub rejection: &'static str,
}

impl Injection {
    /// The fault with this name and detail: milliseconds, or a decline code.
    fn parse(kind: &str, detail: Option<&str>) -> Option<Self> {
        let kind = FaultKind::parse(kind)?;
        let ms = detail.and_then(|detail| detail.parse().ok()).unwrap_or_else(|| kind.default_ms());
        let code = detail.filter(|_| kind == FaultKind::Decline).unwrap_or(cards::GENERIC);
        let delay = Duration::from_millis(ms.min(kind.ms_max().unwrap_or(0)));
        let rejection = rejection_of_code(detail.filter(|_| kind == FaultKind::Rejected))?;
        Some(Self { kind, delay, decline: cards::decline_of_code(code)?, rejection })
    }

    /// The fault of a payment method: `pm_sim_error_500`, `pm_sim_decline_lost_card`.
    pub fn of_payment_method(payment_method: &str) -> Option<Self> {
        let name = payment_method.strip_prefix("pm_sim_")?;
        match name.strip_prefix("decline_") {
            Some(code) => Self::parse("decline", Some(code)),
            None => Self::parse(name, None),
        }
    }
}

/// The card of a test payment method; that of a fault (`pm_sim_hang_after`) approves.
pub fn card_of(payment_method: &str) -> Option<Card> {
    let of_fault = || Injection::of_payment_method(payment_method).map(|_| Card::Approves);
    cards::look_up(payment_method).or_else(of_fault)
}

/// The fault that the caller asked for at this step: in the metadata of the request or of the intent, or by the payment
/// method of a confirmation. [`crate::fault_plan::FaultPlan::inject`] checks whether its group applies.
pub fn caller_fault(step: FaultStep, params: &Params, intent: Option<&Intent>) -> Option<Injection> {
    let of_request = params.peek("metadata[sim_fault]");
    let of_intent = intent.and_then(|intent| intent.metadata.get(METADATA_KEY)).map(String::as_str);
    let by_metadata = [of_request, of_intent].into_iter().flatten().find_map(|planned| {
        let (named, fault) = planned.split_once(':')?;
        let (kind, detail) = fault.split_once(':').map_or((fault, None), |(kind, detail)| (kind, Some(detail)));
        let applies = FaultStep::parse(named).is_some_and(|named| named.covers(step));
        if applies { Injection::parse(kind, detail) } else { None }
    });
    by_metadata.or_else(|| {
        let charged = params.peek("payment_method");
        let charged = match step {
            // The payment method of the intent affects its events too.
            FaultStep::Webhook => intent?.payment_method.as_deref()?,
            FaultStep::Create if params.peek("confirm") == Some("true") => charged?,
            FaultStep::Confirm => charged.or_else(|| intent?.payment_method.as_deref())?,
            _ => return None,
        };
        Injection::of_payment_method(charged)
    })
}

/// A point at which a fault can be injected.
#[derive(Debug, Clone, Copy)]
pub struct InjectionPoint<'a> {
    pub step: FaultStep,
    /// The intent, if it is known.
    pub payment_intent: Option<&'a str>,
    /// Whether a card is charged.
    pub charges_card: bool,
}

impl InjectionPoint<'_> {
    /// Whether `fault` applies here.
    pub fn matches(&self, fault: &Fault) -> bool {
        fault.on.covers(self.step)
            && fault.payment_intent.as_deref().is_none_or(|intent| Some(intent) == self.payment_intent)
            && self.allows(fault.kind)
    }

    /// Whether a fault of this kind applies here.
    pub fn allows(&self, kind: FaultKind) -> bool {
        match kind {
            FaultKind::Decline => self.charges_card,
            kind => kind.own_steps().is_none_or(|steps| steps.contains(&self.step)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = include_str!("../README.md");

    #[test]
    fn readme_table_lists_every_kind_in_order() {
        let rows = README.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let kinds: Vec<FaultKind> = rows.filter_map(|(name, _)| FaultKind::parse(name)).collect();
        assert_eq!(kinds, FaultKind::ALL);
    }

    #[test]
    fn documented_sim_methods_exist() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        for (method, _) in rows.filter(|(method, _)| method.starts_with("pm_sim_")) {
            assert!(card_of(method).is_some(), "{method}");
        }
    }
}
