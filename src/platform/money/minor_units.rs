//! The minor units of currencies. Amounts go to the provider as they are stored, so the table serves only to format amounts and to
//! compute prices that can be charged.
//!
//! Source: Stripe's documentation, "Supported currencies" (docs.stripe.com/currencies): *zero-decimal currencies*,
//! *three-decimal currencies*, *special cases*. It differs from ISO 4217 in ISK and UGX: they have no minor unit, but Stripe
//! represents them in hundredths and charges only multiples of 100. HUF and TWD are special only for payouts.

use super::Currency;

/// Currencies without a minor unit: `500` is ¥500.
const ZERO_DECIMALS: [&[u8; 3]; 15] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"JPY", b"KMF", b"KRW", b"MGA", b"PYG", b"RWF", b"VND", b"VUV", b"XAF", b"XOF",
    b"XPF",
];

/// Currencies in thousandths; amounts must be multiples of 10: 5.120 dinars, not 5.124.
const THREE_DECIMALS: [&[u8; 3]; 5] = [b"BHD", b"JOD", b"KWD", b"OMR", b"TND"];

/// Currencies in hundredths; amounts must be multiples of 100.
const WHOLE_ONLY: [&[u8; 3]; 2] = [b"ISK", b"UGX"];

impl Currency {
    /// The number of decimal digits: one unit of the currency is 10^decimals minor units.
    pub fn decimals(self) -> u8 {
        match &self.0 {
            code if ZERO_DECIMALS.contains(&code) => 0,
            code if THREE_DECIMALS.contains(&code) => 3,
            _ => 2,
        }
    }

    /// The smallest chargeable amount, minor units. Every chargeable amount is a multiple of it.
    pub fn smallest_step(self) -> i64 {
        match &self.0 {
            code if THREE_DECIMALS.contains(&code) => 10,
            code if WHOLE_ONLY.contains(&code) => 100,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_smallest_step_by_currency() {
        for (code, decimals, step) in [
            ("USD", 2, 1),
            ("EUR", 2, 1),
            ("HUF", 2, 1),
            ("TWD", 2, 1),
            ("JPY", 0, 1),
            ("KRW", 0, 1),
            ("CLP", 0, 1),
            ("XPF", 0, 1),
            ("ISK", 2, 100),
            ("UGX", 2, 100),
            ("KWD", 3, 10),
            ("BHD", 3, 10),
            ("TND", 3, 10),
        ] {
            let currency: Currency = code.parse().expect(code);
            assert_eq!((currency.decimals(), currency.smallest_step()), (decimals, step), "{code}");
        }
    }

    #[test]
    fn currency_is_in_at_most_one_list() {
        let all = [&ZERO_DECIMALS[..], &THREE_DECIMALS[..], &WHOLE_ONLY[..]].concat();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
    }
}
