//! The provider's bad days: which fault strikes a request, and where.
//!
//! A fault is planned by the caller, either for one step of one payment, `metadata[sim_fault]=capture:500` (in the
//! request's metadata or in the intent's), or by paying with `pm_sim_500`, which strikes the confirmation. Everything
//! that a fault can do to a request happens in `provider.rs`, which asks [`planned`] once: a
//! further kind of fault is a variant here and an arm there.

use crate::model::Metadata;

/// The metadata key that plans a fault: `<step>:<fault>`.
pub const METADATA_KEY: &str = "sim_fault";

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answer 500 instead of doing the work. The answer is stored under the idempotency key, as Stripe does it.
    Error500,
    /// Do the work, then answer 500 all the same: whoever takes it for a failure charges twice. Stored as well.
    Error500After,
}

impl Fault {
    fn named(name: &str) -> Option<Self> {
        match name {
            "500" => Some(Self::Error500),
            "500_after" => Some(Self::Error500After),
            _ => None,
        }
    }

    /// The fault that the magic payment method stands for: `pm_sim_500`, `pm_sim_500_after`.
    pub fn of_payment_method(payment_method: &str) -> Option<Self> {
        Self::named(payment_method.strip_prefix("pm_sim_")?)
    }
}

/// What a request is about, as far as faults care. `step` is `create`, `confirm`, `capture`, `cancel` or `refund`.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The step that is asked for.
    pub step: &'static str,
    /// The metadata of the request and of the intent, in that order.
    pub metadata: [&'a Metadata; 2],
    /// The payment method that a confirmation would charge; nothing for the other steps.
    pub payment_method: Option<&'a str>,
}

/// The fault planned for this occasion, if any.
pub fn planned(occasion: &Occasion<'_>) -> Option<Fault> {
    let by_metadata = occasion.metadata.iter().find_map(|metadata| {
        let (step, fault) = metadata.get(METADATA_KEY)?.split_once(':')?;
        if step == occasion.step { Fault::named(fault) } else { None }
    });
    by_metadata.or_else(|| Fault::of_payment_method(occasion.payment_method?))
}
