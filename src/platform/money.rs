//! Money: whole minor units of one currency, with checked arithmetic and without floating point.

mod minor_units;

use std::fmt;
use std::str::FromStr;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An ISO 4217 code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// United States dollar, two decimals.
    pub const USD: Self = Self(*b"USD");

    /// Returns the code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

/// The error for a text that is not a currency code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected three capital letters, like `USD`")]
pub struct InvalidCurrency;

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(text: &str) -> Result<Self, InvalidCurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| InvalidCurrency)?;
        if code.iter().all(u8::is_ascii_uppercase) { Ok(Self(code)) } else { Err(InvalidCurrency) }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An amount of money in minor units of a currency (cents, for dollars).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 1234, "currency": "USD"}))]
pub struct Money {
    /// Minor units: cents, for dollars.
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    pub currency: Currency,
}

impl Money {
    /// Creates an amount of money.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }
}

impl<'de> Deserialize<'de> for Money {
    /// Accepts only an object. The derived implementation would also accept `[1234, "USD"]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            amount: i64,
            currency: Currency,
        }

        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Money;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `amount` and `currency`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Money, A::Error> {
                let Fields { amount, currency } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Money { amount, currency })
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (minor units)", self.amount, self.currency)
    }
}

/// Returns `amount × numerator ÷ denominator`, rounded half up. `None` if the result exceeds 64 bits, the denominator is not
/// positive, or another argument is negative.
pub fn scaled(amount: i64, numerator: i64, denominator: i64) -> Option<i64> {
    if amount < 0 || numerator < 0 || denominator <= 0 {
        return None;
    }
    let product = i128::from(amount) * i128::from(numerator);
    let denominator = i128::from(denominator);
    i64::try_from((product + denominator / 2) / denominator).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaled_rounds_half_up_and_overflow_is_none() {
        assert_eq!(scaled(115, 75, 100), Some(86)); // 86.25
        assert_eq!(scaled(1, 1, 2), Some(1));
        assert_eq!(scaled(i64::MAX, 1, 1), Some(i64::MAX));
        assert_eq!(scaled(i64::MAX, 2, 1), None);
        assert_eq!(scaled(-1, 1, 1), None);
        assert_eq!(scaled(1, 1, 0), None);
    }

    #[test]
    fn currency_that_is_not_three_capital_letters_is_an_error() {
        assert_eq!("USD".parse(), Ok(Currency::USD));
        for wrong in ["usd", "US", "USDX", "", "Ü1"] {
            assert_eq!(wrong.parse::<Currency>(), Err(InvalidCurrency), "{wrong}");
        }
    }
}
