//! The valid amounts of a currency. The protocol counts in the smallest unit of the currency; for a zero-decimal
//! currency, such as the yen, that is the currency itself.
//!
//! Source: Stripe's documentation, "Supported currencies": *three-decimal currencies* and *special cases*.

use crate::api_error::ApiError;
use crate::model::Minor;

/// Counted in thousandths, but only whole hundredths are valid: 5.120 dinars, not 5.124.
const THREE_DECIMALS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];
/// Without a minor unit, but counted in hundredths for backward compatibility.
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

/// Checks that `amount` is valid in the currency, which is three lower-case letters.
///
/// # Errors
/// 400 with the name of the parameter.
pub fn check(amount: Minor, currency: &str, param: &str) -> Result<(), ApiError> {
    let step = smallest_step(currency);
    if amount % step == 0 {
        return Ok(());
    }
    let message = format!("Amounts in {currency} are multiples of {step}.");
    Err(ApiError::invalid(message).code("parameter_invalid_integer").param(param))
}
