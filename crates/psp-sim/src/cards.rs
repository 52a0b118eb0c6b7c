//! Stripe's test payment methods, and the result of a confirmation with each.
//!
//! Names and results are those of the Stripe documentation's page "Testing". A declining method works with and without
//! a brand in its name (`pm_card_chargeDeclined`, `pm_card_visa_chargeDeclined`).

/// How the card's bank responds to a confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    Approves,
    /// The bank requires a challenge (3-D Secure).
    Challenges,
    Declines(Decline),
}

/// The reason of a decline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decline {
    /// The error's `code`.
    pub code: &'static str,
    /// The bank's reason, `decline_code`; absent where `code` is specific.
    pub decline_code: Option<&'static str>,
    /// The message for the cardholder.
    pub message: &'static str,
}

/// The decline of a card that requires a challenge in a payment without the cardholder (`off_session`).
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

/// The decline code of a bank that gives no reason.
pub const GENERIC: &str = "generic_decline";
/// The decline of a bank that gives no reason.
pub const GENERIC_DECLINE: Decline = bank_decline(GENERIC);

/// A decline with the code `card_declined` and a reason of the bank.
const fn bank_decline(decline_code: &'static str) -> Decline {
    Decline { code: "card_declined", decline_code: Some(decline_code), message: "Your card was declined." }
}

/// A decline with a code of its own.
const fn coded_decline(code: &'static str, message: &'static str) -> Decline {
    Decline { code, decline_code: None, message }
}

/// The declines: the end of the test method's name (`pm_card_chargeDeclined…`) if it has one, the name for faults, and
/// the decline.
const DECLINES: [(Option<&str>, &str, Decline); 18] = [
    (Some(""), GENERIC, GENERIC_DECLINE),
    (
        Some("InsufficientFunds"),
        "insufficient_funds",
        Decline { message: "Your card has insufficient funds.", ..bank_decline("insufficient_funds") },
    ),
    (Some("LostCard"), "lost_card", bank_decline("lost_card")),
    (Some("StolenCard"), "stolen_card", bank_decline("stolen_card")),
    (Some("Fraudulent"), "fraudulent", bank_decline("fraudulent")),
    (Some("VelocityLimitExceeded"), "card_velocity_exceeded", bank_decline("card_velocity_exceeded")),
    (Some("ExpiredCard"), "expired_card", coded_decline("expired_card", "Your card has expired.")),
    (Some("IncorrectCvc"), "incorrect_cvc", coded_decline("incorrect_cvc", "Your card's security code is incorrect.")),
    (
        Some("ProcessingError"),
        "processing_error",
        coded_decline("processing_error", "An error occurred while processing your card. Try again in a little bit."),
    ),
    (None, "authentication_required", AUTHENTICATION_REQUIRED),
    (None, "call_issuer", bank_decline("call_issuer")),
    (None, "card_not_supported", bank_decline("card_not_supported")),
    (None, "currency_not_supported", bank_decline("currency_not_supported")),
    (None, "do_not_honor", bank_decline("do_not_honor")),
    (None, "issuer_not_available", bank_decline("issuer_not_available")),
    (None, "pickup_card", bank_decline("pickup_card")),
    (None, "transaction_not_allowed", bank_decline("transaction_not_allowed")),
    (None, "try_again_later", bank_decline("try_again_later")),
];

/// The decline with this code.
pub fn decline_of_code(code: &str) -> Option<Decline> {
    DECLINES.iter().find(|(_, known, _)| *known == code).map(|(_, _, decline)| *decline)
}

/// The card of a test payment method such as `pm_card_visa`.
pub fn look_up(payment_method: &str) -> Option<Card> {
    if payment_method == "pm_sim_requires_action" {
        return Some(Card::Challenges);
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
    fn declining_method_is_known_with_and_without_its_brand() {
        let plain = look_up("pm_card_chargeDeclinedInsufficientFunds").unwrap();
        assert_eq!(plain, look_up("pm_card_visa_chargeDeclinedInsufficientFunds").unwrap());
        let Card::Declines(decline) = plain else { panic!("{plain:?} is no decline") };
        assert_eq!(decline.decline_code, Some("insufficient_funds"));
    }

    #[test]
    fn docs_list_every_method_with_its_result() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sandbox.md");
        let page = std::fs::read_to_string(page).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `pm_card_"));
        let rows: Vec<Vec<_>> =
            rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect();
        for row in &rows {
            let (method, what, code) = (row[1], row[2], row[3]);
            match look_up(method).unwrap() {
                Card::Approves => assert!(what.starts_with("approved"), "{method}"),
                Card::Challenges => assert!(what.starts_with("requires the cardholder"), "{method}"),
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
    fn unknown_method_is_none() {
        for unknown in ["", "pm_", "pm_card_", "pm_visa", "visa", "pm_card_chargeDeclinedForFun", "tok_visa"] {
            assert_eq!(look_up(unknown), None, "{unknown}");
        }
    }
}
