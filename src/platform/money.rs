//! Money: whole minor units of one currency, and checked arithmetic. No float is ever near it.

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

    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

/// A text that is not a currency's code.
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

/// A sum: an amount in the currency's minor unit (cents, for dollars).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": 1234, "currency": "USD"}))]
pub struct Money {
    /// Whole minor units: cents, for dollars.
    pub amount: i64,
    /// ISO 4217 code.
    #[schema(value_type = String, pattern = "^[A-Z]{3}$")]
    pub currency: Currency,
}

impl Money {
    /// A sum of `amount` minor units.
    pub fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }
}

impl<'de> Deserialize<'de> for Money {
    /// From an object only: a derived one would take `[1234, "USD"]` too, and clients would come to rely on it.
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
                f.write_str("an object of `amount` and `currency`")
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

/// `amount × numerator ÷ denominator`, rounded half up, for shares and rates. The product is taken in 128 bits; a result past
/// 64 is `None`, and so is a denominator that is not positive or an amount or a numerator below zero.
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
    fn scaling_rounds_half_up_and_never_overflows() {
        assert_eq!(scaled(115, 75, 100), Some(86)); // 86.25
        assert_eq!(scaled(1, 1, 2), Some(1));
        assert_eq!(scaled(i64::MAX, 1, 1), Some(i64::MAX));
        assert_eq!(scaled(i64::MAX, 2, 1), None);
        assert_eq!(scaled(-1, 1, 1), None);
        assert_eq!(scaled(1, 1, 0), None);
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        assert_eq!("USD".parse(), Ok(Currency::USD));
        for wrong in ["usd", "US", "USDX", "", "Ü1"] {
            assert_eq!(wrong.parse::<Currency>(), Err(InvalidCurrency), "{wrong}");
        }
    }
}
