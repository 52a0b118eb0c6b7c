//! The well-known test payment methods and what becomes of a confirmation with each.
//!
//! Names and outcomes are those of the Stripe documentation's page "Testing"; a decline is accepted with and without
//! a brand in its name (`pm_card_chargeDeclined`, `pm_card_visa_chargeDeclined`).

use crate::faults::Strike;

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

/// The decline code of a bank that doesn't say why.
pub const GENERIC: &str = "generic_decline";
/// What a bank says that doesn't say why.
pub const GENERIC_DECLINE: Decline = bank_says(GENERIC);

/// A decline whose reason is the bank's own: the code is `card_declined`.
const fn bank_says(decline_code: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message: "Your card was declined." }
}

/// A decline for which the provider has a code.
const fn provider_says(code: &'static str, message: &'static str) -> Decline {
    Decline { code, decline_code: None, message }
}

/// The declines: the end of the test method's name, where there is one (`pm_card_chargeDeclined…`), the name by which a
/// fault asks for it, and what is said.
const DECLINES: [(Option<&str>, &str, Decline); 18] = [
    (Some(""), GENERIC, GENERIC_DECLINE),
    (
        Some("InsufficientFunds"),
        "insufficient_funds",
        Decline { message: "Your card has insufficient funds.", ..bank_says("insufficient_funds") },
    ),
    (Some("LostCard"), "lost_card", bank_says("lost_card")),
    (Some("StolenCard"), "stolen_card", bank_says("stolen_card")),
    (Some("Fraudulent"), "fraudulent", bank_says("fraudulent")),
    (Some("VelocityLimitExceeded"), "card_velocity_exceeded", bank_says("card_velocity_exceeded")),
    (Some("ExpiredCard"), "expired_card", provider_says("expired_card", "Your card has expired.")),
    (Some("IncorrectCvc"), "incorrect_cvc", provider_says("incorrect_cvc", "Your card's security code is incorrect.")),
    (
        Some("ProcessingError"),
        "processing_error",
        provider_says("processing_error", "An error occurred while processing your card. Try again in a little bit."),
    ),
    (None, "authentication_required", AUTHENTICATION_REQUIRED),
    (None, "call_issuer", bank_says("call_issuer")),
    (None, "card_not_supported", bank_says("card_not_supported")),
    (None, "currency_not_supported", bank_says("currency_not_supported")),
    (None, "do_not_honor", bank_says("do_not_honor")),
    (None, "issuer_not_available", bank_says("issuer_not_available")),
    (None, "pickup_card", bank_says("pickup_card")),
    (None, "transaction_not_allowed", bank_says("transaction_not_allowed")),
    (None, "try_again_later", bank_says("try_again_later")),
];

/// The decline with this code, or nothing if there is no such code.
pub fn decline_of_code(code: &str) -> Option<Decline> {
    DECLINES.iter().find(|(_, known, _)| *known == code).map(|(_, _, decline)| *decline)
}

/// The card behind a test payment method such as `pm_card_visa`, or nothing if there is no such method.
pub fn look_up(payment_method: &str) -> Option<Card> {
    if payment_method == "pm_sim_requires_action" {
        return Some(Card::Challenges);
    }
    if Strike::of_payment_method(payment_method).is_some() {
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
    let known = DECLINES.iter().find(|(method, ..)| *method == Some(reason));
    known.map(|(_, _, decline)| Card::Declines(*decline))
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
    fn the_documented_methods_are_these_and_do_what_is_said() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `pm_"));
        let rows: Vec<Vec<_>> =
            rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect();
        for row in &rows {
            let (method, what, code) = (row[1], row[2], row[3]);
            match look_up(method).unwrap() {
                Card::Approves => assert!(what.starts_with("approved"), "{method}"),
                Card::Challenges => assert!(what.starts_with("wants the cardholder"), "{method}"),
                Card::Declines(decline) => {
                    assert_eq!((what, code), ("declined", decline.decline_code.unwrap_or(decline.code)), "{method}");
                }
            }
        }
        let declines = DECLINES.iter().filter_map(|(end, ..)| end.map(|end| format!("chargeDeclined{end}")));
        let all = APPROVING.iter().chain(&CHALLENGING).map(|&name| name.to_owned()).chain(declines);
        for name in all.map(|name| format!("pm_card_{name}")) {
            assert!(rows.iter().any(|row| row[1] == name), "{name} is not in docs/sandbox.md");
        }
    }

    #[test]
    fn a_method_that_nobody_knows_is_no_card() {
        for unknown in ["", "pm_", "pm_card_", "pm_visa", "visa", "pm_card_chargeDeclinedForFun", "tok_visa"] {
            assert_eq!(look_up(unknown), None, "{unknown}");
        }
    }
}
