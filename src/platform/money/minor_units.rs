//! What a minor unit is. Ours is the provider's: an amount goes over the wire as it stands in the database, and is nowhere
//! multiplied or divided. So the table below is needed for two things only: to show a sum to people, and to price so that it can
//! be paid.
//!
//! Source: Stripe's documentation, "Supported currencies" (docs.stripe.com/currencies): *zero-decimal currencies*,
//! *three-decimal currencies*, *special cases*. It differs from ISO 4217 in ISK and UGX, which have no minor unit there and
//! which Stripe counts in hundredths for compatibility with the past, of which only whole ones can be charged. HUF and TWD are
//! special for payouts alone, and are charged in hundredths like most.

use super::Currency;

/// Without a minor unit: `500` is ¥500.
const ZERO_DECIMALS: [&[u8; 3]; 15] = [
    b"BIF", b"CLP", b"DJF", b"GNF", b"JPY", b"KMF", b"KRW", b"MGA", b"PYG", b"RWF", b"VND", b"VUV", b"XAF", b"XOF",
    b"XPF",
];

/// Thousandths, of which the provider takes whole hundredths: 5.120 dinars, not 5.124.
const THREE_DECIMALS: [&[u8; 3]; 5] = [b"BHD", b"JOD", b"KWD", b"OMR", b"TND"];

/// Counted in hundredths, and charged whole.
const WHOLE_ONLY: [&[u8; 3]; 2] = [b"ISK", b"UGX"];

impl Currency {
    /// Digits behind the decimal point: one of the currency is ten to the power of this many minor units.
    pub fn decimals(self) -> u8 {
        match &self.0 {
            code if ZERO_DECIMALS.contains(&code) => 0,
            code if THREE_DECIMALS.contains(&code) => 3,
            _ => 2,
        }
    }

    /// Minor units in the smallest sum that can be paid; every other sum is a multiple of it.
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
    fn the_table_of_minor_units() {
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
    fn no_currency_is_in_two_lists() {
        let all = [&ZERO_DECIMALS[..], &THREE_DECIMALS[..], &WHOLE_ONLY[..]].concat();
        let mut once = all.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), all.len());
    }
}
