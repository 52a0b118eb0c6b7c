//! The well-known test payment methods and what becomes of a confirmation with each.
//!
//! Names and outcomes are those of the Stripe documentation's page "Testing"; a decline is accepted with and without
//! a brand in its name (`pm_card_chargeDeclined`, `pm_card_visa_chargeDeclined`).

use crate::faults::Fault;

/// What the card's bank says to a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// It agrees.
    Approves,
    /// It wants to see the cardholder first (3-D Secure).
    Challenges,
    /// It refuses.
    Declines(Decline),
}

/// Why a bank refuses, in the provider's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decline {
    /// The error's `code`.
    pub code: &'static str,
    /// The bank's own reason, `decline_code`; absent where `code` says it all.
    pub decline_code: Option<&'static str>,
    /// What a person may be shown.
    pub message: &'static str,
}

const DECLINED_MESSAGE: &str = "Your card was declined.";

/// The decline of a card that wants a challenge, where nobody is there to answer one (`off_session`).
pub const AUTHENTICATION_REQUIRED: Decline = Decline {
    code: "authentication_required",
    decline_code: Some("authentication_required"),
    message: "Your card was declined. This transaction requires authentication.",
};

const APPROVING: [&str; 11] = [
    "visa",
    "visa_debit",
    "mastercard",
    "mastercard_debit",
    "mastercard_prepaid",
    "amex",
    "discover",
    "diners",
    "jcb",
    "unionpay",
    "us",
];

const CHALLENGING: [&str; 3] = ["authenticationRequired", "threeDSecure2Required", "threeDSecureRequired"];

/// The card behind a test payment method such as `pm_card_visa`, or nothing if there is no such method.
pub fn look_up(payment_method: &str) -> Option<Card> {
    if Fault::of_payment_method(payment_method).is_some() {
        // The card is good; it is the provider that has a bad day.
        return Some(Card::Approves);
    }
    let name = payment_method.strip_prefix("pm_card_")?;
    if APPROVING.contains(&name) {
        return Some(Card::Approves);
    }
    if CHALLENGING.contains(&name) {
        return Some(Card::Challenges);
    }
    let reason = name.strip_prefix("visa_").unwrap_or(name).strip_prefix("chargeDeclined")?;
    decline(reason).map(Card::Declines)
}

fn decline(reason: &str) -> Option<Decline> {
    let declined =
        |decline_code| Decline { code: "card_declined", decline_code: Some(decline_code), message: DECLINED_MESSAGE };
    Some(match reason {
        "" => declined("generic_decline"),
        "LostCard" => declined("lost_card"),
        "StolenCard" => declined("stolen_card"),
        "Fraudulent" => declined("fraudulent"),
        "VelocityLimitExceeded" => declined("card_velocity_exceeded"),
        "InsufficientFunds" => {
            Decline { message: "Your card has insufficient funds.", ..declined("insufficient_funds") }
        }
        "ExpiredCard" => Decline { code: "expired_card", decline_code: None, message: "Your card has expired." },
        "IncorrectCvc" => {
            Decline { code: "incorrect_cvc", decline_code: None, message: "Your card's security code is incorrect." }
        }
        "ProcessingError" => Decline {
            code: "processing_error",
            decline_code: None,
            message: "An error occurred while processing your card. Try again in a little bit.",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_decline_is_known_with_and_without_its_brand() {
        let plain = look_up("pm_card_chargeDeclinedInsufficientFunds").unwrap();
        assert_eq!(plain, look_up("pm_card_visa_chargeDeclinedInsufficientFunds").unwrap());
        let Card::Declines(decline) = plain else { panic!("{plain:?} is no decline") };
        assert_eq!(decline.decline_code, Some("insufficient_funds"));
    }

    #[test]
    fn a_method_that_nobody_knows_is_no_card() {
        for unknown in ["", "pm_", "pm_card_", "pm_visa", "visa", "pm_card_chargeDeclinedForFun", "tok_visa"] {
            assert_eq!(look_up(unknown), None, "{unknown}");
        }
    }
}
