//! Which amounts of a currency can be paid. The protocol counts in the currency's smallest unit, and amounts are never
//! converted here; for a zero-decimal currency, such as the yen, that unit is the currency itself.
//!
//! Source: Stripe's documentation, "Supported currencies": *three-decimal currencies* and *special cases*.

use crate::errors::ApiError;
use crate::model::Minor;

/// Counted in thousandths, of which whole hundredths are taken: 5.120 dinars, not 5.124.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Without a minor unit, counted in hundredths all the same, for compatibility with the past.
const WHOLE_ONLY: [&str; 2] = ["isk", "ugx"];

fn smallest_step(currency: &str) -> Minor {
    if THREE_DECIMALS.contains(&currency) {
        10
    } else if WHOLE_ONLY.contains(&currency) {
        100
    } else {
        1
    }
}

/// Checks that `amount` can be paid in the currency, three lower-case letters.
///
/// # Errors
/// 400 naming the parameter.
pub fn check(amount: Minor, currency: &str, param: &str) -> Result<(), ApiError> {
    let step = smallest_step(currency);
    if amount % step == 0 {
        return Ok(());
    }
    let message = format!("Amounts in {currency} are multiples of {step}.");
    Err(ApiError::invalid(message).code("parameter_invalid_integer").param(param))
}
